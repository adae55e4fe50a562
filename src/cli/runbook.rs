//! `lifeboat runbook`

use std::{fmt::Write, path::PathBuf};

use jiff::Timestamp;
use serde_json::json;

use super::{Context, Exit, Failure, history};
use crate::{
    app::Host,
    clock::{Clock, SystemClock},
    config::{CopySection, SourceSection, Sources},
    custody,
    drill::{self, report},
    fsutil::{self, Access, Existing},
    model::Place,
    provider::{Address, Purpose},
    repo::{Epoch, Repository, TrustAnchor},
    storage::Storage,
    text,
};

/// Print the recovery procedure: who, which sheets, which copy, which commands, how long
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat runbook --to aws:eu-west-1 --call 'Platform on call: +49 30 1234567' --out runbook.md
  lifeboat runbook --repo 's3://lifeboat-west/prod?region=eu-west-1' --to aws:eu-west-1

It holds nothing secret. Print it, and keep it where the region that may be lost is not. Without a configuration it is
made from the copy alone. Exit code 3: the repository cannot be reached, and the page says what it lacks.")]
pub struct Args {
    /// Where to restore to: `aws:REGION`, `vault:https://HOST/MOUNT`, `gcp:PROJECT`, `azure:VAULT` or `env:FOLDER`
    /// (repeat)
    #[arg(long, value_name = "ADDRESS", required = true)]
    to: Vec<Address>,
    /// Who is called first: a name and a telephone number (repeat; default: [custody] call of the configuration)
    #[arg(long, value_name = "TEXT")]
    call: Vec<String>,
    /// The file to write, replaced if it is there (default: standard output)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What the page is made of.
#[derive(Default)]
struct Facts {
    /// Addresses that may be read on the day, with where they are.
    copies: Vec<(String, Option<String>)>,
    sources: Vec<SourceFacts>,
    epoch: Option<Epoch>,
    /// Number and time of the newest snapshot of all sources.
    newest: Option<(u64, Timestamp)>,
    /// RTO in seconds and day of the last drill that passed.
    drilled: Option<(f64, Timestamp)>,
    is_verified: bool,
    /// Why the repository could not be read.
    unreachable: Option<String>,
}

/// One source, and its newest snapshot.
struct SourceFacts {
    name: String,
    /// For `--source`.
    filter: String,
    /// Where it is, once it was captured.
    place: Option<Place>,
    newest: Option<(u64, Timestamp)>,
}

pub(super) async fn run(context: &Context, mut args: Args) -> Result<Exit, Failure> {
    for target in &args.to {
        target.settle(Purpose::Source).await?;
    }
    let mut facts = facts(context).await?;
    if context.global.config.exists() {
        let host = context.host()?;
        add_configured(&mut facts, &host);
        if args.call.is_empty() {
            args.call.extend(host.config.custody.call.clone());
        }
    }
    let page = page(&facts, &args);
    if let Some(path) = &args.out {
        fsutil::write(path, page.as_bytes(), Access::Public, Existing::Replace)?;
        context.output.result(&json!({ "file": path }), || path.display().to_string());
    } else {
        context.output.artefact(&page);
    }
    match &facts.unreachable {
        None => Ok(Exit::Complete),
        Some(reason) => {
            context.output.warn(&format!("the repository cannot be read, so the page is incomplete: {reason}"));
            Ok(Exit::Incomplete)
        }
    }
}

/// What the repository says, or why it says nothing.
async fn facts(context: &Context) -> Result<Facts, Failure> {
    let found = if context.global.config.exists() { of_host(context).await } else { of_copy(context).await };
    match found {
        // A wrong argument or a forged history is not an outage.
        Err(failure) if failure.exit == Exit::Failed => {
            Ok(Facts { unreachable: Some(failure.message), ..Facts::default() })
        }
        other => other,
    }
}

async fn of_host(context: &Context) -> Result<Facts, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let past = super::drill::judged_of(context, &host, &repository, &trust).await?;
    let passed = past.iter().rev().filter_map(drill::Past::verified).find(|it| it.result == drill::Verdict::Passed);
    let drilled = passed.and_then(|facts| Some((facts.rto_seconds?, facts.started()?)));
    let judgement = repository.judge_recent(&trust, &history::of_host(context, &repository)?).await?;
    let mut facts = Facts { drilled, is_verified: true, ..Facts::default() };
    history_of(context, &mut facts, &judgement);
    facts.epoch = Some(trust.current().clone());
    Ok(facts)
}

