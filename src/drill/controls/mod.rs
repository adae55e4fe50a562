//! Negative controls: faults planted beside a drill, in a repository and a place of their own in memory. A drill whose
//! checks do not catch them proves nothing.

mod throwaway;

use zeroize::Zeroizing;

use super::{
    DrillError, checks,
    record::{NegativeControl, State},
};
use crate::{
    crypto::Signer,
    model::{Facets, Replica, Rotation, Secret, SecretValue, Tag},
    provider::memory::{CURRENT, HeldVersion, Memory, PREVIOUS},
    restore::{Aspect, Verification},
    share::{self, Gathering},
};

pub(super) use throwaway::{Kept, Throwaway};

/// The secret that faults are planted in; one more beside it stays as it is.
pub(super) const NAME: &str = "lifeboat/negative-control";
/// What a plan says of a secret that nobody could use.
const NOT_USABLE: &str = "not usable in the plan";
const BESIDE: &str = "lifeboat/negative-control-beside";

/// A fault to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A whole secret that is not there.
    MissingSecret,
    /// A version that is not there.
    MissingVersion,
    /// A restored text with one wrong byte.
    WrongValue,
    /// Restored bytes of which one is wrong.
    WrongBytes,
    /// A label on another version.
    MovedLabel,
    /// A tag with another value.
    WrongTag,
    /// Another description.
    WrongDescription,
    /// Another resource policy.
    WrongPolicy,
    /// Another key.
    WrongKey,
    /// Rotation that is off.
    NoRotation,
    /// A replica that is not there.
    MissingReplica,
    /// An index with less than the manifest states.
    ShortIndex,
    /// A manifest signed by a key that may not sign.
    ForgedManifest,
    /// A sheet with one wrong character.
    BadShare,
    /// A policy that opens to a network of the lost region alone.
    LostNetwork,
    /// A policy that lets another account in, of a secret that gets the default key.
    OtherAccount,
    /// The fault of that place in [`PLANTS`] is looked for and was never planted, so that it cannot be caught: a test sees
    /// by it that the drill is void then.
    TestOnlyMissed(usize),
}

/// The faults of every drill.
pub const PLANTS: [Plant; 16] = [
    Plant::MissingSecret,
    Plant::MissingVersion,
    Plant::WrongValue,
    Plant::WrongBytes,
    Plant::MovedLabel,
    Plant::WrongTag,
    Plant::WrongDescription,
    Plant::WrongPolicy,
    Plant::WrongKey,
    Plant::NoRotation,
    Plant::MissingReplica,
    Plant::ShortIndex,
    Plant::ForgedManifest,
    Plant::BadShare,
    Plant::LostNetwork,
    Plant::OtherAccount,
];

/// Plants one fault in a restore of its own and looks for it with the checks of the drill, `run`. A fault that none of them
/// could see is not planted. A missing secret is seen without any.
///
/// # Errors
/// When the throw-away repository cannot be made or does not verify before the fault is planted.
pub async fn plant(fault: Plant, run: &[Aspect]) -> Result<NegativeControl, DrillError> {
    let (fault, planted) = match fault {
        Plant::TestOnlyMissed(place) => (PLANTS[place], false),
        fault => (fault, true),
    };
    let expected = match fault {
        Plant::ForgedManifest => "untrusted".to_owned(),
        Plant::BadShare => "not taken".to_owned(),
        Plant::LostNetwork | Plant::OtherAccount => NOT_USABLE.to_owned(),
        _ => sentence(fault == Plant::MissingSecret, fault.aspects().filter(|aspect| run.contains(aspect))),
    };
    let name = fault.name().to_owned();
    if expected.is_empty() {
        let expected = "no check of this drill covers it".to_owned();
        return Ok(NegativeControl { planted: name, expected, found: String::new(), state: State::NotApplicable });
    }
    let mut estate = estate();
    if planted {
        fault.shut(&mut estate);
    }
    let made = Throwaway::new(estate).await?;
    let found = match fault {
        Plant::ForgedManifest => forged(&made, planted).await?,
        Plant::BadShare => bad_share(&made, planted).map_err(failed)?,
        Plant::LostNetwork | Plant::OtherAccount => usability(&made)?.into(),
        fault => spoiled(&made, fault, planted, run).await?,
    };
    let state = if found == expected { State::Passed } else { State::Failed };
    Ok(NegativeControl { planted: name, expected, found, state })
}

