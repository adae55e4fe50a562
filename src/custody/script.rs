//! The script of a key ceremony: a numbered list of what was done and is to be done in this very run, to be printed,
//! initialled step by step and kept, as IANA does for the root zone's key. It holds nothing secret.

use std::{fmt::Write, path::Path};

use super::sheet;
use crate::{
    model::Digest,
    repo::{Custodian, Epoch, StoredEpoch},
    share::KeyFingerprint,
};

const SEPARATOR: &str =
    "------+--------------------------------------------------------------------+----------+-------\n";

/// The script for the ceremony that made `stored`; `sheets` is the folder of its sheets, if they are in one.
pub fn script(stored: &StoredEpoch, sheets: Option<&Path>) -> String {
    let epoch = &stored.epoch;
    let mut text = heading(stored);
    let mut table = Table { text: &mut text, step: 0 };
    table.head("PREPARE");
    for activity in [
        "Everybody who signs below is in the room; phones and cameras are outside.",
        "The machine has no network beyond the repository's, and nobody else is logged in to it.",
        "The printer is connected by cable, has no disk, or its disk is part of what is destroyed.",
    ] {
        table.step(activity);
    }
    make(&mut table, epoch, sheets);
    for custodian in &epoch.custodians {
        hand_over(&mut table, custodian);
    }
    prove(&mut table, epoch);
    clear(&mut table, sheets);
    text.push_str(SEPARATOR);
    text.push_str(&ending(epoch));
    text
}

fn heading(stored: &StoredEpoch) -> String {
    let epoch = &stored.epoch;
    let set = epoch.share_set.to_uppercase();
    let (first, second) = set.split_at(set.len() / 2);
    let fingerprint = KeyFingerprint::of(&epoch.root, &epoch.recipient);
    format!(
        "\
SCRIPT OF A KEY CEREMONY
========================

  Repository       {repository}
  Key epoch        {number}, made {created}
  Share set        {first}-{second}: {total} sheets, any {threshold} of them open the backup
  Key              {key}
  In words         {words}
  Recipient        {recipient}
  Root key         {root}
  epochs/{number}.json    SHA-256 {digest}

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
        digest = Digest::of(&stored.bytes),
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

fn make(table: &mut Table<'_>, epoch: &Epoch, sheets: Option<&Path>) {
    table.head("MAKE THE KEY AND THE SHEETS");
    table.step(&format!(
        "lifeboat init was run ({}). It made the key, split it, read every sheet back and proved that they give the key.",
        epoch.created
    ));
    match sheets {
        Some(folder) => table.step(&format!(
            "Each of the {} PDF files in {} is printed once. Nothing else is printed; spoiled pages stay in the room.",
            epoch.total,
            folder.display()
        )),
        None => table
            .step(&format!("The {} sheets lie in the printer's tray. Spoiled pages stay in the room.", epoch.total)),
    }
    table.step(
        "The words above are read aloud from this page; every sheet has the same words, share set, repository and epoch.",
    );
    table.step(&format!("sha256sum of epochs/{}.json in the repository is the SHA-256 above.", epoch.number));
}

fn hand_over(table: &mut Table<'_>, custodian: &Custodian) {
    table.head(&format!("SHEET {}", custodian.share));
    table.note(&format!("Custodian      {}", custodian.name));
    let digest = custodian.sha256.to_string();
    let (first, second) = digest.split_at(digest.len() / 2);
    table.note(&format!("Share SHA-256  {first}"));
    table.note(&format!("               {second}"));
    table.note("");
    table.step("The custodian checks the name, fills in the blanks, signs the sheet and shows it to nobody.");
    table.step("The custodian seals the sheet in a bag and reads out its serial number:");
    table.note("Bag number ________________________");
    table.note("");
    table.note("Signature of the custodian ____________________________");
    table.note("");
}

fn prove(table: &mut Table<'_>, epoch: &Epoch) {
    table.head("PROVE");
    table.step("lifeboat snapshot made the first snapshot:  ____________________");
    table.step(&format!(
        "{} custodians, not the first ones, open their bags and type or scan their sheets into lifeboat check --depth \
         values. It ends with exit code 0. The sheets go into new bags:",
        epoch.threshold
    ));
    table.note("New bag numbers ______________ ______________ ______________");
    table.note("");
}

fn clear(table: &mut Table<'_>, sheets: Option<&Path>) {
    table.head("CLEAR UP");
    if let Some(folder) = sheets {
        table
            .step(&format!("shred -u {0}/* && rmdir {0} was run; ls shows that the folder is gone.", folder.display()));
    }
    table.step("The print queue is empty; the printer was switched off, and its memory with it.");
    table.step("Spoiled pages were shredded. No bag, page or file with a share is left in the room.");
    table.step("This script, signed, goes to the register of key ceremonies.");
}

fn ending(epoch: &Epoch) -> String {
    let mut text = String::from(
        "
ABORT
  A sheet was seen by somebody else, photographed, lost or not read back; a step failed; somebody
  left. Then this key is never used:
    1  destroy every sheet, printed or in a file, in front of the witnesses;
    2  delete the repository, its copies, lifeboat.toml and the folder keys;
    3  write here what happened, sign below, and begin again with a new key.

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