/// Without a configuration the newest epoch is believed as far as the page goes; the sheets decide on the day.
async fn of_copy(context: &Context) -> Result<Facts, Failure> {
    let Some(address) = &context.global.repo else { return Err(context.host().err().unwrap_or_else(no_address)) };
    let repository = Repository::open(Storage::open(address)?).await?;
    let epochs = repository.epochs().await?;
    let newest = epochs.into_iter().map(|stored| stored.epoch).max_by_key(|epoch| epoch.number);
    let epoch = newest.ok_or_else(|| Failure::new(Exit::Damaged, "there is no key epoch").hint("use another copy"))?;
    let anchor = TrustAnchor { root: epoch.root.clone(), recipient: epoch.recipient.clone() };
    let trust = repository.trust(&anchor).await?;
    let judgement = repository.judge_recent(&trust, &[]).await?;
    let mut facts = Facts { copies: vec![(address.clone(), None)], epoch: Some(epoch), ..Facts::default() };
    history_of(context, &mut facts, &judgement);
    Ok(facts)
}

fn no_address() -> Failure {
    Failure::usage("no repository is named").hint("use --repo URL, or --config FILE")
}

fn history_of(context: &Context, facts: &mut Facts, judgement: &crate::repo::Judgement) {
    for fault in judgement.faults().iter().filter(|fault| fault.severity().is_some()) {
        context.output.warn(&fault.to_string());
    }
    facts.newest = judgement.chain().head().map(|head| (head.manifest().sequence, head.manifest().time));
    let source = |(place, newest): (&&Place, &&crate::repo::VerifiedManifest)| SourceFacts {
        name: place.to_string(),
        filter: place.short(),
        place: Some((**place).clone()),
        newest: Some((newest.manifest().sequence, newest.manifest().time)),
    };
    facts.sources = judgement.chain().newest().iter().map(source).collect();
}

/// Copies, and sources that have no snapshot yet.
fn add_configured(facts: &mut Facts, host: &Host) {
    let copy = |copy: &CopySection| (copy.url.clone(), copy.region.clone());
    facts.copies = host.config.copies.iter().map(copy).collect();
    let Sources::Organization(section) = &host.config.sources else {
        for source in host.config.sources.listed() {
            add_source(facts, source);
        }
        return;
    };
    if facts.sources.is_empty() {
        let name = format!("{} of the organization", section.regions.join(" or "));
        let filter = "ACCOUNT:REGION".into();
        facts.sources.push(SourceFacts { name, filter, place: None, newest: None });
    }
}

fn add_source(facts: &mut Facts, source: &SourceSection) {
    let is = |place: &Place| {
        source.url.leads_to(place) && source.account.as_ref().is_none_or(|account| *account == place.account)
    };
    if !facts.sources.iter().any(|known| known.place.as_ref().is_some_and(is)) {
        let account = source.account.as_deref().unwrap_or("ACCOUNT");
        facts.sources.push(SourceFacts {
            name: format!("{} of account {account}", source.url),
            filter: format!("{account}:{}", source.url.region().unwrap_or("REGION")),
            place: None,
            newest: None,
        });
    }
}

/// A copy's address without what only the backup host has: its profile.
pub(super) fn address_for_others(url: &str) -> String {
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|option| !option.starts_with("profile=")).collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

fn page(facts: &Facts, args: &Args) -> String {
    let mut page = String::new();
    heading(&mut page, facts);
    people(&mut page, facts, &args.call);
    machine(&mut page, facts);
    serve(&mut page, facts);
    commands(&mut page, facts, &args.to);
    afterwards(&mut page);
    page
}

