//! Where a drill restores from and to: sites behind the guard, an account or the embedded sandbox.

use std::sync::Arc;

use super::super::{Context, Exit, Failure, history, survey};
use crate::{
    app::{self, Host, Site},
    drill::{self, DrillError, DrillFile, Past, TargetKind},
    emulator::{Sandbox, SandboxOptions},
    isolation::Isolation,
    provider::{
        Access, Address, BAD_SETTING, Connected, Connection, ErrorKind, Purpose, kinds, memory::Memory, of_region,
    },
    repo::{Remembered, Repository, StoredDrill, Trust},
    storage::{Storage, StorageError},
};

const SANDBOX_ACCOUNTS: [&str; 2] = ["999999999999", "888888888888"];
const SANDBOX_REGIONS: [&str; 2] = ["eu-west-1", "eu-central-1"];

/// The repository or copy a drill restores from, and the others that may be reached.
pub(super) struct From {
    pub(super) repository: Repository,
    pub(super) trust: Trust,
    pub(super) is_copy: bool,
    /// Of this repository, not lost, and reachable.
    pub(super) others: Vec<Repository>,
    /// Every record that can be reached.
    pub(super) past: Vec<Past>,
}

/// Opens the site that the drill file names, or the first that is not lost.
pub(super) async fn from(
    context: &Context,
    host: &Host,
    file: &DrillFile,
    isolation: &Arc<Isolation>,
) -> Result<From, Failure> {
    let sites = sites(context, host);
    let chosen = match &file.snapshot.from {
        Some(wanted) if context.global.repo.is_none() => named(&sites, wanted)?,
        _ => reachable(&sites, isolation)?,
    };
    let (repository, trust) = host.site(&sites[chosen], isolation).await?;
    let mut stored = repository.drills().await?;
    let mut others = Vec::new();
    for (position, site) in sites.iter().enumerate().filter(|(position, _)| *position != chosen) {
        if isolation.lost().storages.contains(&site.url) {
            continue;
        }
        match records_of(host, site, isolation, &repository).await {
            Ok((other, mut records)) => {
                stored.append(&mut records);
                others.push(other);
            }
            Err(failure) => context.output.note(&format!("{} was not read: {}", sites[position].url, failure.message)),
        }
    }
    let past = drill::judge(stored, &trust);
    Ok(From { repository, is_copy: sites[chosen].is_copy, trust, others, past })
}

/// What this host remembers of the site that was chosen, and what the drills before this one saw.
/// The copies at `urls` are asked too.
pub(super) async fn remembered(
    context: &Context,
    host: &Host,
    from: &From,
    (urls, isolation): (&[String], &Arc<Isolation>),
) -> Result<Vec<Remembered>, Failure> {
    let mut remembered = survey::remembered(None, &[], &from.past);
    let id = from.repository.id();
    if from.is_copy {
        let seen = host.copies_seen(id)?;
        let of = |url: &&String| {
            Storage::open(url).is_ok_and(|there| there.address() == from.repository.storage().address())
        };
        let seen = seen.keys().find(of).and_then(|url| seen.get(url)).map(|seen| seen.head);
        remembered.extend(survey::remembered(seen, &[], &[]));
    } else if context.global.repo.is_none() {
        remembered.extend(history::everywhere(host, id)?);
    }
    for url in urls {
        remembered.extend(compared(url, from, isolation).await?);
    }
    Ok(remembered)
}

/// The head of the copy at `url`; nothing that counts as lost is asked.
async fn compared(url: &str, from: &From, isolation: &Arc<Isolation>) -> Result<Option<Remembered>, Failure> {
    // As the places that count as lost are named.
    let address = if url.contains("://") { url.into() } else { std::path::absolute(url)?.display().to_string() };
    history::head_of(url, Storage::open_within(&address, None, isolation)?, &from.repository, &from.trust).await
}

fn sites(context: &Context, host: &Host) -> Vec<Site> {
    let mut sites = host.sites();
    if let Some(url) = &context.global.repo {
        match sites.iter().position(|site| site.url == *url) {
            Some(position) => sites.swap(0, position),
            None => sites.insert(0, Site { url: url.clone(), region: None, is_copy: true }),
        }
    }
    sites
}

fn named(sites: &[Site], wanted: &str) -> Result<usize, Failure> {
    let of = |site: &Site| {
        let region = site.region.clone().or_else(|| Storage::open(&site.url).ok()?.region().map(str::to_owned));
        site.url == wanted || region.as_deref() == Some(wanted) || (wanted == "repository" && !site.is_copy)
    };
    sites.iter().position(of).ok_or_else(|| {
        let known: Vec<&str> = sites.iter().map(|site| site.url.as_str()).collect();
        Failure::usage(format!("[snapshot] from = {wanted:?} is not a repository or copy of this host"))
            .hint(format!("known: {}; a copy's region works too", known.join(", ")))
    })
}

fn reachable(sites: &[Site], isolation: &Isolation) -> Result<usize, Failure> {
    let is_lost = |site: &Site| isolation.lost().storages.contains(&site.url);
    sites.iter().position(|site| !is_lost(site)).ok_or_else(|| {
        Failure::new(Exit::Refused, "the repository and every copy count as lost in this drill")
            .hint("set [[copy]] region for each copy, and keep a copy in another region")
    })
}

