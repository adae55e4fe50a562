//! The script of a key ceremony: a numbered list of what was done and is to be done in this very run, to be printed,
//! initialled step by step and kept, as IANA does for the root zone's key. It holds nothing secret.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{Kind, sheet};
use crate::{
    model::Digest,
    repo::{Custodian, Epoch},
    share::KeyFingerprint,
    text,
};

const SEPARATOR: &str =
    "------+--------------------------------------------------------------------+----------+-------\n";

/// How a ceremony was held, besides what its epoch says.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// What it replaces; `None` for the first one.
    pub kind: Option<Kind>,
    /// The folder of the sheets in the clear, if there is one; without it they were printed or sealed.
    pub folder: Option<&'a Path>,
    /// The sheets that are not on paper.
    pub sealed: &'a [SealedSheet],
}

/// A sheet sealed to its custodian's own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedSheet {
    /// Whose.
    pub custodian: String,
    /// Where.
    pub file: PathBuf,
}

/// The command that overwrites the sheets in `folder`; the folder goes too unless sealed sheets are in it.
pub fn clear_command(folder: &Path, sealed: &[SealedSheet]) -> String {
    let folder = text::shell(&folder.to_string_lossy()).into_owned();
    let shred = format!("shred -u -- {folder}/*.pdf {folder}/*.txt");
    if sealed.is_empty() { format!("{shred} && rmdir -- {folder}") } else { shred }
}

/// The six words of an epoch's key, which every sheet of it has.
pub fn words(epoch: &Epoch) -> String {
    sheet::words(KeyFingerprint::of(&epoch.root, &epoch.recipient))
}

/// The script for the ceremony that made `epoch`.
pub fn script(epoch: &Epoch, held: Held<'_>) -> String {
    let mut text = heading(epoch, held.kind);
    let mut table = Table { text: &mut text, step: 0 };
    table.head("PREPARE");
    for activity in [
        "Everybody who signs below is in the room; phones and cameras are outside.",
        "The machine has no network except to the repository, and nobody else is logged in to it.",
        "The printer is connected by cable. It has no disk, or its disk is destroyed afterwards.",
    ] {
        table.step(activity);
    }
    make(&mut table, epoch, held);
    for custodian in &epoch.custodians {
        let sealed = held.sealed.iter().find(|sheet| sheet.custodian == custodian.name);
        hand_over(&mut table, custodian, sealed);
    }
    prove(&mut table, epoch, held.kind);
    clear(&mut table, epoch, held);
    text.push_str(SEPARATOR);
    text.push_str(&ending(epoch, held.kind));
    text
}

fn heading(epoch: &Epoch, kind: Option<Kind>) -> String {
    let set = epoch.share_set.to_uppercase();
    let (first, second) = set.split_at(set.len() / 2);
    let fingerprint = KeyFingerprint::of(&epoch.root, &epoch.recipient);
    let occasion = match kind {
        None => "the first key",
        Some(Kind::Reshare) => "new sheets of the same key",
        Some(Kind::Rotate) => "a new key",
        Some(Kind::Signers) => "other signers",
        Some(Kind::Rehearse) => "REHEARSAL: a key that opens nothing",
    };
    format!(
        "\
SCRIPT OF A KEY CEREMONY
========================

  Occasion         {occasion}
  Repository       {repository}
  Key epoch        {number}, made {created}
  Share set        {first}-{second}: {total} sheets, any {threshold} of them open the backup
  Key              {key}
  In words         {words}
  Recipient        {recipient}
  Root key         {root}
  File             epochs/{number}-SHA256.json
  SHA-256          {digest}

  This page is not secret. Initial each step when it is done, with the time. A step that cannot be
  done as written ends the ceremony: go to ABORT.

",
        repository = epoch.repository,
        number = epoch.number,
        created = epoch.created,
        total = epoch.total,
        threshold = epoch.threshold,
        key = hex::encode_upper(fingerprint.0),
        words = sheet::words(fingerprint),
        recipient = epoch.recipient,
        root = epoch.root,
        digest = Digest::of(&epoch.to_bytes()),
    )
}

/// Steps, numbered through.
struct Table<'a> {
    text: &'a mut String,
    step: u32,
}