fn add(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("writing to a string does not fail");
}

/// A command in a block of its own, on one line.
fn add_command(page: &mut String, words: &[&str]) {
    add(page, &format!("    {}\n", text::command(words.iter().copied())));
}

/// The first question of the day, and the command for the faster answer.
fn serve(page: &mut String, facts: &Facts) {
    let copy = facts.copies.first().map_or_else(|| "COPY".into(), |(url, _)| address_for_others(url));
    let expect = facts.newest.map_or_else(|| "N".into(), |(number, _)| number.to_string());
    add(page, "## 3  Serve first\n");
    add(page, "Applications that only read secrets read from this machine, in seconds; nothing is written anywhere.\n");
    let words = ["break-glass", "serve", "--repo", &copy, "--share", "sheets/", "--expect-number", &expect];
    add_command(page, &["lifeboat"].into_iter().chain(words).collect::<Vec<_>>());
    add(page, "In another terminal, for each application:\n");
    add_command(page, &["lifeboat", "break-glass", "grant", "APPLICATION", "--secrets", "PATTERN", "--for", "4h"]);
}

fn heading(page: &mut String, facts: &Facts) {
    let names: Vec<&str> = facts.sources.iter().map(|source| source.name.as_str()).collect();
    let names = if names.is_empty() { "the source".into() } else { names.join(" or ") };
    add(page, &format!("# When {names} is gone\n"));
    let day = SystemClock.now().strftime("%Y-%m-%d");
    add(page, &format!("Made by `lifeboat runbook` on {day}. Print it again after a change of sheets or copies.\n"));
    add(
        page,
        "**Serve, or restore?** Serve first (3): it needs no provider. Restore (4, 5) when another region is usable and \
         will stay so, or for what the provider itself reads.\n",
    );
    if facts.unreachable.is_some() {
        add(
            page,
            "**Incomplete: the repository could not be read.** This page lacks the custodians, the six words and the \
             newest snapshot. Any copy has them: `lifeboat runbook --repo COPY`.\n",
        );
    } else if !facts.is_verified {
        add(
            page,
            "Made from one copy, without a configuration: **nothing on this page is verified.** The six words on every \
             sheet must be the words below.\n",
        );
    }
}

fn people(page: &mut String, facts: &Facts, call: &[String]) {
    add(page, "## 1  Call\n");
    for who in call {
        add(page, &format!("- {}", text::line(who)));
    }
    if !call.is_empty() {
        add(page, "");
    }
    let Some(epoch) = &facts.epoch else {
        add(page, "Custodians: not known. The register of key ceremonies names them.\n");
        return;
    };
    add(page, &format!("Any {} of these {}:\n", epoch.threshold, epoch.total));
    add(page, "| sheet | custodian | telephone | called | coming |\n|---|---|---|---|---|");
    for custodian in &epoch.custodians {
        add(page, &format!("| {} | {} | | | |", custodian.share, text::line(&custodian.name).replace('|', "\\|")));
    }
    add(
        page,
        &format!(
            "\nSay these six words when you call. Every sheet has them; a custodian who reads others does not come:\n\n\
             **{}**\n",
            custody::words(epoch)
        ),
    );
    add(
        page,
        &format!(
            "A sheet is one page with the title LIFEBOAT RECOVERY SHEET, two square codes, and four rows of letters \
             and digits. These sheets show key epoch {}, share set {}. Other sheets do not open it.\n",
            epoch.number,
            custody::share_set(epoch)
        ),
    );
}

