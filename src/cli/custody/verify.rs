//! `lifeboat custody verify`

use std::path::PathBuf;

use serde_json::json;

use super::reading;
use crate::{
    app::Host,
    cli::{Context, Exit, Failure, trail},
    clock::{Clock, SystemClock},
    custody::{self, Pending, SheetReport, SheetState},
    repo::{Epoch, Fault, Repository, Trust},
    share::UntrustedShare,
    storage::Storage,
};

/// Prove that one sheet is readable, original and in force; needs no other sheet and shows no secret
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat custody verify ana.txt
  lifeboat custody verify - < ana.txt
  lifeboat custody verify ana.txt --repo /mnt/west/lifeboat --no-record

Adds a signed, dated attestation to the register. Exit code 0: intact and in force; 5:
anything else.")]
pub(super) struct Args {
    /// The sheet: a text file, a photo, a scan or a PDF; `-` for stdin
    sheet: PathBuf,
    /// Do not add an attestation to the register
    #[arg(long)]
    no_record: bool,
}

/// What a sheet is compared with.
struct Known {
    repository: Repository,
    /// `None` when there is no configuration to verify the register with.
    host: Option<(Host, Trust)>,
    epochs: Vec<Epoch>,
    pending: Option<Pending>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let known = known(context).await?;
    let (origin, text) = reading::sheet(&args.sheet).await?;
    let pending = known.pending.as_ref().map(Pending::epoch);
    let report = custody::verify(&text, &known.epochs, pending).map_err(|fault| {
        let failure = Failure::new(Exit::NoQuorum, format!("{origin} {fault}"));
        if UntrustedShare::suggest(&text).is_some() {
            failure.hint("compare these rows with the paper; if the paper has the same text, replace the sheet")
        } else {
            failure.hint("read it again; if it still cannot be read, replace the sheet: `lifeboat custody reshare`")
        }
    })?;
    let attestation = if args.no_record { None } else { record(context, &known, &report).await? };
    let register_verified = known.host.is_some();
    if !register_verified {
        context
            .output
            .warn("the register itself was not verified: without a configuration its signature cannot be verified");
    }
    let value = json!({
        "sheet": report, "intact": report.finding() == Some(crate::repo::Finding::Intact) || report.state == SheetState::Pending,
        "register_verified": register_verified, "attestation": attestation,
    });
    context.output.result(&value, || text_of(&origin, &report, attestation.as_deref()));
    if report.state != SheetState::Current {
        context.output.warn(advice(report.state));
    }
    // The sheet is what the register says. Whether that is the newest register is not certain while an epoch is in doubt.
    let doubts = known.host.as_ref().map_or(&[][..], |(_, trust)| trust.faults());
    for fault in doubts {
        context.output.warn(&format!("it is not certain which sheets are in force: {fault}"));
    }
    Ok(match report.state {
        SheetState::Current => Exit::of(Fault::worst(doubts)),
        _ => Exit::NoQuorum,
    })
}

async fn known(context: &Context) -> Result<Known, Failure> {
    let config = &context.global.config;
    match &context.global.repo {
        Some(address) if !config.exists() => {
            let repository = Repository::open(Storage::open(address)?).await?;
            let epochs = repository.epochs().await?.into_iter().map(|stored| stored.epoch).collect();
            Ok(Known { repository, host: None, epochs, pending: None })
        }
        _ => {
            let host = context.host()?;
            let (repository, trust) = context.repository(&host).await?;
            let pending = Pending::load(&host.pending_path(repository.id()))?;
            let epochs = trust.epochs().to_vec();
            Ok(Known { repository, host: Some((host, trust)), epochs, pending })
        }
    }
}

/// Adds an attestation when there is something to attest and a signer to do so; gives its file.
async fn record(context: &Context, known: &Known, report: &SheetReport) -> Result<Option<String>, Failure> {
    let Some((host, trust)) = &known.host else {
        context.output.note("no attestation was recorded: only a configured host signs attestations");
        return Ok(None);
    };
    let epoch = trust.epochs().iter().find(|epoch| Some(epoch.number) == report.epoch);
    let holder = epoch.and_then(|epoch| epoch.custodians.iter().find(|holder| holder.share == report.index));
    let (Some(epoch), Some(holder), Some(finding)) = (epoch, holder, report.finding()) else { return Ok(None) };
    let signer = host.signer()?;
    let (id, now) = (known.repository.id(), SystemClock.now());
    let attestation = custody::attestation(id, epoch.number, holder, now, finding, signer.public());
    trail::begin(context, &known.repository, trust);
    let file = known.repository.put_attestation(&attestation, &signer).await?;
    trail::file(&file);
    Ok(Some(file))
}

fn text_of(origin: &str, report: &SheetReport, attestation: Option<&str>) -> String {
    let epoch = report.epoch.map_or_else(|| "not registered".into(), |epoch| epoch.to_string());
    let lines = [
        ("held by", report.custodian.clone().unwrap_or_else(|| "not registered".into())),
        ("sheet", format!("{} of {}; any {} open the backup", report.index, report.total, report.threshold)),
        ("share set", report.share_set.clone()),
        ("key epoch", epoch),
        ("key", report.key.clone()),
        ("in words", report.words.clone()),
        ("verdict", verdict(report.state).into()),
        ("recorded", attestation.unwrap_or("no").into()),
    ];
    let lines = lines.iter().map(|(what, text)| format!("  {what:<10} {text}")).collect::<Vec<_>>();
    format!("{origin}\n{}", lines.join("\n"))
}

fn verdict(state: SheetState) -> &'static str {
    match state {
        SheetState::Current => "intact, current",
        SheetState::Retired => "intact, RETIRED",
        SheetState::EarlierKey => "intact, of an EARLIER KEY",
        SheetState::Pending => "intact, NOT YET IN FORCE",
        SheetState::Altered => "ALTERED: not the sheet that was made",
        SheetState::Unregistered => "NOT REGISTERED, though of this key",
        SheetState::Foreign => "FOREIGN: of another key",
    }
}

fn advice(state: SheetState) -> &'static str {
    match state {
        SheetState::Current => "",
        SheetState::Retired => "a newer set replaced this one; it still opens everything: destroy it",
        SheetState::EarlierKey => {
            "a newer key replaced this one; keep it while you need snapshots of that key, then destroy it"
        }
        SheetState::Pending => {
            "its set comes into force when every sheet of it was read back: `custody reshare --confirm`"
        }
        SheetState::Altered => "do not rely on it; replace the sheets with `lifeboat custody reshare`",
        SheetState::Unregistered => {
            "it is from an abandoned reshare, or was made in secret: find out which, and destroy it"
        }
        SheetState::Foreign => "it is another repository's sheet, or this is another repository",
    }
}
