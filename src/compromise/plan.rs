//! The plan: made once from a snapshot, shown, stored, and carried out step by step. Holds no value.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Playbook, order::sorted};
use crate::{
    config::AfterSection,
    model::{Digest, Place, Record, RepositoryId, SnapshotId, name_matches},
    provider::{Advice, Incident, Way, incident},
    text,
};

const FORMAT: &str = "lifeboat-compromise";
const VERSION: u32 = 1;
/// Words of a name that stand for keys of funds.
const FUNDS: [&str; 5] = ["wallet", "blockchain", "mnemonic", "seedphrase", "hotwallet"];

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Patterns of names.
    pub scope: Vec<String>,
    /// A principal whose secrets are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readers_of: Option<String>,
    /// Since when others know the values.
    pub since: Timestamp,
}

/// A secret of a snapshot, and what its value would tell of others (by a quorum alone).
#[derive(Clone, Debug)]
pub struct Subject {
    /// Where it is.
    pub place: Place,
    /// The record.
    pub record: Record,
    /// Secrets that it names as those of its master, by identifier or name.
    pub masters: Vec<String>,
    /// Keys within its value of which another one holds the value of before.
    pub overlaps: Vec<String>,
}

/// A snapshot that the plan was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSource {
    /// Whose.
    pub place: Place,
    /// Which.
    pub snapshot: SnapshotId,
    /// Its number.
    pub number: u64,
    /// Its time.
    pub time: Timestamp,
}

/// What is done about one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// The provider's identifier.
    pub id: String,
    /// How it gets a new value.
    #[serde(flatten)]
    pub way: Way,
    /// The version that was current.
    pub current: Option<String>,
    /// Secrets that come before it.
    pub after: Vec<String>,
    /// The call that rotates it, as a command.
    pub rotation: Option<String>,
    /// The command that tries the old value.
    pub probe: Vec<String>,
    /// How the old value stops working.
    pub revoke: Vec<Advice>,
    /// What uses it, as far as that is known.
    pub consumers: Vec<String>,
    /// Who does it.
    pub owner: String,
    /// Where it is written how.
    pub runbook: String,
    /// What to know.
    pub notes: Vec<String>,
}

/// A plan against a compromise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    format: String,
    version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// When it was made.
    pub made: Timestamp,
    /// What was asked for.
    pub asked: Asked,
    /// The snapshots it rests on.
    pub sources: Vec<PlanSource>,
    /// First: stop the leak.
    pub contain: Vec<Advice>,
    /// Then each secret, in this order.
    pub secrets: Vec<Item>,
    /// Who read them since.
    pub look_back: Vec<Advice>,
    /// What proves that it is over.
    pub proof: Vec<String>,
    /// The hooks that run when their secrets are rotated, as the configuration had them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<AfterSection>,
}

/// A plan that is not made, or not read.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    /// Nothing fits.
    #[error("no secret of the newest snapshots matches {0}")]
    NothingMatches(String),
    /// Not a plan, or a newer one.
    #[error("it is not a plan of this version of lifeboat: {0}")]
    Unreadable(String),
    /// For another repository.
    #[error("the plan was made for repository {0}")]
    OtherRepository(RepositoryId),
}

impl Asked {
    /// Whether a secret is meant.
    pub fn wants(&self, place: &Place, record: &Record) -> bool {
        let name = &record.secret.name;
        let fits = |pattern: &String| {
            if pattern.ends_with('/') { name.starts_with(pattern.as_str()) } else { name_matches(pattern, name) }
        };
        let reads = |principal: &String| {
            let readers = incident(&place.provider).readers(&record.secret);
            readers.iter().any(|reader| reader == principal || reader.ends_with(&format!("/{principal}")))
        };
        (self.scope.is_empty() || self.scope.iter().any(fits)) && self.readers_of.as_ref().is_none_or(reads)
    }

    fn said(&self) -> String {
        let mut said = self.scope.clone();
        said.extend(self.readers_of.iter().map(|role| format!("the readers of {role}")));
        said.join(", ")
    }
}

