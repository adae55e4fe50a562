//! `lifeboat custody signer`: which hosts may sign snapshots, drills and proofs.

use std::path::Path;

use serde_json::json;

use super::{finish, renew::Desk};
use crate::{
    cli::{
        Context, Exit, Failure,
        made::Made,
        output::{plural, table},
        quorum::{self, ShareArgs},
    },
    clock::{Clock, SystemClock, to_seconds},
    crypto::{PublicKey, RecoveryKey},
    custody::{self, Kind, Pending},
    fsutil,
    repo::{AllowedSigner, ClosingList},
};

/// Show, add or remove the hosts that may sign: for a backup host that is new, replaced or no longer trusted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat custody signer list
  lifeboat custody signer add --name backup-2 --key /tmp/backup-2.pub \\
      --share bo.pdf --share dee.pdf --share eli.pdf
  lifeboat custody signer remove --name 'backup host' \\
      --share bo.pdf --share dee.pdf --share eli.pdf
  lifeboat custody signer remove --name 'stolen host' --after 812 \\
      --share bo.pdf --share dee.pdf --share eli.pdf

A quorum signs the new list as the next key epoch. The sheets stay the same. The epoch names a
closing list: every file in the repository that counts at that moment. A file of a removed
signer counts only if it is on the list. With --after N the list ends with snapshot N. Use it
when the key was stolen: N is the last snapshot that the thief did not make.")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the hosts that may sign, by name and fingerprint
    List,
    /// Allow one more host to sign
    Add(AddArgs),
    /// Do not allow a host to sign any more
    Remove(RemoveArgs),
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// The name of the new signer
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Its public key: the text `ssh-ed25519 AAAA…`, or a file with it
    #[arg(long, value_name = "KEY")]
    key: String,
    #[command(flatten)]
    shares: ShareArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
struct RemoveArgs {
    /// The name of the signer, as `list` shows it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Of this signer's files, keep only those up to snapshot number N
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    #[command(flatten)]
    shares: ShareArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::List => list(context).await,
        Action::Add(args) => add(context, args).await,
        Action::Remove(args) => remove(context, args).await,
    }
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (_, trust) = context.repository(&host).await?;
    let own = host.signer()?.public();
    let signers = &trust.current().signers;
    context.output.result(&json!({ "epoch": trust.current().number, "signers": signers, "this_host": own }), || {
        let here = |signer: &AllowedSigner| if signer.key == own { "this host" } else { "" };
        let row = |signer: &AllowedSigner| vec![signer.name.clone(), signer.key.fingerprint(), here(signer).to_owned()];
        table(&["signer", "key", ""], signers.iter().map(row).collect())
    });
    Ok(Exit::Complete)
}

async fn add(context: &Context, args: AddArgs) -> Result<Exit, Failure> {
    let key = read_key(&args.key)?;
    let desk = Desk::open(context).await?;
    let mut signers = desk.trust.current().signers.clone();
    if let Some(known) = signers.iter().find(|signer| signer.name == args.name || signer.key == key) {
        return Err(Failure::usage(format!("{} is already a signer ({})", known.name, known.key.fingerprint())));
    }
    let question = format!("Allow {} to sign with the key {}?", args.name, key.fingerprint());
    signers.push(AllowedSigner { name: args.name, key });
    let new = New { signers, closing: None, cut: None };
    change(context, &desk, new, &args.shares, &question, args.yes).await
}

async fn remove(context: &Context, args: RemoveArgs) -> Result<Exit, Failure> {
    let desk = Desk::open(context).await?;
    let current = &desk.trust.current().signers;
    let signers: Vec<AllowedSigner> = current.iter().filter(|signer| signer.name != args.name).cloned().collect();
    if signers.len() == current.len() {
        let names: Vec<&str> = current.iter().map(|signer| signer.name.as_str()).collect();
        return Err(Failure::usage(format!("no signer has the name {:?}", args.name))
            .hint(format!("the signers are: {}", names.join(", "))));
    }
    if signers.is_empty() {
        return Err(Failure::usage(format!("{} is the only signer", args.name)).hint("add the new one first"));
    }
    let own = desk.host.signer()?.public();
    if !signers.iter().any(|signer| signer.key == own) {
        context.output.warn("this is the signer of this host: after the removal, this host cannot take snapshots");
    }
    let removed: Vec<&PublicKey> =
        current.iter().filter(|signer| signer.name == args.name).map(|signer| &signer.key).collect();
    let closing = closing_list(context, &desk, &removed, args.after).await?;
    let question = format!("Remove {} from the signers?", args.name);
    let new = New { signers, closing: Some(closing), cut: args.after };
    change(context, &desk, new, &args.shares, &question, args.yes).await
}

