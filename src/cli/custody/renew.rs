//! `lifeboat custody reshare` and `lifeboat custody rotate`: print, read every sheet back, only then switch.

use std::path::PathBuf;

use serde_json::json;

use super::{finish, reading, reseal};
use crate::{
    app::Host,
    cli::{
        Context, Exit, Failure,
        handover::{Handover, HandoverArgs},
        history::AcceptArgs,
        init,
        made::Made,
        output::plural,
        quorum::{self, ShareArgs},
        trail,
    },
    clock::{Clock, SystemClock, to_seconds},
    custody::{self, Ceremony, Held, Kind, Pending, Successor},
    fsutil::{self, Access, Existing},
    model::Digest,
    repo::{AcceptedFault, Repository, Trust},
    storage::Storage,
};

/// Replace the sheets with a new set of the same key: for other people, another threshold or a lost sheet
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat custody reshare --threshold 2 --custodian Ana --custodian Bo --custodian Fay \\
      --custodian Gus --sheets ./new \\
      --share old/02-bo.txt --share old/04-dee.txt --share old/05-eli.txt
  lifeboat custody reshare --confirm --share scans/
  lifeboat custody reshare --abort

The first command prints the new sheets; the old set stays in force. The second reads the
printed sheets back, in one or more runs, and switches when every sheet was read. The key
stays the same, so the old sheets open everything until they are destroyed. If an old sheet
may have been copied, use `custody rotate`, which makes a new key.")]
pub(super) struct ReshareArgs {
    #[command(flatten)]
    renewal: Renewal,
    #[command(flatten)]
    shares: ShareArgs,
}

/// Make a new key with a new set of sheets, because sheets were lost beyond the threshold or may have been copied
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat custody rotate --threshold 3 --custodian Ana --custodian Bo --custodian Cy \\
      --custodian Dee --sheets ./new
  lifeboat custody rotate --confirm --share scans/
  lifeboat custody rotate --reseal --share old/02-bo.pdf --share old/04-dee.pdf \\
      --share old/05-eli.pdf
  lifeboat custody rotate --abort

