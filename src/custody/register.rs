//! Who holds which sheet, when it was last proven readable, and what good custody would say of it all.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::advice;
use crate::repo::{Attestation, Epoch, Finding};

/// How often every current sheet is to be proven readable.
pub const PROOF_EVERY_DAYS: i64 = 183;

/// One sheet of the register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Who holds it.
    pub custodian: String,
    /// The share's index.
    pub sheet: u8,
    /// The epoch it belongs to.
    pub epoch: u32,
    /// Sheets needed, of how many.
    pub threshold: u8,
    /// Sheets made.
    pub total: u8,
    /// Whether it belongs to the newest epoch.
    pub current: bool,
    /// When it was last found intact.
    pub last_proof: Option<Timestamp>,
    /// When it was found not to be the sheet that was made, if that came after the last proof.
    pub altered: Option<Timestamp>,
    /// When the next proof is due; retired sheets need none.
    pub due: Option<Timestamp>,
    /// Whether that is in the past, or the last look found it altered.
    pub is_due: bool,
}

/// One rule of good custody and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The rule.
    pub rule: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, by name.
    pub detail: String,
}

/// Every sheet of every set, the newest first. Epochs with the same sheets, of which only the signers changed, count as one:
/// the newest; what was proven in any of them counts.
pub fn entries(epochs: &[Epoch], attestations: &[Attestation], now: Timestamp) -> Vec<Entry> {
    let newest = epochs.iter().map(|epoch| epoch.number).max();
    let repeats = |epoch: &Epoch| epochs.iter().any(|next| next.number > epoch.number && is_same_set(next, epoch));
    let mut sets: Vec<&Epoch> = epochs.iter().filter(|epoch| !repeats(epoch)).collect();
    sets.sort_by_key(|epoch| std::cmp::Reverse(epoch.number));
    let sheets = sets.iter().flat_map(|epoch| (0..epoch.custodians.len()).map(move |at| (*epoch, at)));
    let of_set = |set: &Epoch| -> Vec<&Epoch> { epochs.iter().filter(|epoch| is_same_set(epoch, set)).collect() };
    let entry = |(epoch, at): (&Epoch, usize)| {
        entry(epoch, at, Some(epoch.number) == newest, &of_set(epoch), attestations, now)
    };
    sheets.map(entry).collect()
}

/// What good custody says of the current set. `unfinished`: a reshare or rotation was begun and not confirmed.
pub fn policy(epochs: &[Epoch], entries: &[Entry], unfinished: bool) -> Vec<Policy> {
    let current: Vec<&Entry> = entries.iter().filter(|entry| entry.current).collect();
    let Some(first) = current.first() else { return Vec::new() };
    let advice = advice(first.threshold, current.len());
    let names =
        |entries: Vec<&&Entry>| entries.iter().map(|entry| entry.custodian.clone()).collect::<Vec<_>>().join(", ");
    let due = names(current.iter().filter(|entry| entry.is_due && entry.altered.is_none()).collect());
    let altered = names(current.iter().filter(|entry| entry.altered.is_some()).collect());
    let doubled = names(current.iter().filter(|entry| is_doubled(entry, &current)).collect());
    let seen: Vec<String> = entries
        .iter()
        .filter(|entry| was_seen_after_retirement(entry, epochs))
        .map(|entry| format!("{} (epoch {})", entry.custodian, entry.epoch))
        .collect();
    let rule = |rule, bad: String, good: &str| {
        let holds = bad.is_empty();
        Policy { rule, holds, detail: if holds { good.to_owned() } else { bad } }
    };
    let unfinished = if unfinished { "new sheets were printed and not all read back" } else { "" };
    vec![
        rule("threshold", advice.unwrap_or_default(), "more than half, and a spare"),
        rule("one sheet a person", doubled, "every custodian has a different name"),
        rule("proven readable", due, "every sheet was proven in the last 183 days"),
        rule("as it was made", altered, "no sheet was found altered"),
        rule("retired sheets destroyed", seen.join(", "), "no retired sheet was read after it was retired"),
        rule("nothing unfinished", unfinished.into(), "no new set waits for confirmation"),
    ]
}

fn is_same_set(one: &Epoch, other: &Epoch) -> bool {
    one.root == other.root && one.share_set == other.share_set
}

/// The sheet at `at` of `epoch`; `same` are all epochs with its sheets.
fn entry(
    epoch: &Epoch,
    at: usize,
    current: bool,
    same: &[&Epoch],
    attestations: &[Attestation],
    now: Timestamp,
) -> Entry {
    let custodian = &epoch.custodians[at];
    let last = |result: Finding| {
        let is_of = |number: u32| same.iter().any(|epoch| epoch.number == number);
        let own = attestations.iter().filter(|found| is_of(found.epoch) && found.share == custodian.share);
        own.filter(|found| found.result == result).map(|found| found.time).max()
    };
    let last_proof = last(Finding::Intact);
    let altered = last(Finding::Altered).filter(|altered| last_proof.is_none_or(|proof| proof < *altered));
    let made = same.iter().map(|epoch| epoch.created).min().unwrap_or(epoch.created);
    let since = last_proof.unwrap_or(made);
    let due = since.checked_add(SignedDuration::from_hours(24 * PROOF_EVERY_DAYS)).unwrap_or(since);
    Entry {
        custodian: custodian.name.clone(),
        sheet: custodian.share,
        epoch: epoch.number,
        threshold: epoch.threshold,
        total: epoch.total,
        current,
        last_proof,
        altered,
        due: current.then_some(due),
        is_due: current && (due <= now || altered.is_some()),
    }
}