impl Plant {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MissingSecret => "a missing secret",
            Self::MissingVersion => "a missing version",
            Self::WrongValue => "a wrong value",
            Self::WrongBytes => "wrong bytes",
            Self::MovedLabel => "a moved label",
            Self::WrongTag => "a wrong tag",
            Self::WrongDescription => "a wrong description",
            Self::WrongPolicy => "a wrong policy",
            Self::WrongKey => "a wrong key",
            Self::NoRotation => "rotation that is off",
            Self::MissingReplica => "a missing replica",
            Self::ShortIndex => "an index with less than the manifest states",
            Self::ForgedManifest => "a forged manifest",
            Self::LostNetwork => "a policy for a lost network",
            Self::OtherAccount => "a policy for another account with the default key",
            Self::BadShare | Self::TestOnlyMissed(_) => "a bad share",
        }
    }

    /// The checks that must fail, in the order of a report.
    pub(super) fn aspects(self) -> impl Iterator<Item = Aspect> {
        let aspects: &[Aspect] = match self {
            Self::MissingSecret => &Aspect::ALL[1..],
            Self::MissingVersion => &[Aspect::Ids, Aspect::Values],
            Self::WrongValue => &[Aspect::Values],
            Self::WrongBytes => &[Aspect::Binary],
            Self::MovedLabel => &[Aspect::Labels],
            Self::WrongTag => &[Aspect::Tags],
            Self::WrongDescription => &[Aspect::Descriptions],
            Self::WrongPolicy => &[Aspect::Policies],
            Self::WrongKey => &[Aspect::Key],
            Self::NoRotation => &[Aspect::Rotation],
            Self::MissingReplica => &[Aspect::Replicas],
            Self::ShortIndex => &[Aspect::Completeness],
            Self::ForgedManifest
            | Self::BadShare
            | Self::LostNetwork
            | Self::OtherAccount
            | Self::TestOnlyMissed(_) => &[],
        };
        aspects.iter().copied()
    }

    /// Spoils what was restored.
    fn spoil(self, place: &Memory) {
        let labels = |number, label: &str| edit(place, number, |held| held.labels = vec![label.into()]);
        match self {
            Self::MissingSecret => place.remove(NAME),
            Self::MissingVersion => place.edit_versions(NAME, |held| held.retain(|held| held.id != id(0))),
            Self::WrongValue => edit(place, 2, |held| held.value = Some(SecretValue::text("thirD".into()))),
            Self::WrongBytes => edit(place, 3, |held| held.value = Some(SecretValue::bytes(vec![0, 0xff, b'c']))),
            Self::MovedLabel => {
                labels(1, CURRENT);
                labels(2, PREVIOUS);
            }
            Self::WrongTag => place.edit(NAME, |secret| secret.facets.tags[0].value.push('x')),
            Self::WrongDescription => place.edit(NAME, |secret| secret.facets.description = Some("another".into())),
            Self::WrongPolicy => place.edit(NAME, |secret| secret.facets.policy = Some("{}".into())),
            Self::WrongKey => place.edit(NAME, |secret| secret.facets.key = Some("alias/another".into())),
            Self::NoRotation => place.edit(NAME, |secret| secret.facets.rotation = None),
            Self::MissingReplica => place.edit(NAME, |secret| secret.facets.replicas.clear()),
            Self::ShortIndex
            | Self::ForgedManifest
            | Self::BadShare
            | Self::LostNetwork
            | Self::OtherAccount
            | Self::TestOnlyMissed(_) => {}
        }
    }

    /// Shuts a secret for everybody at the target, before its snapshot is taken.
    fn shut(self, estate: &mut [Kept]) {
        let (network, account) = ("vpce-0123456789abcdef0", "arn:aws:iam::999999999999:root");
        let policy = match self {
            Self::LostNetwork => format!(
                r#"{{"Statement":[{{"Effect":"Deny","Principal":"*","Action":"secretsmanager:GetSecretValue","Resource":"*","Condition":{{"StringNotEquals":{{"aws:SourceVpce":"{network}"}}}}}}]}}"#
            ),
            Self::OtherAccount => format!(
                r#"{{"Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{account}"}},"Action":"secretsmanager:GetSecretValue","Resource":"*"}}]}}"#
            ),
            _ => return,
        };
        for (secret, _) in estate.iter_mut().filter(|(secret, _)| secret.name == NAME) {
            secret.facets.policy = Some(policy.clone());
            secret.facets.key = None;
        }
    }
}

