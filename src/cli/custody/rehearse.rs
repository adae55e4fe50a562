//! `lifeboat custody rehearse`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::reading;
use crate::{
    cli::{
        Context, Exit, Failure,
        handover::{HandoverArgs, PaperSize, check_empty},
        init,
        made::Made,
        output::plural,
    },
    clock::{Clock, SystemClock, to_seconds},
    custody::{self, Contact, Held, Kind, Pending, Successor},
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
  lifeboat custody rehearse --threshold 2 --custodian Ana --custodian Bo --custodian Cy \\
      --sheets ./rehearsal --print 'lp -d office' --paper letter
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
    /// The folder of the rehearsal: its state, and each sheet as NN-name.pdf and NN-name.txt, a sealed one as NN-name.txt.age
    #[arg(long, value_name = "DIR")]
    sheets: PathBuf,
    /// Instead of files: a command that prints a PDF from its stdin, run once for each sheet (split at spaces; no shell)
    #[arg(long, value_name = "COMMAND", conflicts_with = "confirm")]
    print: Option<String>,
    /// Seal NAME's sheet to a key of their own instead of printing it: age1…, the text of an ssh-ed25519 or ssh-rsa
    /// public key, or a file with one of these (repeat)
    #[arg(long = "seal-to", value_name = "NAME=KEY", conflicts_with = "confirm")]
    seal_to: Vec<String>,
    /// The paper of the sheets
    #[arg(long, value_enum, value_name = "SIZE", default_value = "a4")]
    paper: PaperSize,
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
    let contact = if context.global.config.exists() {
        context.host().map(|host| init::contact(&host.config.custody, &host.config.copies))?
    } else {
        Contact::default()
    };
    let asked = HandoverArgs {
        // A folder that is only for what waits holds no sheet.
        sheets: (args.print.is_none() || !args.seal_to.is_empty()).then(|| args.sheets.clone()),
        print: args.print,
        seal_to: args.seal_to,
        paper: args.paper,
    };
    let handover = asked.prepare(&args.custodians, &contact)?.of_a_rehearsal();
    let (custodians, paper) = (args.custodians, handover.paper);
    let ceremony = custody::rehearse(&Successor { threshold, custodians, created, paper, contact })?;
    Pending::new(Kind::Rehearse, &ceremony).save(&waiting)?;
    let mut made = Made::default();
    let delivered = handover.deliver(&ceremony, &mut made).inspect_err(|_| drop(fsutil::remove(&waiting)))?;
    made.keep();
    let script = beside(&args.sheets);
    let held = Held { kind: Some(Kind::Rehearse), folder: delivered.clear_folder(), sealed: delivered.sealed() };
    fsutil::write(&script, custody::script(&ceremony.epoch, held).as_bytes(), Access::Public, Existing::Replace)?;
    let mut value = json!({ "kind": Kind::Rehearse, "threshold": threshold, "script": script });
    delivered.add_to(&mut value);
    context.output.result(&value, || {
        let count = plural(u64::from(ceremony.epoch.total), "sheet");
        format!("{count} of a rehearsal:\n{}\nscript of the ceremony {}", delivered.lines(), script.display())
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