/// Whether a sheet that a new set of the same key replaced was there after the new set was made.
fn was_seen_after_retirement(entry: &Entry, epochs: &[Epoch]) -> bool {
    let of = |number: u32| epochs.iter().find(|epoch| epoch.number == number);
    match (of(entry.epoch), of(entry.epoch + 1), entry.last_proof) {
        (Some(own), Some(next), Some(seen)) => own.root == next.root && seen >= next.created,
        _ => false,
    }
}

/// Names that differ in case and spacing only are one person's.
fn is_doubled(entry: &Entry, current: &[&Entry]) -> bool {
    let person = |entry: &Entry| entry.custodian.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    current.iter().filter(|other| person(other) == person(entry)).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::Signer,
        custody::{CeremonyRequest, attestation, hold},
        model::RepositoryId,
        repo::AllowedSigner,
    };

    fn time(day: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + 86_400 * day).unwrap()
    }

    fn epoch(names: &[&str]) -> Epoch {
        hold(&CeremonyRequest {
            paper: crate::custody::Paper::default(),
            repository: RepositoryId::from_bytes([7; 16]),
            threshold: 2,
            custodians: names.iter().map(ToString::to_string).collect(),
            signers: vec![AllowedSigner { name: "host".into(), key: Signer::generate().public() }],
            created: time(0),
            contact: crate::custody::Contact::default(),
        })
        .unwrap()
        .epoch
    }

    fn look(epoch: &Epoch, at: usize, day: i64, result: Finding) -> Attestation {
        let (custodian, signer) = (&epoch.custodians[at], epoch.signers[0].key.clone());
        attestation(epoch.repository, epoch.number, custodian, time(day), result, signer)
    }

    fn broken(epochs: &[Epoch], attestations: &[Attestation], day: i64) -> Vec<&'static str> {
        let rules = policy(epochs, &entries(epochs, attestations, time(day)), false);
        rules.into_iter().filter(|rule| !rule.holds).map(|rule| rule.rule).collect()
    }

    #[test]
    fn a_proof_lasts_183_days_and_the_ceremony_counts_as_the_first() {
        let epoch = epoch(&["Ana", "Bo", "Cy"]);
        let due = |attestations: &[Attestation], day| {
            let entries = entries(std::slice::from_ref(&epoch), attestations, time(day));
            entries.into_iter().filter(|entry| entry.is_due).map(|entry| entry.custodian).collect::<Vec<_>>()
        };
        assert_eq!(due(&[], 182), [""; 0]);
        assert_eq!(due(&[], 183), ["Ana", "Bo", "Cy"]);
        let proofs = [look(&epoch, 1, 100, Finding::Intact), look(&epoch, 1, 20, Finding::Intact)];
        assert_eq!(due(&proofs, 282), ["Ana", "Cy"]);
        assert_eq!(due(&proofs, 283), ["Ana", "Bo", "Cy"]);
    }

    #[test]
    fn an_altered_sheet_is_due_until_it_is_found_intact() {
        let epoch = epoch(&["Ana", "Bo", "Cy"]);
        let epochs = [epoch.clone()];
        let altered = look(&epoch, 2, 10, Finding::Altered);
        assert_eq!(broken(&epochs, &[look(&epoch, 2, 9, Finding::Intact), altered.clone()], 20), ["as it was made"]);
        assert_eq!(broken(&epochs, &[altered, look(&epoch, 2, 11, Finding::Intact)], 20), [""; 0]);
    }

    #[test]
    fn a_proof_of_another_epoch_proves_nothing() {
        let (one, mut two) = (epoch(&["Ana", "Bo", "Cy"]), epoch(&["Ana", "Bo", "Cy"]));
        (two.number, two.created) = (2, time(100));
        let epochs = [one.clone(), two.clone()];
        let entries = entries(&epochs, &[look(&one, 0, 200, Finding::Intact)], time(290));
        assert!(entries[..3].iter().all(|entry| entry.current && entry.epoch == 2 && entry.is_due));
        assert!(entries[3..].iter().all(|entry| !entry.current && entry.due.is_none() && !entry.is_due));
        assert_eq!(
            broken(&epochs, &[look(&one, 0, 200, Finding::Intact)], 201),
            [""; 0],
            "another key's sheets may stay"
        );
        two.root = one.root.clone();
        let epochs = [one.clone(), two];
        assert_eq!(broken(&epochs, &[look(&one, 0, 99, Finding::Intact)], 201), [""; 0]);
        assert_eq!(broken(&epochs, &[look(&one, 0, 200, Finding::Intact)], 201), ["retired sheets destroyed"]);
    }

    #[test]
    fn every_other_rule_can_be_broken() {
        assert_eq!(broken(&[epoch(&["Ana", "Bo", "Cy", "Dee"])], &[], 1), ["threshold"]);
        assert_eq!(broken(&[epoch(&["Ana", "Bo", "ana "])], &[], 1), ["one sheet a person"]);
        assert_eq!(broken(&[epoch(&["Ana", "Bo", "Cy"])], &[], 200), ["proven readable"]);
        let epochs = [epoch(&["Ana", "Bo", "Cy"])];
        let unfinished = policy(&epochs, &entries(&epochs, &[], time(1)), true);
        assert!(unfinished.iter().any(|rule| rule.rule == "nothing unfinished" && !rule.holds));
        assert_eq!(policy(&[], &[], false), []);
    }
}