/// What will count of the signer that is removed, shown before anybody says yes.
async fn closing_list(
    context: &Context,
    desk: &Desk,
    removed: &[&PublicKey],
    after: Option<u64>,
) -> Result<ClosingList, Failure> {
    let chain = desk.repository.chain(&desk.trust).await?;
    for fault in &chain.faults {
        context.output.warn(&format!("{}: {}", fault.file, fault.detail));
    }
    let head = chain.witness().map_or(0, |head| head.sequence);
    if let Some(after) = after.filter(|after| *after == 0 || *after > head) {
        return Err(Failure::usage(format!("there is no snapshot number {after}; the newest is number {head}")));
    }
    let list = desk.repository.closing_list(&desk.trust, &chain, after).await?;
    let last = list.head.as_ref().map_or(0, |head| head.sequence);
    context.output.note(&format!(
        "The closing list keeps {} up to number {last}, {} and {}. Other files of this signer do not count.",
        plural(list.snapshots.len() as u64, "snapshot"),
        plural(list.drills.len() as u64, "drill record"),
        plural(list.attestations.len() as u64, "attestation"),
    ));
    let pending = chain.pending().into_iter().map(|(each, _)| each);
    let of_removed = pending.filter(|each| removed.contains(&&each.record.signer));
    let lapsing: Vec<&str> = of_removed.map(|each| each.name.as_str()).collect();
    if !lapsing.is_empty() {
        context.output.note(&format!(
            "Removals that this signer ordered and that are not done yet are cancelled: {}",
            lapsing.join(", ")
        ));
    }
    Ok(list)
}

/// What a change makes.
struct New {
    signers: Vec<AllowedSigner>,
    closing: Option<ClosingList>,
    /// The number at which it cuts the history.
    cut: Option<u64>,
}

/// Signed, remembered, then stored: a run that was cut in between is finished by the next one, without a quorum.
async fn change(
    context: &Context,
    desk: &Desk,
    new: New,
    shares: &ShareArgs,
    question: &str,
    yes: bool,
) -> Result<Exit, Failure> {
    if let Some(pending) = Pending::load(&desk.pending_path)? {
        if pending.kind() != Kind::Signers {
            return Err(Failure::new(Exit::Refused, "new sheets wait to be read back")
                .hint("first complete them with --confirm, or abandon them with --abort"));
        }
        context
            .output
            .warn("an earlier change of the signers was interrupted: it is complete now; this change was not started");
        return finish::switch(context, desk, &pending, None).await;
    }
    quorum::confirm(question, yes).await?;
    let opened = quorum::open(context, &desk.repository, shares).await?;
    let pending = sign(desk, &opened.key, &new.signers, new.closing)?;
    drop(opened);
    finish::switch(context, desk, &pending, new.cut).await
}

/// Signs the new list and remembers it.
fn sign(
    desk: &Desk,
    key: &RecoveryKey,
    signers: &[AllowedSigner],
    closing: Option<ClosingList>,
) -> Result<Pending, Failure> {
    let ceremony = custody::change_signers(key, signers, closing, to_seconds(SystemClock.now()), &desk.trust)?;
    let pending = Pending::new(Kind::Signers, &ceremony);
    pending.save(&desk.pending_path)?;
    Ok(pending)
}

/// Lets this host sign too, whose configuration and keys `made` holds: they stay as soon as the change is remembered, since
/// from then on it is finished, not begun again.
pub(in crate::cli) async fn join(
    context: &Context,
    key: &RecoveryKey,
    host: AllowedSigner,
    made: Made,
) -> Result<Exit, Failure> {
    let desk = Desk::open(context).await?;
    let mut signers = desk.trust.current().signers.clone();
    signers.push(host);
    let pending = sign(&desk, key, &signers, None)?;
    made.keep();
    let again = "this host is set up; `lifeboat custody signer add` finishes the change of the signers";
    finish::switch(context, &desk, &pending, None).await.map_err(|failure| failure.also(again))
}

/// The key itself, or the file that holds it.
fn read_key(key: &str) -> Result<PublicKey, Failure> {
    let parsed = key.parse().or_else(|error| match fsutil::read(Path::new(key)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).parse(),
        Err(_) => Err(error),
    });
    parsed.map_err(|error| Failure::usage(format!("--key is {error}")).hint("make a key with `ssh-keygen -t ed25519`"))
}
