//! A toy provider, taken through the suite as docs/adding-a-provider.md says it: a shelf with texts on it, each version with a
//! number, and no metadata but tags.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use lifeboat::{
    model::{
        Desired, DesiredVersion, Existing, Place, Planned, Record, Secret, SecretValue, State, Step, Tag, ValueRef,
        ValueState, Version, VersionFacets,
    },
    provider::{
        Applied, Context, ErrorKind, Fetched, FetchedValue, FetchedVersion, Goal, Known, Listed, ProviderError,
        Relation, Rules, Source, Target, Wish, Writes,
    },
};

/// Its scheme.
pub const SCHEME: &str = "shelf";
/// What a restore gives a secret until all of it is there.
const BEGUN: &str = "lifeboat.restore";

/// One shelf.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    secrets: BTreeMap<String, Book>,
    made: u32,
}

struct Book {
    id: String,
    tags: Vec<Tag>,
    /// The values of the versions 1, 2, ….
    pages: Vec<String>,
}

impl Book {
    fn secret(&self, name: &str) -> Secret {
        let mut secret = Secret { name: name.into(), id: self.id.clone(), ..Secret::default() };
        secret.facets.tags.clone_from(&self.tags);
        secret
    }
}

fn failed(kind: ErrorKind, name: &str) -> ProviderError {
    let (provider, operation, message) = (SCHEME, "shelf", String::new());
    ProviderError { provider, kind, operation, secret: Some(name.into()), code: format!("{kind:?}"), message }
}

#[async_trait]
impl Source for Shelf {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(Place { provider: SCHEME.into(), account: "room".into(), region: "wall".into() })
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        let inside = self.0.lock().unwrap();
        let listed = |(name, book): (&String, &Book)| {
            let secret = book.secret(name);
            Ok(Listed { name: name.clone(), id: secret.id.clone(), secret, fingerprint: None })
        };
        stream::iter(inside.secrets.iter().map(listed).collect::<Vec<_>>()).boxed()
    }

    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        let inside = self.0.lock().unwrap();
        let book = inside.secrets.get(&listed.name).ok_or_else(|| failed(ErrorKind::NotFound, &listed.name))?;
        let version = |(number, text): (usize, &String)| {
            let id = number.to_string();
            let value = if known(&book.id, &id) {
                FetchedValue::Known
            } else {
                FetchedValue::Value(SecretValue::text(text.clone()))
            };
            let (labels, facets) = (Vec::new(), VersionFacets::default());
            FetchedVersion { id, current: number == book.pages.len(), labels, created: None, facets, value }
        };
        let versions = (1..).zip(&book.pages).map(version).collect();
        Ok(Fetched { secret: book.secret(&listed.name), versions, agrees: true, held: None })
    }
}

#[async_trait]
impl Target for Shelf {
    async fn place(&self) -> Result<Place, ProviderError> {
        Source::place(self).await
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        self.list().map(|listed| listed.map(|listed| listed.name)).boxed()
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        let inside = self.0.lock().unwrap();
        let version = |(number, count): (usize, usize)| Version {
            id: number.to_string(),
            current: number == count,
            labels: Vec::new(),
            created: None,
            facets: VersionFacets::default(),
            value: ValueState::None,
        };
        Ok(inside.secrets.get(name).map(|book| {
            let count = book.pages.len();
            Existing { secret: book.secret(name), versions: (1..=count).map(|it| version((it, count))).collect() }
        }))
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        let inside = self.0.lock().unwrap();
        let found = inside.secrets.iter().find(|(name, book)| *name == id || book.id == id);
        Ok(found.map(|(name, book)| book.secret(name)))
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        let mut inside = self.0.lock().unwrap();
        let name = step.name();
        let there = inside.secrets.get_mut(name).filter(|book| at.is_none_or(|at| book.id == at));
        match (step, there) {
            // Sent twice: it is this restore's own, and still empty.
            (Step::Create { tags, .. }, Some(book)) if book.tags == *tags && book.pages.is_empty() => {
                return Ok(Applied::default());
            }
            (Step::Create { .. }, Some(_)) => return Err(failed(ErrorKind::Conflict, name)),
            (Step::Create { tags, .. }, None) => {
                inside.made += 1;
                let id = format!("{name}#{}", inside.made);
                inside.secrets.insert(name.into(), Book { id: id.clone(), tags: tags.clone(), pages: Vec::new() });
                return Ok(Applied { created: Some(id) });
            }
            (Step::Append { version, behind, .. }, Some(book)) => {
                let text = value.map(|value| String::from_utf8(value.expose().to_vec()).unwrap()).unwrap_or_default();
                let count = book.pages.len();
                if *behind == count.to_string() {
                    book.pages.push(text);
                } else if *version != count.to_string() || book.pages.last() != Some(&text) {
                    return Err(failed(ErrorKind::Conflict, name));
                }
            }
            (Step::Configure { tags, .. }, Some(book)) => book.tags.clone_from(tags),
            // By identifier alone.
            (Step::Destroy { .. }, _) if at.is_none() => return Err(failed(ErrorKind::Invalid, name)),
            (Step::Destroy { .. }, Some(_)) => drop(inside.secrets.remove(name)),
            (Step::Destroy { .. }, None) => {}
            _ => return Err(failed(ErrorKind::Invalid, name)),
        }
        Ok(Applied::default())
    }
}

