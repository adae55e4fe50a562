//! The listing: page after page while it is short, in parts side by side when it is long.
//!
//! Nothing here decides whether a secret is missed: [`Part`]s are everything by construction. The order of names and the
//! looks ahead only decide where it pays to split. A provider that refuses filters, or does not do as they say, is
//! listed page after page.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SortByType, SortOrderType};
use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};

use super::{
    Aws,
    answers::{fingerprint, listed_secret},
    call::{Operation, Raw},
    failure::Failure,
    parts::Part,
    read::{PAGE, Pages, raw_entries},
    request::is_arn_of,
};
use crate::{
    model::Digest,
    provider::{ErrorKind, Listed, ProviderError},
};

/// Pages asked for at once.
const AT_ONCE: usize = 16;
/// Parts under way that are enough: at 100 ms a page they use the quota of 100 a second.
const ENOUGH: usize = 10;
/// Pages after which it may pay to split a part, a power of two; for the whole listing it is four times as many.
const SHORT: u32 = 4;
/// Splits of one listing: a bound on what looking ahead may cost.
const SPLITS: u32 = 64;
/// Splits in a row that may leave one long part, before it stays as it is.
const POOR: u32 = 3;
/// Secrets of one account and region, ten times AWS's quota: a listing that goes on beyond them does not end.
const MOST: usize = 5_000_000;
/// Empty pages that are passed over to find the last name.
const EMPTY: u32 = 3;

/// Whether the provider does as filters of a form say, once that was tried.
type Tried = Arc<Mutex<BTreeMap<(bool, bool), bool>>>;

/// One part and how far it is listed.
struct Walk {
    part: Part,
    pages: Pages,
    count: u32,
    /// The first and the last name so far.
    ends: Option<(String, String)>,
    /// Splits in a row that led here and left one long part.
    poor: u32,
}

/// What happened to a walk.
enum Step {
    Page(Walk, Vec<Listed>),
    /// It was replaced by these, each with the first page.
    Split(Vec<(Walk, Vec<Listed>)>),
    /// It goes on as it is.
    Whole(Walk),
}

/// A listing under way.
struct Listing<'a> {
    aws: &'a Aws,
    waiting: VecDeque<Walk>,
    running: FuturesUnordered<BoxFuture<'a, Result<Step, Failure>>>,
    /// Half a SHA-256 of each identifier: a secret may move to another page, and a part that is split is begun anew.
    seen: HashSet<u128>,
    splits: u32,
    tried: Tried,
}

impl Aws {
    /// Every secret, each once. An empty page is not the end, an empty token is.
    pub(super) fn listing(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        let pages = stream::unfold(Some(Listing::of(self)), |state| async move {
            let mut listing = state?;
            match listing.next().await? {
                Ok(page) => Some((page.into_iter().map(Ok).collect(), Some(listing))),
                Err(failure) => Some((vec![Err(failure.into())], None)),
            }
        });
        pages.flat_map(stream::iter::<Vec<_>>).boxed()
    }

    /// The next page of a part, in the order of names.
    async fn list_page(&self, part: &Part, pages: &mut Pages, order: SortOrderType) -> Result<Vec<Listed>, Failure> {
        let operation = Operation::ListSecrets;
        let raw = Raw::default();
        let filters: Vec<Filter> = part.filters().into_iter().map(name_filter).collect();
        let send = || {
            let request = self.client.list_secrets().include_planned_deletion(true).max_results(PAGE);
            let request = request.set_filters((!filters.is_empty()).then(|| filters.clone()));
            let request = request.sort_by(SortByType::Name).sort_order(order.clone());
            request.set_next_token(pages.token.clone()).customize().interceptor(raw.clone()).send()
        };
        let answer = self.call(operation, None, send).await?;
        let bad = |reason: &str| Failure::own(ErrorKind::Unavailable, operation, "the listing", "BadAnswer", reason);
        let entries = raw_entries(raw.take(), "SecretList", answer.secret_list().len()).map_err(bad)?;
        let listed = answer.secret_list().iter().zip(entries).map(|(entry, raw)| {
            let fingerprint = fingerprint(&raw);
            let secret = listed_secret(entry, raw);
            Listed { name: secret.name.clone(), id: secret.id.clone(), secret, fingerprint }
        });
        let listed: Vec<Listed> = listed.collect();
        check_page(&listed, self.account.get().map(String::as_str), &self.region).map_err(bad)?;
        pages.turn(operation, None, answer.next_token())?;
        Ok(listed)
    }