impl Plan {
    /// Reads a plan file.
    ///
    /// # Errors
    /// [`NoPlan::Unreadable`], [`NoPlan::OtherRepository`].
    pub fn parse(bytes: &[u8], repository: RepositoryId) -> Result<Self, NoPlan> {
        let plan: Self = serde_json::from_slice(bytes).map_err(|error| NoPlan::Unreadable(error.to_string()))?;
        if plan.format != FORMAT || plan.version != VERSION {
            return Err(NoPlan::Unreadable(format!("{} {}", plan.format, plan.version)));
        }
        if plan.repository != repository {
            return Err(NoPlan::OtherRepository(plan.repository));
        }
        Ok(plan)
    }

    /// Adds those who are known to use each secret, from outside of its record.
    pub fn consumed_by(&mut self, consumers: impl Fn(&Place, &str) -> Vec<String>) {
        for item in &mut self.secrets {
            let known = consumers(&item.place, &item.name);
            item.consumers.extend(known.into_iter().filter(|one| !one.is_empty()));
        }
    }

    /// The bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a plan is plain data");
        bytes.push(b'\n');
        bytes
    }

    /// What names it in journals and reports: nothing else has it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

/// Makes the plan. `others` are names that the same places have besides.
///
/// # Errors
/// [`NoPlan::NothingMatches`].
pub fn make(
    repository: RepositoryId,
    asked: &Asked,
    sources: Vec<PlanSource>,
    subjects: &[Subject],
    playbook: &Playbook,
    now: Timestamp,
) -> Result<Plan, NoPlan> {
    if subjects.is_empty() {
        return Err(NoPlan::NothingMatches(asked.said()));
    }
    let mut items: Vec<Item> = subjects.iter().map(|subject| item(subject, subjects, playbook)).collect();
    let keys: Vec<(String, u8, Vec<String>)> =
        items.iter().map(|item| (item.name.clone(), urgency(&item.way), item.after.clone())).collect();
    let (order, circle) = sorted(&keys);
    for item in items.iter_mut().filter(|item| circle.contains(&item.name)) {
        item.notes.push("it and those it comes after wait for each other: decide which is first".into());
    }
    let secrets = order.into_iter().map(|at| items[at].clone()).collect();
    let mut by_place: BTreeMap<&Place, Vec<&Subject>> = BTreeMap::new();
    for subject in subjects {
        by_place.entry(&subject.place).or_default().push(subject);
    }
    let (mut contain, mut look_back) = (standing_advice(asked), Vec::new());
    for (place, subjects) in by_place {
        let kind = incident(&place.provider);
        let mut readers: Vec<String> =
            subjects.iter().flat_map(|subject| kind.readers(&subject.record.secret)).collect();
        readers.extend(asked.readers_of.clone());
        readers.sort();
        readers.dedup();
        contain.extend(kind.contain(place, &readers));
        let secrets: Vec<_> = subjects.iter().map(|subject| &subject.record.secret).collect();
        look_back.extend(kind.look_back(place, &secrets, (asked.since, now)));
    }
    let (asked, format) = (asked.clone(), FORMAT.to_owned());
    let proof = vec![
        "every secret in scope has a current version that was made after the compromise".into(),
        "the probe of each secret finds that the old value no longer works".into(),
        "the report is signed and stored in the repository: lifeboat compromise verify".into(),
    ];
    let (made, after) = (now, Vec::new());
    Ok(Plan { format, version: VERSION, repository, made, asked, sources, contain, secrets, look_back, proof, after })
}

/// What comes first whatever leaked.
fn standing_advice(asked: &Asked) -> Vec<Advice> {
    let advice = |what: &str, command: String| Advice { what: what.into(), command };
    let since = asked.since.to_string();
    let scope: Vec<&str> = match asked.scope.as_slice() {
        // The readers of a role are no pattern of names.
        [] => vec!["--scope", "PATTERN"],
        patterns => patterns.iter().flat_map(|pattern| ["--scope", pattern]).collect(),
    };
    let mark = ["lifeboat", "compromise", "mark"].into_iter().chain(scope);
    vec![
        advice("keep what is there as it was found", "lifeboat snapshot".into()),
        advice("remove no snapshot until this is over", "switch the timer of `lifeboat forget` off".into()),
        advice(
            "keep the leaked versions from coming back",
            text::command(mark.chain(["--since", &since, "--reason", "TEXT"])),
        ),
    ]
}

