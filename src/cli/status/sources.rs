//! The newest snapshot of each source that is to be captured.

use std::collections::BTreeSet;

use crate::{
    clock::to_seconds,
    config::{OrganizationSection, SourceSection, Sources},
    drill::{Facts, Past, Verdict},
    model::Place,
    provider::Address,
    repo::{Chain, VerifiedManifest},
    status::{Drilled, Newest, OfSource, Whose},
};

/// The newest of all, and the newest of each where there are several. Of an organization those places count that were captured
/// before: who its members are now, a snapshot asks.
pub(super) fn newest(sources: &Sources, chain: &Chain) -> (Option<Newest>, Vec<OfSource>) {
    let newest = chain.newest();
    let places: Vec<&Place> = newest.keys().copied().collect();
    if let Sources::One(section) = sources {
        let means = |place: &&&Place| {
            let account = section.account.as_ref().is_none_or(|account| *account == place.account);
            account && section.url.leads_to(place)
        };
        let meant: Vec<&&Place> = places.iter().filter(means).collect();
        // Where the configuration names no account, several may be meant: then each is shown, and none is taken for another.
        if meant.len() < 2 {
            return (
                meant.first().and_then(|place| newest.get(**place)).map(|found| Newest::of(found.manifest())),
                Vec::new(),
            );
        }
    }
    let wanted = match sources {
        Sources::Organization(section) => captured(section, &places),
        listed => configured(listed.listed(), &places),
    };
    let of = |source: Whose| {
        let is = |place: &Place| {
            let account = source.account.as_ref() == Some(&place.account);
            account && source.region == place.region
        };
        let found = newest.iter().find(|(place, _)| is(place)).map(|(_, found)| Newest::of(found.manifest()));
        OfSource { source, newest: found }
    };
    (chain.head().map(VerifiedManifest::manifest).map(Newest::of), wanted.into_iter().map(of).collect())
}

/// The drills of each source that is to be captured and was.
pub(super) fn drilled(sources: &Sources, chain: &Chain, drills: &[Past]) -> Vec<Drilled> {
    let first = chain.first();
    let wanted: Vec<Whose> = match newest(sources, chain) {
        (Some(_), listed) if listed.is_empty() => {
            let Sources::One(section) = sources else { return Vec::new() };
            let of = |place: &&&Place| section.url.leads_to(place);
            let named = |place: &&&Place| section.account.as_ref().is_none_or(|account| *account == place.account);
            first.keys().filter(of).filter(named).map(|place| whose(place)).collect()
        }
        (_, listed) => listed.into_iter().map(|of| of.source).collect(),
    };
    let is = |source: &Whose, place: &Place| {
        source.account.as_ref() == Some(&place.account) && source.region == place.region
    };
    let of = |source: Whose| {
        let since = first.iter().find(|(place, _)| is(&source, place)).map(|(_, time)| *time)?;
        let passed =
            |facts: &&Facts| facts.result == Verdict::Passed && facts.source.as_ref().is_some_and(|at| is(&source, at));
        let last = drills.iter().rev().filter_map(Past::verified).find(passed).and_then(Facts::started);
        Some(Drilled { source, since, last_passed: last.map(to_seconds) })
    };
    wanted.into_iter().filter_map(of).collect()
}

fn captured(section: &OrganizationSection, places: &[&Place]) -> Vec<Whose> {
    let is_wanted = |place: &&&Place| {
        section.regions.contains(&place.region)
            && (section.accounts.is_empty() || section.accounts.contains(&place.account))
            && !section.exclude_accounts.contains(&place.account)
    };
    let mut wanted: Vec<Whose> = places.iter().filter(is_wanted).map(|place| whose(place)).collect();
    // Accounts that are asked for by number are missed when they were never captured.
    for account in section.accounts.iter().filter(|account| !section.exclude_accounts.contains(account)) {
        wanted.extend(
            section.regions.iter().map(|region| Whose { account: Some(account.clone()), region: region.clone() }),
        );
    }
    if wanted.is_empty() {
        wanted.extend(section.regions.iter().map(|region| Whose { account: None, region: region.clone() }));
    }
    wanted.sort();
    wanted.dedup();
    wanted
}