impl Table<'_> {
    fn head(&mut self, title: &str) {
        self.text.push_str(SEPARATOR);
        self.row("", title, "Initials", "Time");
        self.text.push_str(SEPARATOR);
    }

    fn step(&mut self, activity: &str) {
        self.step += 1;
        let number = self.step.to_string();
        let mut line = String::new();
        let mut label = number.as_str();
        for word in activity.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 66 {
                self.row(label, &line, "", "");
                (label, line) = ("", String::new());
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.row(label, &line, "", "");
        self.note("");
    }

    /// A step with a command, on one line however long.
    fn command(&mut self, activity: &str, command: &str) {
        self.step(activity);
        self.text.push_str(&format!("      |   {command}\n"));
        self.note("");
    }

    /// A line of its own within a step.
    fn note(&mut self, line: &str) {
        self.row("", line, "", "");
    }

    fn row(&mut self, number: &str, activity: &str, initials: &str, time: &str) {
        let row = format!("{number:>5} | {activity:<66} | {initials:<8} | {time}");
        self.text.push_str(row.trim_end());
        self.text.push('\n');
    }
}

fn make(table: &mut Table<'_>, epoch: &Epoch, held: Held<'_>) {
    table.head("MAKE THE KEY AND THE SHEETS");
    let command = command(held.kind);
    let did = if held.kind == Some(Kind::Reshare) { "It split the key again" } else { "It made the key, split it" };
    table.step(&format!(
        "{command} was run ({}). {did}, read every sheet back and proved that they give the key.",
        epoch.created
    ));
    let printed = usize::from(epoch.total) - held.sealed.len();
    match held.folder {
        _ if printed == 0 => {}
        Some(folder) => table.step(&format!(
            "Each of the {printed} PDF files in {} is printed once. Nothing else is printed; spoiled pages stay in the room.",
            folder.display()
        )),
        None => table.step(&format!("The {printed} sheets are in the printer's tray. Spoiled pages stay in the room.")),
    }
    table.step(
        "The words above are read aloud from this page; every sheet has the same words, share set, repository and epoch.",
    );
    match held.kind {
        None => table
            .step("epochs/1-….json in the repository has the SHA-256 above in its name, and sha256sum gives the same."),
        Some(Kind::Rehearse) => {}
        Some(_) => table.step(&format!(
            "epochs/{}-….json is not in the repository yet: the sheets in force stay in force until PROVE ends.",
            epoch.number
        )),
    }
}

fn hand_over(table: &mut Table<'_>, custodian: &Custodian, sealed: Option<&SealedSheet>) {
    table.head(&format!("SHEET {}", custodian.share));
    table.note(&format!("Custodian      {}", custodian.name));
    let digest = custodian.sha256.to_string();
    let (first, second) = digest.split_at(digest.len() / 2);
    table.note(&format!("Share SHA-256  {first}"));
    table.note(&format!("               {second}"));
    table.note("");
    if let Some(sealed) = sealed {
        table.step(&format!("{} is given to the custodian. Only their own key opens it.", sealed.file.display()));
        table.step(
            "The custodian opens it (age -d -i KEY FILE | lifeboat custody verify -). It shows `intact` and their name.",
        );
    } else {
        table.step("The custodian checks the name, fills in the blanks, signs the sheet and shows it to nobody.");
        table.step("The custodian seals the sheet in a bag and reads out its serial number:");
        table.note("Bag number ________________________");
        table.note("");
    }
    table.note("Signature of the custodian ____________________________");
    table.note("");
}

fn prove(table: &mut Table<'_>, epoch: &Epoch, kind: Option<Kind>) {
    table.head("PROVE");
    if kind.is_some() {
        table.step(&format!(
            "Every custodian's sheet, all {} of them, was read back from the paper with {} --confirm. The last run ended \
             with exit code 0.",
            epoch.total,
            command(kind)
        ));
        if kind != Some(Kind::Rehearse) {
            table.step(&format!(
                "epochs/{}-….json in the repository has the SHA-256 above in its name, and sha256sum gives the same.",
                epoch.number
            ));
        }
    }
    if kind == Some(Kind::Rehearse) {
        return;
    }
    if kind != Some(Kind::Reshare) {
        table.step("lifeboat snapshot made the first snapshot of this key:  ____________________");
    }
    table.step(&format!(
        "{} custodians, not the first ones, open their bags and type or scan their sheets into lifeboat check --depth \
         values. The sheets go into new bags:",
        epoch.threshold
    ));
    table.note("New bag numbers, one for each:");
    for _ in 0..epoch.threshold {
        table.note("______________ of ________________________________");
    }
    table.note("");
    table.step(
        "lifeboat custody register was run. Every custodian writes the newest snapshot that it names on the bag:",
    );
    table.note("Newest snapshot: number ______________ of ______________ (date)");
    table.note("");
}