fn machine(page: &mut String, facts: &Facts) {
    add(page, "## 2  Prepare a clean machine\n");
    add(page, "- The program `lifeboat`. Nothing else of the old backup host is needed.");
    add(
        page,
        "- Credentials of the account to restore into: `AWS_PROFILE`, or `AWS_ACCESS_KEY_ID` and its companions. \
         `lifeboat doctor --policy restore --to …` prints what they must allow.",
    );
    add(page, "- Credentials that read one of these copies:\n");
    for (url, region) in &facts.copies {
        let region = region.as_ref().map_or(String::new(), |region| format!(" in {region}"));
        add(page, &format!("  - `{}`{region}", address_for_others(url)));
    }
    add(
        page,
        if facts.copies.is_empty() {
            "  - **none is configured**: with the repository everything is lost\n"
        } else {
            "\nA copy in S3 is read with the same credentials. When it needs others, make a profile for them \
             (`aws configure --profile copy`) and add `profile=copy` to the address. The backup host's profile is gone \
             with the host.\n"
        },
    );
    add(
        page,
        &match facts.newest {
            Some((number, time)) => format!(
                "The newest snapshot when this was printed: **number {number}, of {time}**. A copy whose newest number \
                 is lower was rolled back: use another copy. The custodians' bags and sheets have a number too. Use the \
                 highest of all in `--expect-number`.\n"
            ),
            None => "The newest snapshot is not known, or there is none yet. The custodians' bags and sheets have a \
                     number: use the highest in `--expect-number`.\n"
                .into(),
        },
    );
}

fn commands(page: &mut String, facts: &Facts, targets: &[Address]) {
    let copy = facts.copies.first().map_or_else(|| "COPY".into(), |(url, _)| address_for_others(url));
    let expect = facts.newest.map_or_else(|| "N".into(), |(number, _)| number.to_string());
    add(page, "## 4  Look; nothing is written\n");
    add_command(page, &["lifeboat", "words", "--repo", &copy]);
    let mut restores: Vec<(String, Vec<String>)> = Vec::new();
    for source in &facts.sources {
        for target in targets {
            let mut words: Vec<String> =
                ["lifeboat", "restore", "--repo", &copy, "--to", &target.to_string()].map(str::to_owned).into();
            if facts.sources.len() > 1 {
                words.extend(["--source".into(), source.filter.clone()]);
            }
            words.extend(["--share", "sheets/", "--expect-number", &expect].map(str::to_owned));
            let of = source.newest.map_or(String::new(), |(number, time)| format!(", snapshot {number} of {time}"));
            restores.push((format!("{} into {target}{of}:", source.name), words));
        }
    }
    add(
        page,
        "The folder `sheets` has photos, PDFs or text files of the sheets. Leave `--share sheets/` out to type them.\n",
    );
    for (title, words) in &restores {
        add(page, &format!("{title}\n"));
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--plan"]).collect();
        add_command(page, &words);
    }
    add(page, "## 5  Restore\n");
    add(page, "Into another account of AWS than the source's, add `--account` and its number.\n");
    for (title, words) in &restores {
        add(page, &format!("{title}\n"));
        add_command(page, &words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    add(
        page,
        "Current versions come first. When it stops, run it again. Exit code 0: everything is there and equal.\n",
    );
    add(
        page,
        &match facts.drilled {
            Some((seconds, time)) => {
                format!("Expected: {}, as in the drill of {}.\n", report::duration(seconds), time.strftime("%Y-%m-%d"))
            }
            None => "Expected: not known. No drill has passed yet.\n".into(),
        },
    );
}

fn afterwards(page: &mut String) {
    add(
        page,
        "## 6  Afterwards\n\nARNs have new suffixes; rotation is off; destroy files of sheets. docs/runbook.md says more.\n",
    );
    add(page, "| who | what | when | signature |\n|---|---|---|---|\n| | | | |\n| | | | |");
}

#[cfg(test)]
mod tests {
    use super::address_for_others;

    #[test]
    fn a_profile_of_the_backup_host_is_not_printed() {
        for (url, printed) in [
            ("s3://b/p?region=eu-west-1&profile=x", "s3://b/p?region=eu-west-1"),
            ("s3://b/p?profile=x", "s3://b/p"),
            ("s3://b/p?profile=x&endpoint=http://h", "s3://b/p?endpoint=http://h"),
            ("/mnt/west", "/mnt/west"),
        ] {
            assert_eq!(address_for_others(url), printed);
        }
    }
}