async fn records_of(
    host: &Host,
    site: &Site,
    isolation: &Arc<Isolation>,
    repository: &Repository,
) -> Result<(Repository, Vec<StoredDrill>), Failure> {
    let (other, _) = host.site(site, isolation).await?;
    if other.id() != repository.id() {
        return Err(Failure::new(Exit::Refused, "another repository is there"));
    }
    let records = other.drills().await?;
    Ok((other, records))
}

/// Brings every record to every site that may be reached; what could not be written, in sentences.
pub(super) async fn deliver(from: &From) -> Vec<String> {
    let mut faults = Vec::new();
    let mut known: Vec<StoredDrill> = from.past.iter().map(|past| past.stored.clone()).collect();
    match from.repository.drills().await {
        Ok(stored) => known.extend(stored),
        Err(error) => faults.push(error.to_string()),
    }
    // What does not count is not spread.
    let counting = drill::judge(known, &from.trust).into_iter().filter(Past::is_genuine);
    let all: Vec<Past> = counting.collect();
    for site in from.others.iter().chain([&from.repository]) {
        for Past { stored, .. } in &all {
            if let Err(error) = site.put_stored_drill(stored).await {
                faults.push(format!("record {} was not stored in {}: {error}", stored.name, site.storage().address()));
            }
        }
    }
    faults
}

/// A target, and the sandbox behind it if it is the embedded one.
pub(super) struct To {
    pub(super) connected: Connected,
    /// Held so that it lives as long as the drill.
    pub(super) sandbox: Option<Sandbox>,
}

/// Connects to the target of a drill, behind the guard.
pub(super) async fn to(host: &Host, file: &DrillFile, isolation: &Arc<Isolation>) -> Result<To, Failure> {
    if file.target.kind == TargetKind::BreakGlass {
        // Nothing is written: an empty place stands for it wherever a drill asks its target.
        let nothing = Arc::new(Memory::new("break-glass", "loopback"));
        let connected = Connected { target: Arc::clone(&nothing) as _, readback: nothing };
        return Ok(To { connected, sandbox: None });
    }
    let target = &file.target;
    if let Some(url) = &target.url {
        let url = url.parse::<Address>()?.settle(Purpose::Target).await?;
        let connected = app::connect_target(&url, 1.0, Some(Arc::clone(isolation)), || host.version_key()).await?;
        return Ok(To { connected, sandbox: None });
    }
    if !target.sandbox {
        let region = target.region.clone().unwrap_or_default();
        let url = of_region(&region)?.settle(Purpose::Target).await?;
        app::allowed(&host.config.policy, &region)?;
        let access = Access { role: target.role.clone(), profile: target.profile.clone(), ..Access::default() };
        let (endpoint, isolation) = (target.endpoint.clone(), Some(Arc::clone(isolation)));
        let connection = Connection { access, endpoint, isolation, ..Connection::plain() };
        return Ok(To { connected: url.connect_target(&connection).await?, sandbox: None });
    }
    let sandbox = Sandbox::start(SandboxOptions::default()).await?;
    let sources = &host.config.sources;
    let account = SANDBOX_ACCOUNTS.iter().find(|account| !sources.accounts().contains(**account));
    let lost = isolation.lost();
    let usable = |region: &&&str| !lost.has_region(region) && !sources.regions().contains(**region);
    let region = SANDBOX_REGIONS.iter().find(usable).copied().unwrap_or("sandbox-1");
    let account = account.copied().unwrap_or_default();
    let connected = sandbox.connect(account, region, Some(Arc::clone(isolation))).await?;
    Ok(To { connected, sandbox: Some(sandbox) })
}

/// Tries to reach everything that counts as lost, and fails if it is let through: the guard is proven before it is needed.
pub(super) async fn prove(isolation: &Arc<Isolation>) -> Result<(), Failure> {
    let through = |what: &str| Failure::from(DrillError::Control(format!("a connection to {what} was let through")));
    let lost = isolation.lost();
    let regions = lost.regions.iter().map(|region| (region.as_str(), None));
    let endpoints = lost.endpoints.iter().map(|endpoint| (SANDBOX_REGIONS[0], Some(endpoint)));
    for (region, endpoint) in regions.chain(endpoints) {
        // By its host alone: an endpoint in clear would be refused before the guard sees it.
        let host = |url: &String| url.split_once("://").map_or(url.as_str(), |(_, host)| host).to_owned();
        let url = endpoint.map(|url| format!("https://{}", host(url)));
        for kind in kinds() {
            match kind.knock(region, url.as_deref(), isolation).await {
                None => {}
                Some(Err(error)) if error.kind == ErrorKind::Denied && error.code == "Lost" => {}
                Some(Err(error)) if error.code == BAD_SETTING => return Err(error.into()),
                Some(_) => return Err(through(endpoint.map_or(region, String::as_str))),
            }
        }
    }
    for url in &isolation.lost().storages {
        match Storage::open_within(url, None, isolation) {
            Err(StorageError::Lost(_)) => {}
            _ => return Err(through(url)),
        }
    }
    Ok(())
}