/// Changes one version of the secret that faults are planted in.
fn edit(place: &Memory, number: usize, change: impl FnOnce(&mut HeldVersion)) {
    place.edit_versions(NAME, |held| {
        if let Some(held) = held.iter_mut().find(|held| held.id == id(number)) {
            change(held);
        }
    });
}

/// What speaks against a restore, in words: a secret that was not read back, and each check.
pub(super) fn sentence(is_missing: bool, checks: impl Iterator<Item = Aspect>) -> String {
    let missing = is_missing.then(|| "a secret is missing".to_owned());
    let checks = checks.map(|aspect| format!("check {} failed", aspect.as_str()));
    missing.into_iter().chain(checks).collect::<Vec<_>>().join(", ")
}

/// What the checks `run` say of the restore without and with the fault.
async fn spoiled(made: &Throwaway, fault: Plant, planted: bool, run: &[Aspect]) -> Result<String, DrillError> {
    let found = |compared: &Verification, completeness| {
        let checks = checks::all(compared, completeness, run).into_iter();
        let failed = checks.filter(|check| check.state == State::Failed).map(|check| check.name);
        sentence(compared.secrets < compared.planned, failed)
    };
    let before = made.compared(|_| {}).await?;
    if !before.passed() || !found(&before, made.completeness).is_empty() || (before.planned, before.values) != (2, 8) {
        return Err(failed("a restore without planted faults does not verify"));
    }
    let after = made
        .compared(|place| {
            if planted {
                fault.spoil(place);
            }
        })
        .await?;
    let is_short = planted && fault == Plant::ShortIndex;
    let completeness = if is_short { made.completeness.stating_one_more() } else { made.completeness };
    Ok(found(&after, completeness))
}

/// What the plan says of the secret that faults are planted in, and of the whole.
fn usability(made: &Throwaway) -> Result<&'static str, DrillError> {
    let complete = made.plan.summary()?.complete;
    let mut named = Vec::new();
    for secret in made.plan.secrets.walk()? {
        let secret = secret?;
        named.extend((!secret.unusable.is_empty()).then_some(secret.desired.name));
    }
    Ok(if named == [NAME] && !complete { NOT_USABLE } else { "usable" })
}

/// Adds a snapshot by a stranger, who knows everything but a key that may sign.
async fn forged(made: &Throwaway, planted: bool) -> Result<String, DrillError> {
    let stranger = Signer::generate();
    let forged = made.snapshot(if planted { &stranger } else { &made.signer }).await?;
    let judgement = made.repository.judge(&made.trust, &[]).await?;
    let believed = judgement.chain().manifests.iter().any(|found| found.digest() == forged.digest());
    let kinds = judgement.faults().iter().map(|fault| fault.kind);
    let named = kinds.filter(|kind| *kind == crate::repo::FaultKind::Untrusted).count();
    Ok(refusal(named, judgement.newest(None).is_ok(), believed).into())
}

/// A snapshot is refused when it alone is named as untrusted, no newest one is certain, and the chain does not have it.
fn refusal(named: usize, is_newest_certain: bool, believed: bool) -> &'static str {
    match (named, is_newest_certain, believed) {
        (1, false, false) => "untrusted",
        _ => "believed",
    }
}