fn clear(table: &mut Table<'_>, epoch: &Epoch, held: Held<'_>) {
    table.head("CLEAR UP");
    if let Some(folder) = held.folder {
        table.command(
            "This command was run, and ls shows that the files are gone:",
            &clear_command(folder, held.sealed),
        );
    }
    if held.sealed.len() < usize::from(epoch.total) {
        table.step("The print queue is empty. The printer was switched off, so its memory is empty too.");
        table.step("Spoiled pages were shredded. No bag, page or file with a share is left in the room.");
    }
    match held.kind {
        Some(Kind::Reshare) => table.step(&format!(
            "Every sheet of epoch {} was destroyed in front of the witnesses. Sheets not here yet:  ____________________",
            epoch.number - 1
        )),
        Some(Kind::Rotate) => table.step(&format!(
            "The sheets of epoch {} are kept in new bags while snapshots of their key are needed, until:  __________",
            epoch.number - 1
        )),
        _ => {}
    }
    table.step("This script, signed, goes to the register of key ceremonies.");
}

/// The command that held it.
fn command(kind: Option<Kind>) -> &'static str {
    match kind {
        None => "lifeboat init",
        Some(Kind::Reshare) => "lifeboat custody reshare",
        Some(Kind::Rotate) => "lifeboat custody rotate",
        Some(Kind::Signers) => "lifeboat custody signer",
        Some(Kind::Rehearse) => "lifeboat custody rehearse",
    }
}

fn ending(epoch: &Epoch, kind: Option<Kind>) -> String {
    let (never, second, again) = match kind {
        Some(kind @ (Kind::Reshare | Kind::Rotate)) => (
            "these sheets are never used, and the\n  sheets in force stay in force",
            format!("run {} --abort, unless the last sheet was confirmed;", command(Some(kind))),
            "begin again",
        ),
        _ => (
            "this key is never used",
            "delete the repository, its copies, lifeboat.toml and the folder keys;".to_owned(),
            "begin again with a new key",
        ),
    };
    let mut text = format!(
        "
ABORT
  A sheet was seen by somebody else, photographed, lost or not read back; a step failed; somebody
  left. Then {never}:
    1  destroy every sheet, printed or in a file, in front of the witnesses;
    2  {second}
    3  write here what happened, sign below, and {again}.

  What happened ______________________________________________________________________________

  ____________________________________________________________________________________________

SIGNATURES
  The steps above were done as written, in our presence.

",
    );
    let custodians = epoch.custodians.iter().map(|custodian| custodian.name.as_str());
    for name in ["Leader of the ceremony", "Witness", "Witness"].into_iter().chain(custodians) {
        writeln!(text, "  {name:<40} ______________________________  Date ____________\n")
            .expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::Signer,
        custody::{CeremonyRequest, Contact, Paper, hold},
        model::RepositoryId,
        repo::AllowedSigner,
    };

    #[test]
    fn there_is_a_blank_for_each_bag() {
        let epoch = hold(&CeremonyRequest {
            repository: RepositoryId::from_bytes([7; 16]),
            threshold: 4,
            custodians: ["Ana", "Bo", "Cy", "Dee", "Eli", "Fay"].map(String::from).into(),
            signers: vec![AllowedSigner { name: "host".into(), key: Signer::generate().public() }],
            created: "2026-11-24T05:50:42Z".parse().unwrap(),
            paper: Paper::A4,
            contact: Contact::default(),
        })
        .unwrap()
        .epoch;
        let sealed = [SealedSheet { custodian: "Bo".into(), file: "02-bo.txt.age".into() }];
        let blanks = |kind, sealed: &[SealedSheet]| {
            let text = script(&epoch, Held { kind, folder: None, sealed });
            let count = |blank: &str| text.matches(blank).count();
            (count("Bag number ____"), count("______________ of ____________________"))
        };
        for kind in [None, Some(Kind::Reshare), Some(Kind::Rotate)] {
            assert_eq!(blanks(kind, &[]), (6, 4), "{kind:?}");
            assert_eq!(blanks(kind, &sealed), (5, 4), "a sealed sheet has no bag: {kind:?}");
        }
        assert_eq!(blanks(Some(Kind::Rehearse), &[]).0, 6);
    }
}