No old sheet is needed to rotate. The switch rewrites [trust] in the configuration, and the
next snapshot reads every value again. Older snapshots stay sealed to the old key: keep the
old sheets as long as you need those snapshots. Some values can then be only in old snapshots:
a secret scheduled for deletion, or a value that cannot be read. --reseal, with a quorum of
the old sheets, seals them to the new key in a new snapshot.")]
pub(super) struct RotateArgs {
    #[command(flatten)]
    renewal: Renewal,
    /// Seal what only the old sheets open to the new key; needs a quorum of the old sheets
    #[arg(long, conflicts_with_all = ["threshold", "custodians", "sheets", "print", "seal_to", "confirm", "abort"])]
    reseal: bool,
    /// With --reseal: continue despite this fault, written exactly as the refusal shows it (repeat)
    #[arg(long = "accept-fault", value_name = "FILE:KIND", requires = "reseal")]
    accepted: Vec<AcceptedFault>,
    /// With --confirm a new sheet, with --reseal an old one: a file, a folder of them, or `-` for stdin (repeat)
    #[arg(long = "share", value_name = "FILE")]
    shares: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Renewal {
    /// How many of the new sheets open the backup
    #[arg(long, value_name = "K")]
    threshold: Option<u8>,
    /// The name of a custodian of the new set (repeat)
    #[arg(long = "custodian", value_name = "NAME")]
    custodians: Vec<String>,
    #[command(flatten)]
    handover: HandoverArgs,
    /// Read new sheets back; the last one puts the new set in force
    #[arg(long, conflicts_with_all = ["threshold", "custodians", "sheets", "print", "seal_to", "abort"])]
    confirm: bool,
    /// Abandon the new set; the old one stays in force
    #[arg(long, conflicts_with_all = ["threshold", "custodians", "sheets", "print", "seal_to"])]
    abort: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// The configured repository, and what waits for confirmation beside it.
pub(super) struct Desk {
    pub(super) host: Host,
    pub(super) repository: Repository,
    pub(super) trust: Trust,
    pub(super) pending_path: PathBuf,
    /// Two renewals, or a renewal and a snapshot, wait for each other.
    _lock: fsutil::Lock,
}

pub(super) async fn reshare(context: &Context, args: ReshareArgs) -> Result<Exit, Failure> {
    let desk = Desk::open(context).await?;
    if args.renewal.abort {
        return desk.abort(context);
    }
    if args.renewal.confirm {
        return confirm(context, &desk, Kind::Reshare, &args.shares.shares).await;
    }
    let (successor, handover) = prepare(context, &desk, args.renewal).await?;
    let opened = quorum::open(context, &desk.repository, &args.shares).await?;
    let ceremony = custody::reshare(&opened.key, &successor, &desk.trust)?;
    drop(opened);
    desk.print(context, Kind::Reshare, &ceremony, &handover)
}

pub(super) async fn rotate(context: &Context, args: RotateArgs) -> Result<Exit, Failure> {
    let desk = Desk::open(context).await?;
    if args.renewal.abort {
        return desk.abort(context);
    }
    if args.renewal.confirm {
        return confirm(context, &desk, Kind::Rotate, &args.shares).await;
    }
    if args.reseal {
        let accept = AcceptArgs { accepted: args.accepted };
        return reseal::run(context, &desk, args.shares, &accept).await;
    }
    if !args.shares.is_empty() {
        return Err(
            Failure::usage("--share is used only with --confirm or --reseal").hint("no old sheet is needed to rotate")
        );
    }
    let (successor, handover) = prepare(context, &desk, args.renewal).await?;
    let ceremony = custody::rotate(&successor, &desk.trust)?;
    desk.print(context, Kind::Rotate, &ceremony, &handover)
}

impl Desk {
    pub(super) async fn open(context: &Context) -> Result<Self, Failure> {
        let host = context.host()?;
        if let Some(asked) = &context.global.repo
            && Storage::open(&init::absolute(asked))?.address() != Storage::open(&host.config.repository.url)?.address()
        {
            return Err(Failure::usage("sheets are replaced in the configured repository, never in a copy")
                .hint("leave --repo out; the copies are brought up to date afterwards"));
        }
        let (repository, _) = host.repository().await?;
        let lock = host.lock(repository.id())?;
        // What ran until the lock was free may have changed both.
        let host = context.host()?;
        let (repository, trust) = host.repository().await?;
        trail::begin(context, &repository, &trust);
        let pending_path = host.pending_path(repository.id());
        Ok(Self { host, repository, trust, pending_path, _lock: lock })
    }

    /// Whether the pending epoch is the one in force: a run was interrupted after the switch.
    pub(super) fn is_in_force(&self, pending: &Pending) -> bool {
        self.trust.current_digest() == Digest::of(&pending.epoch().to_bytes())
    }

    fn abort(&self, context: &Context) -> Result<Exit, Failure> {
        match Pending::load(&self.pending_path) {
            Ok(None) => return Err(Failure::usage("no new set of sheets is waiting")),
            Ok(Some(pending)) if pending.missing().is_empty() => {
                return Err(Failure::new(Exit::Refused, "every new sheet was read back; the switch has begun")
                    .hint("finish it with --confirm"));
            }
            Ok(Some(_)) => {}
            Err(error) => context.output.warn(&error.to_string()),
        }
        fsutil::remove(&self.pending_path)?;
        let epoch = self.trust.current().number;
        context.output.result(&json!({ "aborted": true, "epoch": epoch }), || {
            format!("new set abandoned; the sheets of epoch {epoch} stay in force")
        });
        context
            .output
            .warn("destroy every sheet of the abandoned set, also the files: after a reshare they hold the key");
        Ok(Exit::Complete)
    }

    /// Remembers what is to be confirmed, then hands the sheets over. In this order no sheet exists that nothing knows of.
    fn print(&self, context: &Context, kind: Kind, ceremony: &Ceremony, handover: &Handover) -> Result<Exit, Failure> {
        Pending::new(kind, ceremony).save(&self.pending_path)?;
        let mut made = Made::default();
        let delivered =
            handover.deliver(ceremony, &mut made).inspect_err(|_| drop(fsutil::remove(&self.pending_path)))?;
        made.keep();
        let epoch = &ceremony.epoch;
        let script = init::beside(&context.global.config, &format!("ceremony-epoch-{}.txt", epoch.number));
        let held = Held { kind: Some(kind), folder: delivered.clear_folder(), sealed: delivered.sealed() };
        // An earlier one is of sheets that were given up.
        fsutil::write(&script, custody::script(epoch, held).as_bytes(), Access::Public, Existing::Replace)?;
        let mut value = json!({
            "kind": kind, "epoch": epoch.number, "share_set": epoch.share_set, "threshold": epoch.threshold,
            "in_force": false, "script": script,
        });
        delivered.add_to(&mut value);
        context.output.result(&value, || {
            let count = plural(u64::from(epoch.total), "new sheet");
            format!(
                "{count}, any {} of them will open the backup:\n{}\nscript of the ceremony {}",
                epoch.threshold,
                delivered.lines(),
                script.display()
            )
        });
        let command = if kind == Kind::Reshare { "reshare" } else { "rotate" };
        context.output.note(&format!(
            "\nNot in force yet: keep using the sheets of epoch {}. Read every new sheet back, from the paper:\n\
             \n  {}\n\n{}",
            self.trust.current().number,
            context.command(&["custody", command, "--confirm", "--share", "FILE"]),
            delivered.remains()
        ));
        Ok(Exit::Complete)
    }
}

/// Everything that can be refused is refused before there is a key.
async fn prepare(context: &Context, desk: &Desk, renewal: Renewal) -> Result<(Successor, Handover), Failure> {
    let Some(threshold) = renewal.threshold.filter(|_| !renewal.custodians.is_empty()) else {
        return Err(Failure::usage("--threshold and --custodian are needed").hint("or use --confirm or --abort"));
    };
    if let Some(pending) = Pending::load(&desk.pending_path)? {
        if pending.kind() == Kind::Signers {
            return Err(Failure::new(Exit::Refused, "a change of the signers was interrupted")
                .hint("run `lifeboat custody signer add` or `remove` again: it completes the earlier change first"));
        }
        let message = format!("the sheets of epoch {} already wait to be read back", pending.epoch().number);
        return Err(
            Failure::new(Exit::Refused, message).hint("complete them with --confirm, or abandon them with --abort")
        );
    }
    let contact = init::contact(&desk.host.config.custody, &desk.host.config.copies);
    let handover = renewal.handover.prepare(&renewal.custodians, &contact)?;
    if let Some(advice) = custody::advice(threshold, renewal.custodians.len()) {
        context.output.warn(&advice);
    }
    let count = renewal.custodians.len();
    let question = format!("Print sheets for {count} custodians, {threshold} needed, to replace those in force?");
    quorum::confirm(&question, renewal.yes).await?;
    let created = to_seconds(SystemClock.now());
    Ok((Successor { threshold, custodians: renewal.custodians, created, paper: handover.paper, contact }, handover))
}

/// Reads sheets back and remembers each; when none is missing, switches.
async fn confirm(context: &Context, desk: &Desk, kind: Kind, shares: &[PathBuf]) -> Result<Exit, Failure> {
    let Some(mut pending) = Pending::load(&desk.pending_path)? else {
        return Err(Failure::usage("no new set of sheets is waiting")
            .hint("start one with --threshold, --custodian and --sheets"));
    };
    if pending.kind() != kind {
        return Err(Failure::usage("a renewal of the other kind is waiting")
            .hint("`custody reshare` and `custody rotate` confirm their own sheets"));
    }
    if !desk.is_in_force(&pending) && !desk.trust.is_followed_by(pending.epoch()) {
        return Err(Failure::new(Exit::Refused, "another epoch is in force since the new sheets were made")
            .hint("abandon the new sheets with --abort"));
    }
    let mut rejected = Vec::new();
    for (origin, text) in reading::sheets(shares).await? {
        match pending.confirm(&origin, &text, SystemClock.now()) {
            Ok(custodian) => {
                context.output.note(&format!("  {origin}: sheet {} of {} read back", custodian.share, custodian.name));
                pending.save(&desk.pending_path)?;
            }
            Err(error) => {
                context.output.warn(&error.to_string());
                rejected.push(error.to_string());
            }
        }
    }
    let missing: Vec<String> = pending.missing().into_iter().map(ToOwned::to_owned).collect();
    if missing.is_empty() {
        return finish::switch(context, desk, &pending, None).await;
    }
    let confirmed: Vec<&str> = pending.confirmed().iter().map(|(custodian, _)| custodian.name.as_str()).collect();
    let value = json!({
        "epoch": pending.epoch().number, "in_force": false, "confirmed": confirmed, "missing": missing,
        "rejected": rejected,
    });
    context.output.result(&value, || {
        format!(
            "{} of {} new sheets read back; missing: {}\nthe sheets of epoch {} stay in force",
            confirmed.len(),
            pending.epoch().total,
            missing.join(", "),
            desk.trust.current().number
        )
    });
    Ok(if rejected.is_empty() { Exit::Incomplete } else { Exit::NoQuorum })
}
