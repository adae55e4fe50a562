//! `lifeboat runbook`

use std::{fmt::Write, path::PathBuf};

use jiff::Timestamp;
use serde_json::json;

use super::{Context, Exit, Failure, history};
use crate::{
    app::Host,
    clock::{Clock, SystemClock},
    config::{CopySection, SourceSection, Sources},
    drill::{self, report},
    fsutil::{self, Access, Existing},
    repo::Epoch,
};

/// Print the recovery procedure of this configuration: who, which sheets, which copy, which commands, how long
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat runbook --to aws:eu-west-1 --out runbook.md

It holds nothing secret. Print it, and keep it where the region that may be lost is not.")]
pub struct Args {
    /// The region to restore to
    #[arg(long, value_name = "aws:REGION")]
    to: crate::config::ProviderAddress,
    /// The file to write, replaced if it is there (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let past = super::drill::judged_of(context, &host, &repository, &trust).await?;
    let last = past.iter().rev().filter_map(drill::Past::verified).find(|facts| facts.result == drill::Verdict::Passed);
    let judgement = repository.judge_recent(&trust, &history::of_host(context, &repository)?).await?;
    for fault in judgement.faults().iter().filter(|fault| fault.severity().is_some()) {
        context.output.warn(&fault.to_string());
    }
    let newest = judgement.chain().head().map(|head| (head.manifest().sequence, head.manifest().time));
    let text = text(&host, trust.current(), &args.to.to_string(), last, newest);
    if let Some(path) = &args.out {
        fsutil::write(path, text.as_bytes(), Access::Public, Existing::Replace)?;
        context.output.result(&json!({ "file": path }), || path.display().to_string());
    } else {
        context.output.result(&json!({ "runbook": text }), || text.clone());
    }
    Ok(Exit::Complete)
}

/// `aws:eu-central-1 of account 111111111111`, or all of them.
fn names(sources: &Sources) -> String {
    if let Sources::Organization(section) = sources {
        return format!("{} of the organization", section.regions.join(" or "));
    }
    let name = |source: &SourceSection| match &source.account {
        Some(account) => format!("{} of account {account}", source.url),
        None => source.url.to_string(),
    };
    sources.listed().iter().map(name).collect::<Vec<_>>().join(" or ")
}

fn text(host: &Host, epoch: &Epoch, to: &str, last: Option<&drill::Facts>, newest: Option<(u64, Timestamp)>) -> String {
    let sources = names(&host.config.sources);
    let mut text = format!(
        "# When {sources} is gone\n\nMade by `lifeboat runbook` on {}; make it anew after a change of sheets or copies.\n\n",
        SystemClock.now().strftime("%Y-%m-%d"),
    );
    let mut line = |words: String| writeln!(text, "{words}").expect("writing to a string does not fail");
    line(format!("## 1  Call: any {} of these {}\n", epoch.threshold, epoch.total));
    line("| sheet | custodian | telephone | called | coming |\n|---|---|---|---|---|".into());
    for custodian in &epoch.custodians {
        line(format!("| {} | {} | | | |", custodian.share, custodian.name));
    }
    let set = epoch.share_set.to_uppercase();
    let (first, second) = set.split_at(set.len() / 2);
    line(format!(
        "\nTheir sheets say: key epoch {}, share set {first}-{second}. Other sheets do not open it.\n",
        epoch.number
    ));
    line("## 2  A clean machine, with\n\n- the program `lifeboat`, nothing else is needed of the old host;".into());
    line(format!("- credentials of AWS for the account, `{to}`;\n- one of these copies:\n"));
    for CopySection { url, region, .. } in &host.config.copies {
        line(format!("  - `{url}`{}", region.as_ref().map_or(String::new(), |region| format!(" in {region}"))));
    }
    if host.config.copies.is_empty() {
        line("  - **none is configured**: with the repository everything is lost".into());
    }
    let expect = newest.map_or_else(|| "N".into(), |(number, _)| number.to_string());
    // Several sources are restored one after the other.
    let of = if matches!(host.config.sources, Sources::One(_)) { "" } else { " --source ACCOUNT:REGION" };
    let copy = host.config.copies.first().map_or("COPY", |copy| &copy.url);
    line(match newest {
        Some((number, time)) => format!(
            "\nThe newest snapshot when this was printed: **number {number}, of {time}**. A copy whose newest number is lower was\n\
             rolled back: look at another one. The custodians' bags and sheets have a number too. Use the highest of all: `--expect-number N`."
        ),
        None => "\nThere was no snapshot yet when this was printed: print it again after the first one. The custodians' bags and \
                 sheets may have a number: `--expect-number N`."
            .into(),
    });
    line(format!(
        "\n## 3  Look; nothing is written\n\n    lifeboat restore --repo {copy} --to {to}{of} --share sheets/ --expect-number {expect} --plan\n\n\
         Sheets are photos, PDFs or text files in the folder `sheets`; without it they are asked for.\n"
    ));
    line(format!(
        "## 4  Restore\n\n    lifeboat restore --repo {copy} --to {to}{of} --share sheets/ --expect-number {expect}\n"
    ));
    line(
        "Current versions come first. When it stops, run it again. Exit code 0: everything is there and equal.\n"
            .into(),
    );
    line(match last.and_then(|facts| Some((facts.rto_seconds?, facts.started()?))) {
        Some((seconds, time)) => {
            format!("Expected: {}, as in the drill of {}.\n", report::duration(seconds), time.strftime("%Y-%m-%d"))
        }
        None => "Expected: nobody knows, no drill has passed yet.\n".into(),
    });
    line("## 5  Afterwards\n\nARNs have new suffixes; rotation is off; destroy files of sheets. docs/runbook.md says more.\n".into());
    line("| who | what | when | signature |\n|---|---|---|---|\n| | | | |\n| | | | |".into());
    text
}
