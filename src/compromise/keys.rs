//! What a leaked key of Lifeboat itself could read or forge, and what follows (docs/threat-model.md).

use serde::Serialize;

use crate::{
    provider::Advice,
    repo::{Chain, Trust},
};

/// A key of Lifeboat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeakedKey {
    /// A sheet of a custodian, or as many as open the recovery key.
    Sheet,
    /// The index key of a host.
    Index,
    /// The signing key of a host.
    Signer,
    /// The drill key.
    Drill,
}

/// The answer to one leaked key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyAnswer {
    /// Which.
    pub key: &'static str,
    /// What it lets others read.
    pub reads: Vec<String>,
    /// What it lets others forge.
    pub forges: Vec<String>,
    /// What it does not give.
    pub cannot: Vec<String>,
    /// What to do, in this order.
    pub follows: Vec<Advice>,
}

fn advice(what: &str, command: &str) -> Advice {
    Advice { what: what.into(), command: command.into() }
}

fn words<const N: usize>(all: [&str; N]) -> Vec<String> {
    all.into_iter().map(str::to_owned).collect()
}

/// What follows, with the numbers of this repository.
pub fn about_key(key: LeakedKey, trust: &Trust, chain: &Chain) -> KeyAnswer {
    match key {
        LeakedKey::Sheet => sheet(trust, chain),
        LeakedKey::Index => index(chain),
        LeakedKey::Signer => signer(trust, chain),
        LeakedKey::Drill => drill(chain),
    }
}

fn sheet(trust: &Trust, chain: &Chain) -> KeyAnswer {
    let epoch = trust.current();
    let readable: Vec<_> = trust.epochs().iter().filter(|one| one.recipient == epoch.recipient).collect();
    let of_key = |number: u32| readable.iter().any(|one| one.number == number);
    let count = chain.manifests.iter().filter(|found| of_key(found.manifest().epoch)).count();
    let (k, n) = (epoch.threshold, epoch.total);
    KeyAnswer {
        key: "sheet",
        reads: vec![
            format!("fewer than {k} sheets of share set {}: nothing", epoch.share_set),
            format!(
                "{k} or more of the {n}: every value of {count} snapshots, and of those to come until the key is replaced"
            ),
        ],
        forges: vec![format!(
            "fewer than {k}: nothing; {k} or more: the root signing key, and with it key epochs, signers and whatever these sign"
        )],
        cannot: words(["a sheet of an older set does not combine with one of the newest set"]),
        follows: vec![
            advice("fewer sheets than the threshold: make the others worthless with it", "lifeboat custody reshare"),
            advice("as many as the threshold: replace the recovery key", "lifeboat custody rotate"),
            advice(
                "then every value counts as leaked: mark them",
                "lifeboat compromise mark --scope '*' --reason TEXT",
            ),
            advice("and plan for all of them", "lifeboat compromise plan --scope '*' --since TIME"),
            advice("remove copies that others can read; what was copied stays readable", "lifeboat status"),
        ],
    }
}

fn index(chain: &Chain) -> KeyAnswer {
    let count = chain.manifests.len();
    KeyAnswer {
        key: "index",
        reads: vec![format!(
            "names, descriptions, tags, policies and version lists of the snapshots of its host (of {count} in all); marks of leaked \
             versions"
        )],
        forges: words(["nothing: anyone can seal, and only a signer can sign"]),
        cannot: words(["any value", "snapshots that other hosts sealed to their own index keys"]),
        follows: vec![
            advice(
                "whoever had it read the host's disk: look at its signing key too",
                "lifeboat compromise plan --key signer",
            ),
            advice("set the host up anew with new keys", "lifeboat host join"),
            advice("names are known to others: where a name tells too much, rename it", "lifeboat show"),
        ],
    }
}

fn signer(trust: &Trust, chain: &Chain) -> KeyAnswer {
    let head = chain.head().map_or(0, |head| head.manifest().sequence);
    let signers: Vec<&str> = trust.current().signers.iter().map(|signer| signer.name.as_str()).collect();
    KeyAnswer {
        key: "signer",
        reads: words(["nothing"]),
        forges: words([
            "snapshots with false values, which a restore of the newest would bring back",
            "drill records, proofs of sheets, marks of leaked versions",
            "forget records: with the right to delete, snapshots of the storage and of copies without a lock",
            "the countersignature of an epoch of an invented key, which makes readers of the old sheets stop",
        ]),
        cannot: words([
            "change what is signed already: another snapshot with a used number is a fork",
            "make a key epoch or allow another signer",
            "anything that counts after it is removed, but for what the closing list names",
        ]),
        follows: vec![
            advice("look for snapshots that its host did not take", "lifeboat list --all"),
            Advice {
                what: format!(
                    "remove it; --after keeps what it signed up to a snapshot that was certainly the host's (the newest is {head}, the \
                     signers are {})",
                    signers.join(", ")
                ),
                command: "lifeboat custody signer remove --name NAME --after N".into(),
            },
            advice("see what counts now", "lifeboat check --compare URL"),
            advice("what it marked or took back is judged again: marks after N have lapsed", "lifeboat list"),
            advice(
                "the same host held the credentials of the source: rotate what they could read",
                "lifeboat compromise plan --scope '*' --since TIME",
            ),
        ],
    }
}

fn drill(chain: &Chain) -> KeyAnswer {
    let sealed: Vec<_> = chain.manifests.iter().filter_map(|found| found.manifest().drill()).collect();
    let full = sealed.iter().filter(|seal| seal.full).count();
    KeyAnswer {
        key: "drill",
        reads: vec![format!(
            "the values that were sealed to it: of {} of {} snapshots, {full} of these whole",
            sealed.len(),
            chain.manifests.len()
        )],
        forges: words(["nothing"]),
        cannot: words(["values that the configuration did not name for drills", "names: these need the index key"]),
        follows: vec![
            advice("make a new one and put its recipient into the configuration", "lifeboat drill key"),
            advice(
                "what was sealed to it counts as leaked: mark the canaries",
                "lifeboat compromise mark --scope PATTERN --reason TEXT",
            ),
            advice("and plan for them", "lifeboat compromise plan --scope PATTERN --since TIME"),
        ],
    }
}