/// A source without an account is whatever was captured in its region that no other source names.
fn configured(sections: &[SourceSection], places: &[&Place]) -> Vec<Whose> {
    let mut wanted: Vec<Whose> = sections.iter().flat_map(|section| named(section, places)).collect();
    let addresses: BTreeSet<&Address> = sections.iter().map(|section| &section.url).collect();
    for address in addresses {
        let of = || sections.iter().filter(|it| it.url == *address);
        let count = of().filter(|it| it.account.is_none()).count();
        let strangers = places.iter().filter(|place| address.leads_to(place)).map(|place| whose(place));
        let strangers: Vec<Whose> = strangers.filter(|it| !wanted.contains(it)).collect();
        let missing = count.saturating_sub(strangers.len());
        if count > 0 {
            wanted.extend(strangers);
        }
        wanted.extend((0..missing).map(|_| Whose { account: None, region: words(address) }));
    }
    wanted
}

/// A source with an account: the places that were captured of it, which of a Vault's address may be several mounts; or its
/// address.
fn named(section: &SourceSection, places: &[&Place]) -> Vec<Whose> {
    let Some(account) = &section.account else { return Vec::new() };
    let is = |place: &&&Place| *account == place.account && section.url.leads_to(place);
    let captured: Vec<Whose> = places.iter().filter(is).map(|place| whose(place)).collect();
    let never = || vec![Whose { account: Some(account.clone()), region: words(&section.url) }];
    if captured.is_empty() { never() } else { captured }
}

/// What an address says of the region.
fn words(address: &Address) -> String {
    address.region().map_or_else(|| address.to_string(), str::to_owned)
}

fn whose(place: &Place) -> Whose {
    Whose { account: Some(place.account.clone()), region: place.region.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(region: &str, account: Option<&str>) -> SourceSection {
        SourceSection::new(format!("aws:{region}").parse().unwrap(), account.map(str::to_owned))
    }

    fn place(account: &str, region: &str) -> Place {
        Place { provider: "aws".into(), account: account.into(), region: region.into() }
    }

    fn names(wanted: &[Whose]) -> Vec<String> {
        wanted.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_source_that_was_never_captured_is_named() {
        let (one, two) = (place("1", "eu-west-1"), place("2", "eu-west-1"));
        let sections = [section("eu-west-1", Some("1")), section("eu-west-1", None), section("eu-west-2", Some("3"))];
        let wanted = |places: &[&Place]| names(&configured(&sections, places));
        assert_eq!(wanted(&[]), ["1:eu-west-1", "3:eu-west-2", "aws:eu-west-1"]);
        assert_eq!(wanted(&[&one]), ["1:eu-west-1", "3:eu-west-2", "aws:eu-west-1"]);
        assert_eq!(wanted(&[&one, &two]), ["1:eu-west-1", "3:eu-west-2", "2:eu-west-1"]);
        let named = [section("eu-west-1", Some("1")), section("eu-west-2", Some("1"))];
        assert_eq!(names(&configured(&named, &[&two])), ["1:eu-west-1", "1:eu-west-2"], "others are not asked for");
    }

    #[test]
    fn of_an_organization_what_was_captured_counts() {
        let (one, two, far) = (place("1", "eu-west-1"), place("2", "eu-west-1"), place("1", "us-east-1"));
        let all = OrganizationSection {
            role: "b".into(),
            regions: vec!["eu-west-1".into()],
            accounts: vec![],
            exclude_accounts: vec![],
            capture: crate::config::CaptureSection::default(),
            profile: None,
            role_external_id: None,
        };
        assert_eq!(names(&captured(&all, &[&one, &two, &far])), ["1:eu-west-1", "2:eu-west-1"]);
        assert_eq!(names(&captured(&all, &[])), ["aws:eu-west-1"]);
        let without = OrganizationSection { exclude_accounts: vec!["2".into()], ..all.clone() };
        assert_eq!(names(&captured(&without, &[&one, &two])), ["1:eu-west-1"]);
        let named = OrganizationSection { accounts: vec!["1".into(), "7".into()], ..all };
        assert_eq!(names(&captured(&named, &[&one, &two])), ["1:eu-west-1", "7:eu-west-1"]);
    }
}