fn bad_share(made: &Throwaway, planted: bool) -> Result<String, String> {
    let shares = share::split(&made.key, 2, 3).map_err(|error| error.to_string())?;
    let (good, other) = (shares[0].text(), shares[1].text());
    let bad = if planted { with_a_wrong_character(&good) } else { good };
    let mut gathering = Gathering::new(Vec::new());
    let taken = gathering.add("a bad sheet", &bad).is_ok();
    gathering.add("a good sheet", &other).map_err(|error| error.to_string())?;
    let opened = gathering.quorum().is_ok_and(|quorum| quorum.recover().is_ok());
    let taken = if taken { "taken" } else { "not taken" };
    Ok(if opened { format!("{taken}, and the key opens") } else { taken.into() })
}

/// The text of a sheet with another character in its middle.
fn with_a_wrong_character(text: &str) -> Zeroizing<String> {
    let at = text.len() / 2;
    let wrong = if &text[at..=at] == "Q" { "P" } else { "Q" };
    Zeroizing::new([&text[..at], wrong, &text[at + 1..]].concat())
}

fn failed(error: impl std::fmt::Display) -> DrillError {
    DrillError::Control(error.to_string())
}

/// Two secrets that have something of every kind.
pub(super) fn estate() -> Vec<Kept> {
    [NAME, BESIDE].map(|name| (secret(name), versions())).into()
}

fn secret(name: &str) -> Secret {
    let place = throwaway::source();
    let facets = Facets {
        description: Some("a negative control".into()),
        key: Some("alias/negative-control".into()),
        tags: vec![Tag { key: "control".into(), value: "negative".into() }],
        policy: Some("{\"Version\":\"2012-10-17\",\"Statement\":[]}".into()),
        rotation: Some(Rotation {
            enabled: true,
            lambda: Some(format!("arn:aws:lambda:{}:{}:function:rotate", place.region, place.account)),
            schedule: Some("cron(0 8 * * ? *)".into()),
            window: None,
            after_days: None,
        }),
        replicas: vec![Replica { region: "c".into(), key: None, status: None }],
        ..Facets::default()
    };
    Secret { name: name.into(), id: format!("arn:{name}"), facets, ..Secret::default() }
}

fn versions() -> Vec<HeldVersion> {
    vec![
        HeldVersion::text(&id(0), &[], "first"),
        HeldVersion::text(&id(1), &[PREVIOUS], "second"),
        HeldVersion::text(&id(2), &[CURRENT], "third"),
        HeldVersion {
            value: Some(SecretValue::bytes(vec![0, 0xff, b'b'])),
            ..HeldVersion::text(&id(3), &["BYTES"], "")
        },
    ]
}