fn urgency(way: &Way) -> u8 {
    match way {
        Way::Never(_) => 0,
        Way::Managed(_) | Way::Rotatable(_) => 1,
        Way::Scripted(_) => 2,
        Way::Manual => 3,
    }
}

fn item(subject: &Subject, all: &[Subject], playbook: &Playbook) -> Item {
    let (record, name) = (&subject.record, &subject.record.secret.name);
    let kind = incident(&subject.place.provider);
    let play = playbook.of(name).cloned().unwrap_or_default();
    let way = way(kind, record, &play);
    let mut notes = Vec::new();
    let mut after: Vec<String> = play.after.clone();
    let is_meant = |other: &&Subject| {
        subject.masters.iter().any(|id| *id == other.record.secret.id || *id == other.record.secret.name)
    };
    after.extend(all.iter().filter(is_meant).map(|master| master.record.secret.name.clone()));
    for master in &subject.masters {
        if !all.iter().any(|other| other.record.secret.id == *master || other.record.secret.name == *master) {
            notes.push(format!("its value names a master that is not in scope: {master}"));
        }
    }
    let of_before = |other: &&Subject| is_before(&other.record.secret.name, name);
    if let Some(before) = all.iter().find(of_before) {
        notes.push(format!(
            "{} holds the key of before: a leaked key must not stay valid there, so replace it as soon as the new key signs",
            before.record.secret.name
        ));
    }
    let newer = all.iter().filter(|other| is_before(name, &other.record.secret.name));
    after.extend(newer.map(|other| other.record.secret.name.clone()));
    for key in &subject.overlaps {
        notes.push(format!("its value keeps the key of before beside {key}: empty it as soon as the new key signs"));
    }
    if record.secret.deleted.is_some() {
        notes.push("it is scheduled for deletion: whoever took it can still use what it opens".into());
    }
    after.sort();
    after.dedup();
    let mut revoke = kind.revoke(&subject.place, record);
    if !play.revoke.is_empty() {
        revoke.push(Advice { what: "revoke the old value where it is used".into(), command: play.revoke.clone() });
    }
    let mut consumers: Vec<String> = kind.readers(&record.secret);
    consumers.extend(play.consumers.iter().cloned());
    let rotation = matches!(way, Way::Rotatable(_)).then(|| kind.rotation(&subject.place, &record.secret)).flatten();
    Item {
        place: subject.place.clone(),
        name: name.clone(),
        id: record.secret.id.clone(),
        current: record.versions.iter().find(|version| version.is_current()).map(|version| version.id.clone()),
        way,
        after,
        rotation,
        probe: play.probe,
        revoke,
        consumers,
        owner: play.owner,
        runbook: play.runbook,
        notes,
    }
}

/// What the owner says counts before what the name and the provider say.
fn way(kind: &dyn Incident, record: &Record, play: &super::Play) -> Way {
    let funds = || {
        let name = record.secret.name.to_ascii_lowercase();
        name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| FUNDS.contains(&word))
    };
    if !play.never.is_empty() {
        return Way::Never(play.never.clone());
    }
    if !play.rotate.is_empty() {
        return Way::Scripted(play.rotate.clone());
    }
    match kind.way(record) {
        Way::Manual if funds() => {
            Way::Never("its name is that of a key of funds: move them to a new address first, then retire it".into())
        }
        other => other,
    }
}

/// Whether `name` is the key of before of `of`: `jwt_secret_previous` of `jwt_secret`.
fn is_before(name: &str, of: &str) -> bool {
    name.strip_prefix(of).is_some_and(|rest| matches!(rest, "_previous" | "-previous" | "_old" | "-old" | "/previous"))
}