    async fn step(&self, mut walk: Walk) -> Result<Step, Failure> {
        let page = self.list_page(&walk.part, &mut walk.pages, SortOrderType::Asc).await?;
        walk.note(&page);
        Ok(Step::Page(walk, page))
    }

    /// Tries to replace a walk by walks of parts of its part.
    async fn split(&self, walk: Walk, tried: Tried) -> Result<Step, Failure> {
        match self.parts_of(&walk, &tried).await {
            Ok(Some(walks)) => Ok(Step::Split(walks)),
            // What is refused because of its filters can still be listed without.
            Err(failure) if failure.kind() != ErrorKind::Invalid => Err(failure),
            Ok(None) | Err(_) => Ok(Step::Whole(Walk { poor: POOR, ..walk })),
        }
    }

    /// Looks at the last name of a part, and at each part that its names may fall into; the long ones become parts of their
    /// own, the rest is one more. `None` when it has to stay whole.
    async fn parts_of(&self, walk: &Walk, tried: &Tried) -> Result<Option<Vec<(Walk, Vec<Listed>)>>, Failure> {
        let Some((lowest, highest)) = self.ends_of(walk).await? else { return Ok(None) };
        let looks: Vec<_> = walk.part.candidates(&lowest, &highest).into_iter().map(|part| self.look(part)).collect();
        let looks: BoxStream<'_, _> = stream::iter(looks).buffered(AT_ONCE).boxed();
        let mut found: Vec<(Walk, Vec<Listed>)> = looks.try_collect().await?;
        if found.iter().any(|(walk, page)| page.iter().any(|listed| !walk.part.owns(&listed.name))) {
            return Ok(None);
        }
        found.retain(|(_, page)| !page.is_empty());
        found.sort_by_key(|(walk, page)| (walk.pages.ended, std::cmp::Reverse(page.len())));
        for plain in [false, true] {
            found.truncate(walk.part.capacity(plain));
            let rest = walk.part.without(found.iter().map(|(walk, _)| &walk.part));
            if !found.is_empty() && self.is_honoured(&rest, &found, tried).await? {
                let is_poor = found.iter().filter(|(walk, _)| !walk.pages.ended).count() < 2;
                let poor = if is_poor { walk.poor + 1 } else { 0 };
                for (part, _) in &mut found {
                    part.poor = poor;
                }
                found.push((Walk::new(rest), Vec::new()));
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first and the last name of a part, as far as they are known.
    async fn ends_of(&self, walk: &Walk) -> Result<Option<(String, String)>, Failure> {
        let mut ends = walk.ends.clone();
        let mut pages = Pages::default();
        for _ in 0..EMPTY {
            let page = self.list_page(&walk.part, &mut pages, SortOrderType::Desc).await?;
            let owned = page.iter().map(|listed| &listed.name).filter(|name| walk.part.owns(name));
            owned.for_each(|name| widen(&mut ends, name));
            if !page.is_empty() || pages.ended {
                break;
            }
        }
        Ok(ends.filter(|(lowest, highest)| lowest < highest))
    }

    async fn look(&self, part: Part) -> Result<(Walk, Vec<Listed>), Failure> {
        let mut walk = Walk::new(part);
        let page = self.list_page(&walk.part, &mut walk.pages, SortOrderType::Asc).await?;
        walk.note(&page);
        Ok((walk, page))
    }

    /// Whether the provider does as the filters of `rest` say. Asked with the last exclusion left out, they give something that
    /// is known to be there, and nothing that they exclude.
    async fn is_honoured(&self, rest: &Part, found: &[(Walk, Vec<Listed>)], tried: &Tried) -> Result<bool, Failure> {
        let tried = || tried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tried().get(&rest.form()) {
            return Ok(*known);
        }
        let asked = match found {
            [_, .., (last, _)] => rest.with(&last.part),
            // The first or the last name is not in the only part.
            _ => rest.clone(),
        };
        let (_, page) = self.look(asked.clone()).await?;
        let honoured = !page.is_empty() && page.iter().all(|listed| asked.owns(&listed.name));
        tried().insert(rest.form(), honoured);
        Ok(honoured)
    }
}

impl Walk {
    fn new(part: Part) -> Self {
        Self { part, pages: Pages::default(), count: 0, ends: None, poor: 0 }
    }

    fn note(&mut self, page: &[Listed]) {
        self.count += 1;
        for listed in page {
            widen(&mut self.ends, &listed.name);
        }
    }

    /// Whether this is a moment to split it: when it is no longer short, and again each time it turns out twice as long.
    fn is_due(&self) -> bool {
        let short = if self.part == Part::default() { 4 * SHORT } else { SHORT };
        self.poor < POOR && self.count >= short && self.count.is_power_of_two()
    }
}

impl<'a> Listing<'a> {
    /// Of everything, from its first page.
    fn of(aws: &'a Aws) -> Self {
        Self {
            aws,
            waiting: [Walk::new(Part::default())].into(),
            running: FuturesUnordered::new(),
            seen: HashSet::new(),
            splits: 0,
            tried: Tried::default(),
        }
    }

    /// What the next answer brings, perhaps nothing; `None` at the end.
    async fn next(&mut self) -> Option<Result<Vec<Listed>, Failure>> {
        while self.running.len() < AT_ONCE
            && let Some(walk) = self.waiting.pop_front()
        {
            self.running.push(self.aws.step(walk).boxed());
        }
        let step = match self.running.next().await? {
            Ok(step) => step,
            Err(failure) => return Some(Err(failure)),
        };
        let mut page = Vec::new();
        match step {
            Step::Whole(walk) => self.waiting.push_back(walk),
            Step::Page(walk, entries) => self.take(walk, entries, &mut page),
            Step::Split(walks) => {
                for (walk, entries) in walks {
                    self.take(walk, entries, &mut page);
                }
            }
        }
        Some(Ok(page))
    }

    /// Takes what a walk found and lets it go on. What belongs to another part comes from there.
    fn take(&mut self, mut walk: Walk, entries: Vec<Listed>, page: &mut Vec<Listed>) {
        let is_new = |listed: &Listed| walk.part.owns(&listed.name) && self.seen.insert(half_digest(&listed.id));
        let new: Vec<Listed> = entries.into_iter().filter(is_new).collect();
        walk.pages.note(new.len(), self.seen.len(), MOST);
        page.extend(new);
        if walk.pages.ended {
            return;
        }
        let busy = self.running.len() + self.waiting.len() >= ENOUGH;
        if !busy && self.splits < SPLITS && walk.is_due() {
            self.splits += 1;
            self.running.push(self.aws.split(walk, Arc::clone(&self.tried)).boxed());
        } else {
            self.waiting.push_back(walk);
        }
    }
}

/// Whether a page can be one of this account and region; what is wrong with it.
fn check_page(listed: &[Listed], account: Option<&str>, region: &str) -> Result<(), &'static str> {
    if listed.len() > PAGE.unsigned_abs() as usize {
        return Err("the answer has more entries than a page may have");
    }
    if listed.iter().any(|entry| entry.name.is_empty() || entry.id.is_empty()) {
        return Err("an entry without name or ARN");
    }
    if listed.iter().any(|entry| !is_arn_of(&entry.id, &entry.name, account, region)) {
        return Err("an entry of another account, region or name than its own");
    }
    Ok(())
}

fn name_filter(values: Vec<String>) -> Filter {
    Filter::builder().key(FilterNameStringType::Name).set_values(Some(values)).build()
}

fn widen(ends: &mut Option<(String, String)>, name: &str) {
    let (lowest, highest) = ends.get_or_insert_with(|| (name.to_owned(), name.to_owned()));
    if name < lowest.as_str() {
        name.clone_into(lowest);
    }
    if name > highest.as_str() {
        name.clone_into(highest);
    }
}

fn half_digest(arn: &str) -> u128 {
    let digest = Digest::of(arn.as_bytes());
    u128::from_be_bytes(digest.as_bytes()[..16].try_into().expect("a digest is longer"))
}

#[cfg(test)]
mod tests;