pub(super) fn id(number: usize) -> String {
    format!("negative-control-{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_fault_is_caught_and_no_fault_is_not() {
        for (place, fault) in PLANTS.into_iter().enumerate() {
            let control = plant(fault, &Aspect::ALL).await.unwrap();
            assert_eq!(control.state, State::Passed, "{control:?}");
            let missed = plant(Plant::TestOnlyMissed(place), &Aspect::ALL).await.unwrap();
            assert!(missed.state == State::Failed && missed.planted == control.planted, "{missed:?}");
        }
    }

    #[tokio::test]
    async fn a_fault_is_named_by_the_checks_that_find_it() {
        for (fault, run, expected) in [
            (Plant::MissingVersion, &[Aspect::Values, Aspect::Ids][..], "check ids failed, check values failed"),
            (Plant::MissingVersion, &[Aspect::Values], "check values failed"),
            (Plant::MissingSecret, &[Aspect::Policies], "a secret is missing, check policies failed"),
            (Plant::MissingSecret, &[Aspect::Completeness], "a secret is missing"),
            (Plant::ShortIndex, &Aspect::ALL, "check completeness failed"),
            (Plant::ForgedManifest, &[Aspect::Tags], "untrusted"),
            (Plant::BadShare, &[Aspect::Tags], "not taken"),
            (Plant::LostNetwork, &[Aspect::Tags], NOT_USABLE),
            (Plant::OtherAccount, &[Aspect::Ids], NOT_USABLE),
        ] {
            let control = plant(fault, run).await.unwrap();
            let found = (control.state, control.expected.as_str(), control.found.as_str());
            assert_eq!(found, (State::Passed, expected, expected), "{fault:?}");
        }
    }

    #[test]
    fn every_aspect_has_something_to_spoil() {
        let Facets { description, key, tags, policy, rotation, replicas, .. } = secret(NAME).facets;
        assert!(description.is_some() && key.is_some() && policy.is_some() && rotation.is_some());
        assert_eq!((tags.len(), replicas.len()), (1, 1));
        assert_ne!(secret(NAME).id, secret(BESIDE).id);
    }

    #[test]
    fn a_moved_label_moves_the_current_and_the_previous_one() {
        let place = Memory::new("1", "a");
        place.insert(secret(NAME), versions());
        Plant::MovedLabel.spoil(&place);
        let labels = [0, 1, 2, 3].map(|number| place.labels(NAME, &id(number)).unwrap().join(" "));
        assert_eq!(labels, ["", CURRENT, PREVIOUS, "BYTES"]);
    }

    #[tokio::test]
    async fn nothing_is_planted_in_a_restore_that_does_not_verify() {
        let mut short = Throwaway::new(estate()).await.unwrap();
        short.completeness = short.completeness.stating_one_more();
        let one = Throwaway::new(estate().into_iter().take(1).collect()).await.unwrap();
        for (made, run) in [(&short, &[Aspect::Completeness][..]), (&one, &Aspect::ALL)] {
            let refused = spoiled(made, Plant::WrongTag, true, run).await.unwrap_err().to_string();
            assert_eq!(
                refused,
                "the safeguards of the drill do not work: a restore without planted faults does not verify"
            );
        }
        assert_eq!(spoiled(&short, Plant::WrongTag, true, &[Aspect::Tags]).await.unwrap(), "check tags failed");
    }

    #[test]
    fn a_snapshot_is_refused_when_everything_speaks_against_it() {
        for named in 0..3 {
            for (is_newest_certain, believed) in [(false, false), (false, true), (true, false), (true, true)] {
                let expected =
                    if (named, is_newest_certain, believed) == (1, false, false) { "untrusted" } else { "believed" };
                assert_eq!(
                    refusal(named, is_newest_certain, believed),
                    expected,
                    "{named} {is_newest_certain} {believed}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_forged_manifest_is_told_from_a_second_one_of_the_same_number() {
        let made = Throwaway::new(estate()).await.unwrap();
        assert_eq!(forged(&made, false).await.unwrap(), "believed");
        assert_eq!(forged(&made, true).await.unwrap(), "untrusted");
    }

    #[tokio::test]
    async fn a_sheet_with_a_wrong_character_is_not_taken_and_a_right_one_opens_the_key() {
        assert_eq!(with_a_wrong_character("abcd").as_str(), "abQd");
        assert_eq!(with_a_wrong_character("abQde").as_str(), "abPde");
        let made = Throwaway::new(estate()).await.unwrap();
        assert_eq!(bad_share(&made, true).unwrap(), "not taken");
        assert_eq!(bad_share(&made, false).unwrap(), "taken, and the key opens");
    }

    /// Each check alone: its own fault is caught, a fault of another check is not planted, and a missing secret is seen.
    #[tokio::test]
    async fn each_check_alone_catches_its_fault_and_a_missing_secret() {
        for only in Aspect::ALL {
            for fault in PLANTS {
                let control = plant(fault, &[only]).await.unwrap();
                let is_seen = fault.aspects().count() == 0
                    || fault == Plant::MissingSecret
                    || fault.aspects().any(|aspect| aspect == only);
                let state = if is_seen { State::Passed } else { State::NotApplicable };
                assert_eq!(control.state, state, "{only:?} {control:?}");
            }
        }
    }
}