/// Keys of a value's object of which another one holds the value of before: `jwt_secret` beside `jwt_secret_previous`.
pub fn overlaps(keys: &[&str]) -> Vec<String> {
    let has_before = |key: &&&str| keys.iter().any(|other| is_before(other, key));
    keys.iter().filter(has_before).map(|key| (*key).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Facets, Rotation, Secret};

    fn subject(name: &str, facets: Facets, masters: &[&str]) -> Subject {
        let secret = Secret { name: name.into(), id: format!("arn:{name}"), facets, ..Secret::default() };
        Subject {
            place: Place { provider: "aws".into(), account: "1".into(), region: "r".into() },
            record: Record { secret, versions: vec![], read: Timestamp::UNIX_EPOCH, listing: None },
            masters: masters.iter().map(|master| (*master).to_owned()).collect(),
            overlaps: vec![],
        }
    }

    fn rotated() -> Facets {
        Facets {
            rotation: Some(Rotation { enabled: true, lambda: Some("arn:l".into()), ..Rotation::default() }),
            ..Facets::default()
        }
    }

    #[test]
    fn a_plan_classifies_and_orders() {
        let subjects = [
            subject("app/user", rotated(), &["arn:app/master"]),
            subject("app/master", rotated(), &[]),
            subject("app/jwt_secret_previous", Facets::default(), &[]),
            subject("app/jwt_secret", Facets::default(), &[]),
            subject("app/hot-wallet", Facets::default(), &[]),
            subject("app/rds", Facets { managed: Some("rds".into()), ..Facets::default() }, &["arn:elsewhere"]),
            subject("app/mail", rotated(), &[]),
        ];
        let playbook =
            Playbook::parse("[[secret]]\nnames = \"app/mail\"\nrotate = [\"roll\"]\nowner = \"Mail\"\n").unwrap();
        let asked = Asked { scope: vec!["app/".into()], readers_of: None, since: Timestamp::UNIX_EPOCH };
        let id = RepositoryId::from_bytes([1; 16]);
        let plan = make(id, &asked, vec![], &subjects, &playbook, Timestamp::UNIX_EPOCH).unwrap();
        let order: Vec<&str> = plan.secrets.iter().map(|item| &item.name["app/".len()..]).collect();
        assert_eq!(order, ["hot-wallet", "master", "rds", "user", "mail", "jwt_secret", "jwt_secret_previous"]);
        let way = |name: &str| plan.secrets.iter().find(|item| item.name.ends_with(name)).unwrap().way.clone();
        assert!(matches!(way("wallet"), Way::Never(_)));
        assert_eq!((way("mail"), way("jwt_secret")), (Way::Scripted(vec!["roll".into()]), Way::Manual));
        assert_eq!((way("rds"), way("user")), (Way::Managed("rds".into()), Way::Rotatable("arn:l".into())));
        let rds = plan.secrets.iter().find(|item| item.name == "app/rds").unwrap();
        assert!(rds.notes[0].contains("not in scope: arn:elsewhere"));
        assert!(plan.secrets[3].rotation.as_ref().unwrap().contains("--rotate-immediately"));
        assert_eq!(Plan::parse(&plan.to_bytes(), id).unwrap(), plan);
        let other = RepositoryId::from_bytes([2; 16]);
        assert!(matches!(Plan::parse(&plan.to_bytes(), other), Err(NoPlan::OtherRepository(_))));
        assert!(matches!(
            make(id, &asked, vec![], &[], &playbook, Timestamp::UNIX_EPOCH),
            Err(NoPlan::NothingMatches(_))
        ));
    }

    #[test]
    fn a_scope_is_a_pattern_or_a_folder() {
        let record = |name: &str| subject(name, Facets::default(), &[]);
        let wants = |scope: &str, name: &str| {
            let asked = Asked { scope: vec![scope.into()], readers_of: None, since: Timestamp::UNIX_EPOCH };
            let subject = record(name);
            asked.wants(&subject.place, &subject.record)
        };
        assert!(wants("app/", "app/x/y") && wants("app/*", "app/x") && wants("a?p", "app") && wants("app", "app"));
        assert!(!wants("app/", "app") && !wants("app", "app/x") && !wants("[app]/", "app/x"));
    }

    #[test]
    fn a_key_of_before_is_known_by_its_name() {
        assert_eq!(overlaps(&["jwt_secret", "jwt_secret_previous", "other_previous"]), ["jwt_secret"]);
    }
}
