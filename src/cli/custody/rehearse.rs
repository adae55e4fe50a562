//! `lifeboat custody rehearse`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::reading;
use crate::{
    cli::{
        Context, Exit, Failure,
        handover::{check_empty, write_sheets},
        made::Made,
        output::plural,
    },
    clock::{Clock, SystemClock, to_seconds},
    custody::{self, Held, Kind, Paper, Pending, Successor},
    fsutil::{self, Access, Existing},
};

/// What is waiting to be read back, beside the sheets of the rehearsal.
const WAITING: &str = "rehearsal.json";

/// Rehearse ceremony and recovery with the real people on a throw-away key; no repository is touched
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat custody rehearse --threshold 2 --custodian Ana --custodian Bo --custodian Cy \\
      --sheets ./rehearsal
  lifeboat custody rehearse --confirm --sheets ./rehearsal --share scans/

Print the sheets, hand them out, and read them back. Exit code 0: every sheet was read back.
Each sheet shows REHEARSAL and opens nothing.")]
pub(super) struct Args {
    /// How many sheets open the backup
    #[arg(long, value_name = "K", required_unless_present = "confirm")]
    threshold: Option<u8>,
    /// A custodian's name (repeat)
    #[arg(long = "custodian", value_name = "NAME", required_unless_present = "confirm")]
    custodians: Vec<String>,
    /// The folder of the rehearsal
    #[arg(long, value_name = "DIR")]
    sheets: PathBuf,
    /// Read sheets back
    #[arg(long, conflicts_with_all = ["threshold", "custodians"])]
    confirm: bool,
    /// With --confirm: a sheet, or a folder of them, or `-` for stdin (repeat)
    #[arg(long = "share", value_name = "FILE", requires = "confirm")]
    shares: Vec<PathBuf>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let waiting = args.sheets.join(WAITING);
    if args.confirm {
        return confirm(context, &waiting, &args.shares).await;
    }
    check_empty(&args.sheets)?;
    let threshold = args.threshold.ok_or_else(|| Failure::usage("--threshold is needed"))?;
    let created = to_seconds(SystemClock.now());
    let ceremony = custody::rehearse(&Successor { threshold, custodians: args.custodians, created, paper: Paper::A4 })?;
    Pending::new(Kind::Rehearse, &ceremony).save(&waiting)?;
    let mut made = Made::default();
    let sheets = write_sheets(&args.sheets, &ceremony, &mut made)?;
    made.keep();
    let script = beside(&args.sheets);
    let held = Held { kind: Some(Kind::Rehearse), folder: Some(&args.sheets), sealed: &[] };
    fsutil::write(&script, custody::script(&ceremony.epoch, held).as_bytes(), Access::Public, Existing::Replace)?;
    let value = json!({ "kind": Kind::Rehearse, "threshold": threshold, "sheets": sheets, "script": script });
    context.output.result(&value, || {
        let paths: Vec<String> = sheets.iter().map(|sheet| format!("  {}", sheet.pdf.display())).collect();
        let count = plural(u64::from(ceremony.epoch.total), "sheet");
        format!("{count} of a rehearsal:\n{}\nscript of the ceremony {}", paths.join("\n"), script.display())
    });
    Ok(Exit::Complete)
}

/// The script, beside the folder of sheets: what is in there is read back.
fn beside(sheets: &Path) -> PathBuf {
    let mut name = sheets.file_name().unwrap_or_default().to_owned();
    name.push("-ceremony.txt");
    sheets.with_file_name(name)
}

async fn confirm(context: &Context, waiting: &Path, shares: &[PathBuf]) -> Result<Exit, Failure> {
    let load = || Ok::<_, Failure>(Pending::load(waiting)?.filter(|pending| pending.kind() == Kind::Rehearse));
    if load()?.is_none() {
        return Err(Failure::usage(format!("there is no rehearsal at {}", waiting.display())));
    }
    let lock = fsutil::lock(&waiting.with_extension("lock"))?;
    let (Some(_lock), Some(mut pending)) = (lock, load()?) else {
        return Err(Failure::new(Exit::Locked, "another run is reading the sheets of this rehearsal"));
    };
    let (mut taken, mut rejected) = (Vec::new(), Vec::new());
    for (origin, text) in reading::sheets(shares).await? {
        match pending.confirm(&origin, &text, SystemClock.now()) {
            Ok(custodian) => {
                context.output.note(&format!("  {origin}: sheet {} of {} read back", custodian.share, custodian.name));
                taken.push((origin, text));
            }
            Err(error) => {
                context.output.warn(&error.to_string());
                rejected.push(error.to_string());
            }
        }
    }
    pending.save(waiting)?;
    let opened = custody::gives_key(pending.epoch(), &taken)?;
    let missing = pending.missing();
    let value = json!({ "opened": opened, "missing": missing, "rejected": rejected, "complete": missing.is_empty() });
    context.output.result(&value, || {
        let key = if opened {
            "the sheets of this run opened the key"
        } else {
            "this run had too few sheets to open the key"
        };
        let missing = if missing.is_empty() { "nobody".to_owned() } else { missing.join(", ") };
        format!("{key}\nmissing: {missing}")
    });
    Ok(if !rejected.is_empty() {
        Exit::NoQuorum
    } else if missing.is_empty() {
        Exit::Complete
    } else {
        Exit::Incomplete
    })
}
