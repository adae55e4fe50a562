//! Where sheets go: files in a folder, a printer's stdin, or sealed to a custodian's own key.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value as Json, json};

use super::{Exit, Failure, made::Made};
use crate::{
    crypto::CustodianKey,
    custody::{self, Ceremony, Contact, Paper, SealedSheet, Sheet},
    fsutil::{self, Access},
};

/// Bytes of a custodian's name in a file's name: with the number and `.txt.age` it stays below 255.
const LONGEST_STEM: usize = 200;

/// Where the sheets of a ceremony shall go.
#[derive(Debug, clap::Args)]
pub(super) struct HandoverArgs {
    /// The folder sheets are written to, each as NN-name.pdf and NN-name.txt; a sealed one as NN-name.txt.age
    #[arg(long, value_name = "DIR")]
    pub(super) sheets: Option<PathBuf>,
    /// Instead of files: a command that prints a PDF from its stdin, run once for each sheet (split at spaces; no shell)
    #[arg(long, value_name = "COMMAND")]
    pub(super) print: Option<String>,
    /// Seal NAME's sheet to a key of their own instead of printing it: age1…, the text of an ssh-ed25519 or ssh-rsa
    /// public key, or a file with one of these (repeat)
    #[arg(long = "seal-to", value_name = "NAME=KEY")]
    pub(super) seal_to: Vec<String>,
    /// The paper of the sheets
    #[arg(long, value_enum, value_name = "SIZE", default_value = "a4")]
    pub(super) paper: PaperSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PaperSize {
    /// 210 × 297 mm
    A4,
    /// 8.5 × 11 in
    Letter,
}

/// What was asked, found possible before there is a key.
pub(super) struct Handover {
    folder: Option<PathBuf>,
    printer: Option<Vec<String>>,
    keys: Vec<(String, CustodianKey)>,
    /// The paper.
    pub(super) paper: Paper,
}

/// The two files of one sheet.
#[derive(serde::Serialize)]
pub(super) struct SheetFiles {
    /// The page to print.
    pub(super) pdf: PathBuf,
    /// The same as text.
    pub(super) text: PathBuf,
}

/// Where the sheets went.
#[derive(Default)]
pub(super) struct Delivered {
    folder: Option<PathBuf>,
    files: Vec<SheetFiles>,
    printed: usize,
    sealed: Vec<SealedSheet>,
}

impl HandoverArgs {
    /// Refuses what cannot be done for these custodians. Reads key files, writes nothing.
    pub(super) fn prepare(self, custodians: &[String], contact: &Contact) -> Result<Handover, Failure> {
        custody::check(custodians, contact)?;
        let mut keys: Vec<(String, CustodianKey)> = Vec::new();
        for given in &self.seal_to {
            let (name, key) =
                given.split_once('=').ok_or_else(|| Failure::usage(format!("--seal-to {given:?} is not NAME=KEY")))?;
            if !custodians.iter().any(|known| known == name) {
                return Err(Failure::usage(format!("--seal-to has the name {name:?}, which is not a custodian")));
            }
            if keys.iter().any(|(known, _)| known == name) {
                return Err(Failure::usage(format!("--seal-to has the name {name:?} twice")));
            }
            keys.push((name.to_owned(), read_key(name, key)?));
        }
        let on_paper = custodians.iter().any(|name| !keys.iter().any(|(known, _)| known == name));
        let printer = self.print.map(|command| command.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>());
        match (&printer, &self.sheets) {
            (Some(words), _) if words.is_empty() => return Err(Failure::usage("--print has no command")),
            (Some(_), _) if !on_paper => {
                return Err(Failure::usage("--print has nothing to print: every sheet is sealed"));
            }
            (Some(_), Some(_)) if keys.is_empty() => return Err(Failure::usage("give --sheets or --print, not both")),
            (None, None) => return Err(Failure::usage("--sheets or --print is missing")),
            (_, None) if !keys.is_empty() => {
                return Err(Failure::usage("--seal-to needs --sheets, the folder for the sealed files"));
            }
            _ => {}
        }
        if let Some(folder) = &self.sheets {
            check_empty(folder)?;
        }
        Ok(Handover { folder: self.sheets, printer, keys, paper: self.paper.into() })
    }
}

impl Handover {
    /// The same for a rehearsal, where every custodian's sheet is marked.
    pub(super) fn of_a_rehearsal(mut self) -> Self {
        for (name, _) in &mut self.keys {
            *name = custody::rehearsed(name);
        }
        self
    }

    /// Hands the sheets of a ceremony over. The printer comes first: when it fails, no file is left.
    pub(super) fn deliver(&self, ceremony: &Ceremony, made: &mut Made) -> Result<Delivered, Failure> {
        let key = |sheet: &Sheet| self.keys.iter().find(|(name, _)| *name == sheet.custodian).map(|(_, key)| key);
        let mut delivered = Delivered { folder: self.folder.clone(), ..Delivered::default() };
        for sheet in ceremony.sheets.iter().filter(|sheet| key(sheet).is_none()) {
            if let Some(printer) = &self.printer {
                made.printed += 1;
                print(printer, sheet)?;
                delivered.printed += 1;
            }
        }
        let Some(folder) = &self.folder else { return Ok(delivered) };
        made.folder(folder, Access::Private)?;
        for sheet in &ceremony.sheets {
            if let Some(key) = key(sheet) {
                let path = folder.join(format!("{}.txt.age", stem(sheet)));
                made.write(&path, &key.seal(sheet.text.as_bytes()), Access::Private)?;
                delivered.sealed.push(SealedSheet { custodian: sheet.custodian.clone(), file: path });
            } else if self.printer.is_none() {
                delivered.files.push(write(folder, sheet, made)?);
            }
        }
        Ok(delivered)
    }
}

impl Delivered {
    /// The folder that holds sheets in the clear.
    pub(super) fn clear_folder(&self) -> Option<&Path> {
        self.folder.as_deref().filter(|_| !self.files.is_empty())
    }