/// Its rules.
pub struct ShelfRules;

impl Rules for ShelfRules {
    fn name_fault(&self, _source: &Place, _wanted: &str, name: &str) -> Option<String> {
        name.is_empty().then(|| "nothing on a shelf is without a name".into())
    }

    fn refusal(&self, record: &Record, _context: &Context<'_>) -> Option<String> {
        let current = record.versions.iter().find(|version| version.is_current());
        current.map_or_else(|| Some("no version is the current one".into()), |current| current.unavailable("current"))
    }

    fn wish(&self, record: &Record, context: &Context<'_>, _untouched: bool) -> Wish {
        let mut wish = Wish::new(record, context);
        let lifeboat::model::Facets { tags, description, key, policy, rotation, replicas, r#type, other, .. } =
            &record.secret.facets;
        wish.desired.tags.clone_from(tags);
        let lost = [
            ("description", description.is_some()),
            ("key", key.is_some()),
            ("policy", policy.is_some()),
            ("rotation", rotation.is_some()),
            ("replicas", !replicas.is_empty()),
            ("type", r#type.is_some()),
            ("other", !other.is_empty()),
        ];
        for (what, _) in lost.into_iter().filter(|(_, is_there)| *is_there) {
            wish.lose(what, "a shelf has no such thing");
        }
        for (number, version) in (1..).zip(&record.versions) {
            let Some(value) = ValueRef::of(version) else {
                wish.lose(&version.id, "it has no value");
                continue;
            };
            wish.desired.versions.push(DesiredVersion {
                id: number.to_string(),
                source: version.id.clone(),
                current: version.is_current(),
                labels: Vec::new(),
                value,
                codec: lifeboat::model::Codec::AsIs,
            });
        }
        wish
    }

    fn state(&self, existing: &Existing, _place: &Place) -> State {
        State {
            there: true,
            id: Some(existing.secret.id.clone()),
            versions: existing.versions.iter().map(|version| version.id.clone()).collect(),
            current: existing.versions.iter().find(|version| version.current).map(|version| version.id.clone()),
            tags: map(&existing.secret.facets.tags),
            ..State::default()
        }
    }

    fn relate(&self, desired: &Desired, state: &State) -> Relation {
        if state.tags.get(BEGUN) == Some(&desired.source_id) {
            return Relation::Begun;
        }
        let mut differences = Vec::new();
        if state.versions.len() != desired.versions.len() {
            differences.push("its versions".to_owned());
        }
        if state.tags != map(&desired.tags) {
            differences.push("tags".to_owned());
        }
        if differences.is_empty() { Relation::Same } else { Relation::Other(differences) }
    }

    fn settle(&self, desired: &mut Desired, state: &State, goal: Goal) {
        if goal == Goal::AddCurrent {
            desired.versions.retain(|version| version.current);
            for version in &mut desired.versions {
                version.id = (state.versions.len() + 1).to_string();
            }
        }
    }

    fn writes(&self, desired: &Desired, state: &State, goal: Goal) -> Writes {
        let name = || desired.name.clone();
        let mut writes = Writes::default();
        if !state.there {
            let begun = Tag { key: BEGUN.into(), value: desired.source_id.clone() };
            writes.first.push(Planned::plain(Step::Create {
                name: name(),
                version: None,
                description: None,
                kms_key: None,
                tags: desired.tags.iter().cloned().chain([begun]).collect(),
                secret_type: None,
                settings: BTreeMap::new(),
            }));
        }
        let is_there = |version: &&DesiredVersion| state.versions.contains(&version.id);
        for version in desired.versions.iter().filter(|version| !is_there(version)) {
            let behind = (version.id.parse::<u64>().expect("they have numbers") - 1).to_string();
            let append = Step::Append { name: name(), version: version.id.clone(), behind, placeholder: false };
            writes.first.push(Planned::of(append, version));
        }
        if goal != Goal::AddCurrent {
            let tags = desired.tags.clone();
            writes.last.push(Planned::plain(Step::Configure { name: name(), settings: BTreeMap::new(), tags }));
        }
        writes
    }

    fn after(&self, state: &mut State, step: &Step) {
        match step {
            Step::Create { tags, .. } => *state = State { there: true, tags: map(tags), ..State::default() },
            Step::Append { version, .. } => {
                state.versions.insert(version.clone());
                state.current = Some(version.clone());
            }
            Step::Configure { tags, .. } => state.tags = map(tags),
            Step::Destroy { .. } => *state = State::default(),
            _ => {}
        }
    }

    fn is_identifier(&self, id: &str, name: &str, _place: &Place) -> bool {
        id.strip_prefix(name).and_then(|rest| rest.strip_prefix('#')).is_some_and(|rest| rest.parse::<u32>().is_ok())
    }

    fn may_become(&self, record: &Record, version: &str) -> bool {
        version.parse::<usize>().is_ok_and(|number| (1..=record.versions.len()).contains(&number))
    }
}

fn map(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect()
}