    /// The sealed sheets.
    pub(super) fn sealed(&self) -> &[SealedSheet] {
        &self.sealed
    }

    /// For `--json`: `sheets` (texts), `pdfs`, `sealed` and how many were `printed`.
    pub(super) fn add_to(&self, value: &mut Json) {
        let (pdfs, texts): (Vec<&Path>, Vec<&Path>) = self.files.iter().map(|file| (&*file.pdf, &*file.text)).unzip();
        value["sheets"] = json!(texts);
        value["pdfs"] = json!(pdfs);
        value["sealed"] = json!(self.sealed);
        value["printed"] = json!(self.printed);
    }

    /// A line for every file, and how many were printed.
    pub(super) fn lines(&self) -> String {
        let mut lines: Vec<String> = self.files.iter().map(|file| format!("  {}", file.pdf.display())).collect();
        lines.extend(
            self.sealed.iter().map(|sheet| format!("  {} (sealed to {})", sheet.file.display(), sheet.custodian)),
        );
        if self.printed > 0 {
            lines.push(format!("  {} printed", self.printed));
        }
        lines.join("\n")
    }

    /// What to do with them, and how to destroy what is left behind.
    pub(super) fn remains(&self) -> String {
        let mut parts = Vec::new();
        if let Some(folder) = self.clear_folder() {
            parts.push(format!(
                "Print each PDF, hand it over in person, have it read back, then destroy the files:\n\
                 \n  {command}\n\n\
                 Anyone who has the files has the key. On an SSD, a copy-on-write file system or a backup of this machine,\n\
                 overwriting is not enough: --print leaves no file at all.",
                command = custody::clear_command(folder, &self.sealed),
            ));
        }
        if self.printed > 0 {
            parts.push(
                "Hand each sheet over in person and have it read back. A printer and its queue may keep what they\n\
                 printed: clear both."
                    .into(),
            );
        }
        if !self.sealed.is_empty() {
            parts.push(
                "Give each sealed file to its custodian: only their own key opens it (`age -d -i KEY FILE`), and\n\
                 `lifeboat custody verify -` verifies the result."
                    .into(),
            );
        }
        parts.join("\n\n")
    }
}

impl From<PaperSize> for Paper {
    fn from(size: PaperSize) -> Self {
        match size {
            PaperSize::A4 => Self::A4,
            PaperSize::Letter => Self::Letter,
        }
    }
}

/// Sheets of two sets in one folder would be mixed up.
pub(super) fn check_empty(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() && std::fs::read_dir(folder)?.next().is_some() {
        let message = format!("the folder {} is not empty", folder.display());
        return Err(Failure::new(Exit::Refused, message).hint("give an empty folder, so that sheets are not mixed up"));
    }
    if folder.is_dir() {
        fsutil::check_folder(folder)?;
    }
    Ok(())
}

/// Writes each sheet as PDF and as text, for the owner's eyes only.
pub(super) fn write_sheets(folder: &Path, ceremony: &Ceremony, made: &mut Made) -> Result<Vec<SheetFiles>, Failure> {
    made.folder(folder, Access::Private)?;
    ceremony.sheets.iter().map(|sheet| write(folder, sheet, made)).collect()
}

fn write(folder: &Path, sheet: &Sheet, made: &mut Made) -> Result<SheetFiles, Failure> {
    let file = |ending: &str| folder.join(format!("{}.{ending}", stem(sheet)));
    let files = SheetFiles { pdf: file("pdf"), text: file("txt") };
    made.write(&files.pdf, &sheet.pdf, Access::Private)?;
    made.write(&files.text, sheet.text.as_bytes(), Access::Private)?;
    Ok(files)
}

/// `02-bo`, short enough for every file system: the number tells sheets apart.
fn stem(sheet: &Sheet) -> String {
    let mut name: String = sheet
        .custodian
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    name.truncate(name.floor_char_boundary(LONGEST_STEM));
    format!("{:02}-{name}", sheet.index)
}

/// Gives a page to a command. What it prints goes to stderr, since stdout is the result's.
fn print(command: &[String], sheet: &Sheet) -> Result<(), Failure> {
    let failed = |reason: String| {
        Failure::new(Exit::Failed, format!("sheet {} was not printed: {}: {reason}", sheet.index, command[0]))
            .hint("nothing was kept; destroy the sheets printed so far and begin again")
    };
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(io::stderr())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let given = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(&sheet.pdf));
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(status.to_string()));
    }
    given.map_err(|error| failed(error.to_string()))
}

/// The key itself, or the file that holds it.
fn read_key(name: &str, key: &str) -> Result<CustodianKey, Failure> {
    let parsed = key.parse().or_else(|error| match fsutil::read(Path::new(key)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).parse(),
        Err(_) => Err(error),
    });
    parsed.map_err(|error| {
        Failure::usage(format!("the key of {name} cannot be used: {error}"))
            .hint("give age1…, an ssh-ed25519 or ssh-rsa public key, or a file with one: never a private key")
    })
}
