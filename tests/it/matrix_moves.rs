//! The moves of the matrix: what an attacker does to an honest history, with files and with genuine keys.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, ToSpan};
use lifeboat::crypto::{Namespace, RecoveryKey, Signer};
use serde_json::{Value as Json, json};

use crate::matrix_world::{Base, Tree, World, id, stem, text};

/// Who makes a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    Storage,
    Junk,
    Removed,
    Current,
    OldTrust,
    Time,
}

/// What a move touches, and so which commands could see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `snapshots/`, `closings/`, `forgotten/`, `records/`, and what others remember of the head.
    History,
    /// `epochs/`.
    Epochs,
    /// The manifest, number or epoch of the earlier snapshot that is named by its id.
    Named,
    /// The index of the newest snapshot.
    Index,
    /// A pack of the newest snapshot.
    Packs,
    /// `drills/`.
    Drills,
    /// `attestations/`.
    Sheets,
    /// `records/`: one that forbids something. What it does not forbid goes on.
    Halt,
    /// A file that no restore needs.
    Beside,
}

/// What a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something was forged, changed, removed or rolled back: every command that looks there says so.
    Bad,
    /// The same, and which snapshot is the head is not certain: nothing may be added.
    Uncertain,
    /// It has no effect: every command ends as without it.
    Nothing,
    /// The signer has the right to do it, whatever he means by it: nobody can see it, and what he says of time is not believed.
    Lawful,
}

pub struct Move {
    pub by: By,
    pub what: &'static str,
    pub base: Base,
    pub kind: Kind,
    pub parts: &'static [Part],
    /// The sheets, the configuration and the root are those before the new key.
    pub old_trust: bool,
    /// The new epoch appears while the snapshot is under way.
    pub in_flight: bool,
    /// Commands that do not end as the rule says, and why they must not: the code, 0 included.
    pub but: &'static [(&'static str, i32)],
    pub apply: fn(&World, &Tree),
}

use By::{Current, Junk, OldTrust, Removed, Storage, Time};
use Kind::{Bad, Lawful, Nothing, Uncertain};
use Part::{Beside, Drills, Epochs, Halt, History, Index, Named, Packs, Sheets};

/// The newest snapshot of [`Base::Main`], and the earlier one that is named by its id.
const HEAD: u64 = 6;
const EARLIER: u64 = 4;
const SOME_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn a(by: By, what: &'static str, kind: Kind, parts: &'static [Part], apply: fn(&World, &Tree)) -> Move {
    Move { by, what, base: Base::Main, kind, parts, old_trust: false, in_flight: false, but: &[], apply }
}

impl Move {
    fn but(self, but: &'static [(&'static str, i32)]) -> Self {
        Self { but, ..self }
    }

    fn rotated(self) -> Self {
        Self { base: Base::Rotated, ..self }
    }
}

pub fn all() -> Vec<Move> {
    let mut moves = storage();
    moves.extend(junk());
    moves.extend(removed());
    moves.extend(current());
    moves.extend(old_trust());
    moves.extend(time());
    moves
}

/// Who can write, replace and remove files, and has no key.
fn storage() -> Vec<Move> {
    let a = |what, kind, parts, apply| a(Storage, what, kind, parts, apply);
    vec![
        a("changes a word of the newest manifest", Uncertain, &[History], |_, t| edit(t, &t.manifest(HEAD).0)),
        a("cuts the newest manifest short", Uncertain, &[History], |_, t| {
            let name = t.manifest(HEAD).0;
            t.write(&name, &t.read(&name)[..100]);
        }),
        a("removes the signature of the newest manifest", Uncertain, &[History], |_, t| {
            t.remove(&format!("{}.sig", t.manifest(HEAD).0));
        }),
        a("gives the newest manifest another good name", Uncertain, &[History], |_, t| {
            let name = t.manifest(HEAD).0;
            let other = format!("{}-00000000.json", name.rsplit_once('-').unwrap().0);
            t.rename(&format!("{name}.sig"), &format!("{other}.sig"));
            t.rename(&name, &other);
        }),
        a("gives the newest manifest a name of no form", Uncertain, &[History], |_, t| {
            t.rename(&t.manifest(HEAD).0, "snapshots/0/old.json");
        }),
        a("puts the one before in place of the newest manifest", Uncertain, &[History], |_, t| {
            let (name, before) = (t.manifest(HEAD).0, t.manifest(HEAD - 1).0);
            t.write(&format!("{name}.sig"), t.read(&format!("{before}.sig")));
            t.write(&name, t.read(&before));
        }),
        a("removes the newest snapshot", Uncertain, &[History], |_, t| t.remove_signed(&t.manifest(HEAD).0)),
        a("puts the repository back as it was the day before", Uncertain, &[History], |w, t| {
            t.put_back(&w.before(), "repository");
        }),
        a("puts the repository and its copy back as they were the day before", Uncertain, &[History], |w, t| {
            t.put_back(&w.before(), "repository");
            t.put_back(&w.before(), "west");
        }),
        a("removes snapshot 3", Bad, &[History], |_, t| t.remove_signed(&t.manifest(3).0)),
        a("changes a word of manifest 3", Bad, &[History], |_, t| edit(t, &t.manifest(3).0)),
        a("changes a word of manifest 4, which is named by its id", Bad, &[History, Named], |_, t| {
            edit(t, &t.manifest(EARLIER).0);
        }),
        a("removes a pack of the newest snapshot", Bad, &[Packs], |_, t| t.remove(&new_file(t, "packs"))),
        a("changes a byte of a pack of the newest snapshot", Bad, &[Packs], |_, t| t.flip(&new_file(t, "packs")))
            .but(&[("snapshot", 0)]), // it looks whether packs are there, and reads none
        a("removes the index of the newest snapshot", Bad, &[Index], |_, t| t.remove(&new_file(t, "indexes"))),
        a("changes a byte of the index of the newest snapshot", Bad, &[Index], |_, t| t.flip(&new_file(t, "indexes"))),
        a("removes the newest epoch, which removed a signer", Bad, &[Epochs, History, Named], |_, t| {
            t.remove_signed(&t.epoch(4));
        }),
        a("changes a word of the newest epoch", Bad, &[Epochs, History, Named], |_, t| edit(t, &t.epoch(4))),
        a("removes the signature of the newest epoch", Bad, &[Epochs, History, Named], |_, t| {
            t.remove(&format!("{}.sig", t.epoch(4)));
        }),
        a("removes an epoch in the middle", Bad, &[Epochs, History, Named], |_, t| t.remove_signed(&t.epoch(2))),
        a("removes the closing list", Bad, &[Epochs, History], |_, t| t.remove(&t.signed("closings")[0].0)),
        a("changes the closing list", Bad, &[Epochs, History], |_, t| edit(t, &t.signed("closings")[0].0)),
        a("removes the record of an executed forgetting", Bad, &[History], |_, t| {
            t.remove_signed(&t.signed("forgotten")[0].0);
        }),
        a("changes the record of a forgetting", Bad, &[History], |_, t| edit(t, &t.signed("forgotten")[0].0)),
        a("removes every forget record", Bad, &[History], |_, t| {
            t.signed("forgotten").iter().for_each(|(name, _)| t.remove_signed(name));
        }),
        a("changes the newest drill record", Bad, &[Drills], |_, t| edit(t, &t.signed("drills").pop().unwrap().0))
            .but(&[("drill", 3)]),
        a("changes an attestation", Bad, &[Sheets], |_, t| edit(t, &t.signed("attestations").pop().unwrap().0)),
        a("changes lifeboat.json", Bad, &[Beside], |_, t| {
            let text = String::from_utf8(t.read("lifeboat.json")).unwrap();
            t.write("lifeboat.json", text.replace("\"version\": 1", "\"version\":  1"));
        }),
        // The script that says so would be the attacker's: it does not look at itself.
        a("puts another recover.py there", Bad, &[Beside], |_, t| t.write("recover.py", "print('every value')\n"))
            .but(&[("py-verify", 0)]),
    ]
}

/// Who can only create files.
#[expect(clippy::too_many_lines, reason = "a flat list of moves")]
fn junk() -> Vec<Move> {
    const NAME: &str = "snapshots/0/20990101T000000Z-0badc0de.json";
    let a = |what, kind, parts, apply| a(Junk, what, kind, parts, apply);
    vec![
        a("junk with the name of a manifest", Bad, &[History], |_, t| t.write(NAME, "junk")),
        a("junk with the name of a manifest, and a signature", Bad, &[History], |_, t| {
            t.write(NAME, "junk");
            t.write(&format!("{NAME}.sig"), "junk");
        }),
        a("a manifest of 17 MiB", Bad, &[History], |_, t| {
            t.write(NAME, "");
            std::fs::File::options()
                .write(true)
                .open(t.path("repository").join(NAME))
                .unwrap()
                .set_len(17 << 20)
                .unwrap();
        }),
        a("a manifest that another key signed", Bad, &[History], |w, t| {
            let mut manifest = w.next.manifest.clone();
            manifest["signer"] = json!(w.stranger.public());
            t.forge(&w.next, &manifest, &w.stranger);
        }),
        a("a manifest of a stranger in a signer's name", Bad, &[History], |w, t| {
            t.forge(&w.next, &w.next.manifest, &w.stranger);
        }),
        a("a copy of a genuine manifest under a name of no form", Bad, &[History], |_, t| {
            let name = t.manifest(HEAD).0;
            t.write("snapshots/0/copy.json", t.read(&name));
            t.write("snapshots/0/copy.json.sig", t.read(&format!("{name}.sig")));
        }),
        a("names of no form below snapshots/", Nothing, &[History], |_, t| {
            let names = ["é", "a~", "a%41", "x[1]", "a b", "20990101T000000Z-0BADC0DE", "a\\b", "a#b", "a?b"];
            for name in names {
                t.write(&format!("snapshots/{name}.json"), "junk");
            }
            t.write(NAME.strip_prefix("snapshots/0/").unwrap(), "junk");
            t.write("snapshots/00/20990101T000000Z-0badc0de.json", "junk");
            t.write("snapshots/x/20990101T000000Z-0badc0de.json", "junk");
        }),
        a("a name with a line break below snapshots/", Nothing, &[History], |_, t| {
            t.write("snapshots/a\nb.json", "junk");
        }),
        a("names of no form everywhere else", Nothing, &[History], |_, t| {
            for folder in [
                "epochs",
                "closings",
                "packs",
                "indexes",
                "drills",
                "attestations",
                "forgotten",
                "records",
                "turns",
                "new",
            ] {
                for name in ["é.json", "a~.json", "x[1].json", "1.json", "x.json.sig"] {
                    t.write(&format!("{folder}/{name}"), "junk");
                }
            }
            t.write("epochs/5.json", "junk");
            t.write("epochs/5.json.sig", "junk");
        }),
        a("an epoch 5 that is not what its name says", Bad, &[Epochs], |_, t| {
            t.write(&format!("epochs/5-{SOME_DIGEST}.json"), "junk");
            t.write(&format!("epochs/5-{SOME_DIGEST}.json.sig"), "junk");
        }),
        a("an epoch 5 whose digest is right and which says nothing", Bad, &[Epochs], |_, t| {
            t.write(&format!("epochs/5-{}.json", lifeboat::model::Digest::of(b"junk")), "junk");
        }),
        a("an epoch 9", Nothing, &[Epochs], |_, t| {
            t.write(&format!("epochs/9-{SOME_DIGEST}.json"), "junk");
            t.write(&format!("epochs/9-{SOME_DIGEST}.json.sig"), "junk");
        }),
        a("a whole epoch 5 of another key", Nothing, &[Epochs], |_, t| {
            foreign_epoch(t, None);
        }),
        a("a squatted turn", Nothing, &[], |_, t| t.write("turns/7-1.json", "junk")),
        a("a hundred squatted turns", Nothing, &[], |_, t| {
            (1..=100).for_each(|attempt| t.write(&format!("turns/7-{attempt}.json"), "junk"));
        })
        .but(&[("snapshot", 4)]),
        a("a signature without its manifest", Nothing, &[], |_, t| t.write(&format!("{NAME}.sig"), "junk")),
        a("packs, indexes and lists that nobody needs", Nothing, &[], |_, t| {
            t.write(&format!("packs/00/{SOME_DIGEST}.age"), "junk");
            t.write(&format!("indexes/{SOME_DIGEST}.age"), "junk");
            t.write(&format!("lists/{SOME_DIGEST}.json"), "junk");
            t.write(&format!("closings/{SOME_DIGEST}.json"), "junk");
            t.write(&format!("configs/{SOME_DIGEST}.age"), "junk");
            t.write(&format!("bundles/0-{SOME_DIGEST}.zst"), "junk");
        }),
        a("junk with the name of a forget record", Bad, &[History], |_, t| {
            t.write(&NAME.replace("snapshots/0", "forgotten"), "junk");
        }),
        a("junk with the name of a drill record", Bad, &[Drills], |_, t| {
            t.write(&NAME.replace("snapshots/0", "drills"), "junk");
            t.write(&format!("{}.sig", NAME.replace("snapshots/0", "drills")), "junk");
        }),
        a("junk with the name of an attestation", Bad, &[Sheets], |_, t| {
            t.write(&NAME.replace("snapshots/0", "attestations"), "junk");
        }),
        a("junk with the name of a record of a later kind", Bad, &[History], |_, t| {
            t.write(&NAME.replace("snapshots/0", "records"), "junk");
        }),
    ]
}

/// A host that was removed, with its genuine key.
fn removed() -> Vec<Move> {
    let a = |what, kind, parts, apply| a(Removed, what, kind, parts, apply);
    vec![
        a("signs the next snapshot", Bad, &[History], |w, t| by_removed(w, t, |_| {})),
        a("signs the next snapshot for the newest epoch", Bad, &[History], |w, t| {
            by_removed(w, t, |manifest| manifest["epoch"] = json!(4));
        }),
        a("signs another snapshot 1", Bad, &[History], |w, t| {
            by_removed(w, t, |manifest| {
                manifest["sequence"] = json!(1);
                manifest["previous"] = Json::Null;
            });
        }),
        a("signs a snapshot of next year", Bad, &[History], |w, t| {
            by_removed(w, t, |manifest| set_time(manifest, &next_year()));
        }),
        a("takes the next turn with a snapshot", Nothing, &[], |w, t| {
            let manifest = text(&of_removed(w));
            let signature = w.removed.sign(Namespace::Manifest, manifest.as_bytes());
            t.write("turns/7-1.json", text(&json!({ "version": 1, "manifest": manifest, "signature": signature })));
            t.add(&w.next);
        }),
        a("orders snapshots 2 to 5 to be forgotten, the window long over", Nothing, &[], |w, t| {
            order(t, &w.removed, 3, &[2, 3, 4, 5], &long_ago());
        }),
        a("takes an honest forgetting back", Nothing, &[], |w, t| {
            let (name, record) = t.signed("forgotten").pop().unwrap();
            let mut undo = record.clone();
            (undo["snapshots"], undo["files"]) = (json!([]), json!([]));
            undo["undoes"] = json!(t.digest(&name));
            undo.as_object_mut().unwrap().remove("rules");
            forget(t, undo, &w.removed, 3, "undo");
        }),
        a("and the storage: removes snapshot 4 and calls it forgotten", Bad, &[History, Named], |w, t| {
            order(t, &w.removed, 3, &[EARLIER], &long_ago());
            t.remove_signed(&t.manifest(EARLIER).0);
        }),
        a("signs a drill that passed", Bad, &[Drills], |w, t| drill(t, &w.removed, &now())),
        a("signs a drill of next year that passed", Bad, &[Drills], |w, t| drill(t, &w.removed, &next_year())),
        a("attests a sheet", Bad, &[Sheets], |w, t| attest(t, &w.removed, &now())),
        a("attests a sheet next year", Bad, &[Sheets], |w, t| attest(t, &w.removed, &next_year())),
        a("signs a record of a later kind that forbids everything", Bad, &[History], |w, t| halt(t, &w.removed, 3)),
        a("marks versions as leaked", Bad, &[History], |w, t| tombstone(t, &w.removed, 3)),
        a("countersigns an epoch of another key", Nothing, &[Epochs], |w, t| foreign_epoch(t, Some(&w.removed))),
    ]
}

/// A host that may sign, and does not mean well.
fn current() -> Vec<Move> {
    let a = |what, kind, parts, apply| a(Current, what, kind, parts, apply);
    vec![
        a("signs another newest snapshot", Uncertain, &[History], |w, t| {
            t.forge(&w.head, &w.head.manifest, &w.current);
        }),
        a("signs another snapshot 4, which is named by its id", Uncertain, &[History, Named], |w, t| {
            let mut manifest = w.head.manifest.clone();
            manifest["sequence"] = json!(EARLIER);
            manifest["previous"] = t.manifest(EARLIER).1["previous"].clone();
            t.forge(&w.head, &manifest, &w.current);
        }),
        a("signs a next snapshot that follows another one", Uncertain, &[History], |w, t| {
            let mut manifest = w.next.manifest.clone();
            manifest["previous"] = json!(SOME_DIGEST);
            t.forge(&w.next, &manifest, &w.current);
        }),
        a("signs snapshot 2^53", Bad, &[History], |w, t| {
            let mut manifest = w.next.manifest.clone();
            manifest["sequence"] = json!(1_u64 << 53);
            t.forge(&w.next, &manifest, &w.current);
        }),
        a("signs snapshot 2^64 - 1", Bad, &[History], |w, t| {
            let mut manifest = w.next.manifest.clone();
            manifest["sequence"] = json!(u64::MAX);
            let name = format!("snapshots/0/{}.json", stem(&manifest["time"], &manifest["snapshot"]));
            t.add(&w.next);
            t.sign(&name, &manifest, &w.current, Namespace::Manifest);
        }),
        a("signs the last snapshot there can be, 2^53 - 1", Uncertain, &[History], |w, t| {
            let mut manifest = w.next.manifest.clone();
            manifest["sequence"] = json!((1_u64 << 53) - 1);
            t.forge(&w.next, &manifest, &w.current);
        }),
        a("leaves a gap and signs snapshot 8", Bad, &[History], |w, t| {
            let mut manifest = w.next.manifest.clone();
            manifest["sequence"] = json!(HEAD + 2);
            t.forge(&w.next, &manifest, &w.current);
        }),
        a("signs the next snapshot, of values of its own", Lawful, &[], |w, t| {
            t.forge(&w.next, &w.next.manifest, &w.current);
        })
        .but(&[("diff", 3)]),
        a("signs a forget record with rules that keep nothing", Lawful, &[], |w, t| {
            order(t, &w.current, 4, &[2, 3, 4, 5], &now());
        }),
        a("and the storage: removes snapshot 4 and says that it was forgotten", Lawful, &[], |w, t| {
            order(t, &w.current, 4, &[EARLIER], &now());
            t.remove_signed(&t.manifest(EARLIER).0);
        })
        .but(&[("id", 2)]),
        a("signs a record of a kind to come, which forbids everything", Uncertain, &[Halt], |w, t| {
            halt(t, &w.current, 4);
        }),
        a("countersigns an epoch of a key that nobody made", Uncertain, &[Epochs, History], |w, t| {
            foreign_epoch(t, Some(&w.current));
        }),
    ]
}

/// A host that does not know that the key is another now.
fn old_trust() -> Vec<Move> {
    let a = |what, kind, parts, apply| a(OldTrust, what, kind, parts, apply).rotated();
    vec![
        Move {
            old_trust: true,
            ..a(
                "(its own commands, with the old configuration and the old sheets)",
                Uncertain,
                &[Epochs, History],
                |_, t| {
                    t.rename("../old.toml", "../lifeboat.toml");
                },
            )
        },
        Move {
            base: Base::Main,
            in_flight: true,
            ..a("has a snapshot under way while the new epoch is stored", Uncertain, &[Epochs, History], World::switch)
        },
        a("signs a snapshot for the old epoch after one for the new", Bad, &[History], |w, t| {
            let mut manifest = w.rotated.manifest.clone();
            manifest["epoch"] = json!(4);
            t.forge(&w.rotated, &manifest, &w.current);
        }),
        a("holds the next turn with a snapshot for the old epoch", Nothing, &[], |w, t| {
            let mut manifest = w.rotated.manifest.clone();
            manifest["epoch"] = json!(4);
            let manifest = text(&manifest);
            let signature = w.current.sign(Namespace::Manifest, manifest.as_bytes());
            t.write("turns/9-1.json", text(&json!({ "version": 1, "manifest": manifest, "signature": signature })));
            t.add(&w.rotated);
        }),
    ]
}

/// Somebody who lies about time: with the storage's clock, or with a signer's.
fn time() -> Vec<Move> {
    let a = |what, kind, parts, apply| a(Time, what, kind, parts, apply);
    vec![
        a("every file appeared in 1970", Nothing, &[], |_, t| t.touch("", SystemTime::UNIX_EPOCH)),
        a("every file appears in ten years", Nothing, &[], |_, t| {
            t.touch("", SystemTime::now() + Duration::from_hours(24 * 3650));
        }),
        a("a signer dates the next snapshot 1970", Lawful, &[], |w, t| {
            dated(w, t, &"1970-01-01T00:00:00Z".parse().unwrap());
        })
        .but(&[("diff", 3), ("status", 3)]),
        a("a signer dates the next snapshot next year", Lawful, &[], |w, t| dated(w, t, &next_year())).but(&[
            ("diff", 3),
            ("status", 3),
            ("watch", 3),
        ]),
        a("a signer's forget record says that its window is long over", Lawful, &[], |w, t| {
            order(t, &w.current, 4, &[2, 3, 4, 5], &long_ago());
        }),
        a("and so does the storage", Lawful, &[], |w, t| {
            order(t, &w.current, 4, &[2, 3, 4, 5], &long_ago());
            t.touch("forgotten/", SystemTime::now() - Duration::from_hours(24 * 60));
        }),
        a("a signer attests a sheet next year", Bad, &[Sheets], |w, t| attest(t, &w.current, &next_year())),
        a("a signer signs a drill of next year", Bad, &[Drills], |w, t| drill(t, &w.current, &next_year())),
    ]
}

// ---- how ----

/// Changes one word, so that the file is still whole and not what was signed.
fn edit(t: &Tree, name: &str) {
    let before = String::from_utf8(t.read(name)).unwrap();
    let after = before.replacen("\"version\": ", "\"version\":  ", 1);
    assert_ne!(before, after);
    t.write(name, after);
}

/// A file of the newest snapshot that no earlier one has.
fn new_file(t: &Tree, folder: &str) -> String {
    let (newest, before) = (t.manifest(HEAD).1.to_string(), t.manifest(HEAD - 1).1.to_string());
    let there = t.repository_files().into_iter().map(|(name, _)| name.to_str().unwrap().to_owned());
    let digest = |name: &str| name.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned();
    let is_new = |name: &String| newest.contains(&digest(name)) && !before.contains(&digest(name));
    there.into_iter().find(|name| name.starts_with(folder) && is_new(name)).unwrap()
}

/// The attacker's snapshot as the removed host would sign it.
fn of_removed(w: &World) -> Json {
    let mut manifest = w.next.manifest.clone();
    (manifest["signer"], manifest["epoch"]) = (json!(w.removed.public()), json!(3));
    manifest
}

fn by_removed(w: &World, t: &Tree, change: impl Fn(&mut Json)) {
    let mut manifest = of_removed(w);
    change(&mut manifest);
    t.forge(&w.next, &manifest, &w.removed);
}

fn set_time(manifest: &mut Json, time: &Timestamp) {
    (manifest["time"], manifest["finished"]) = (json!(time), json!(time));
    manifest["full"]["time"] = json!(time);
}

/// The next snapshot, by a signer, with another date.
fn dated(w: &World, t: &Tree, time: &Timestamp) {
    let mut manifest = w.next.manifest.clone();
    set_time(&mut manifest, time);
    t.forge(&w.next, &manifest, &w.current);
}

fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap()
}

fn next_year() -> Timestamp {
    now().checked_add((366 * 24).hours()).unwrap()
}

fn long_ago() -> Timestamp {
    now().checked_sub((60 * 24).hours()).unwrap()
}

/// A record that orders snapshots to be removed a second after its time, by rules that keep one.
fn order(t: &Tree, signer: &Signer, epoch: u32, numbers: &[u64], time: &Timestamp) {
    let place = |number: &u64| {
        let (name, manifest) = t.manifest(*number);
        json!({ "snapshot": manifest["snapshot"], "sequence": number, "manifest": t.digest(&name),
            "previous": manifest["previous"], "time": manifest["time"] })
    };
    let mut record = t.signed("forgotten").pop().unwrap().1;
    record["snapshots"] = numbers.iter().map(place).collect();
    (record["time"], record["after"]) = (json!(time), json!(time.checked_add(1.second()).unwrap()));
    if record.get("rules").is_some() {
        record["rules"] =
            json!({ "keep_last": 1, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "keep_yearly": 0 });
    }
    forget(t, record, signer, epoch, "order");
}

fn forget(t: &Tree, mut record: Json, signer: &Signer, epoch: u32, of: &str) {
    (record["forget"], record["epoch"], record["signer"]) = (id(of), json!(epoch), json!(signer.public()));
    let name = format!("forgotten/{}.json", stem(&record["time"], &record["forget"]));
    t.sign(&name, &record, signer, Namespace::Forget);
}

/// A drill record that passed: the newest one again, later and by another.
fn drill(t: &Tree, signer: &Signer, time: &Timestamp) {
    let (newest, mut record) = t.signed("drills").pop().unwrap();
    (record["drill"], record["signer"], record["started"]) = (id("drill"), json!(signer.public()), json!(time));
    record["previous"] = json!(t.digest(&newest));
    t.sign(&format!("drills/{}.json", stem(&record["started"], &record["drill"])), &record, signer, Namespace::Drill);
}

fn attest(t: &Tree, signer: &Signer, time: &Timestamp) {
    let mut record = t.signed("attestations").pop().unwrap().1;
    (record["attestation"], record["signer"], record["time"]) = (id("attest"), json!(signer.public()), json!(time));
    let name = format!("attestations/{}.json", stem(&record["time"], &record["attestation"]));
    t.sign(&name, &record, signer, Namespace::Audit);
}

/// A record of a kind that this build does not know.
fn halt(t: &Tree, signer: &Signer, epoch: u32) {
    let repository = &t.manifest(HEAD).1["repository"];
    let record = json!({ "version": 1, "repository": repository, "record": id("hold"), "kind": "hold", "time": now(),
        "epoch": epoch, "signer": signer.public(), "halts": ["remove", "restore", "snapshot"], "body": {} });
    let name = format!("records/{}.json", stem(&record["time"], &record["record"]));
    t.sign(&name, &record, signer, Namespace::Record);
}

/// Marks of leaked versions.
fn tombstone(t: &Tree, signer: &Signer, epoch: u32) {
    let repository = &t.manifest(HEAD).1["repository"];
    let record = json!({ "version": 1, "repository": repository, "record": id("mark"), "kind": "tombstone", "time": now(),
        "epoch": epoch, "signer": signer.public(), "halts": [],
        "body": { "versions": 1, "readers": [], "sealed": "AAAA" } });
    let name = format!("records/{}.json", stem(&record["time"], &record["record"]));
    t.sign(&name, &record, signer, Namespace::Record);
}

/// A whole epoch 5 of a key that no ceremony made, countersigned or not.
fn foreign_epoch(t: &Tree, countersigner: Option<&Signer>) {
    let key = RecoveryKey::generate();
    let current = t.epoch(4);
    let mut epoch: Json = serde_json::from_slice(&t.read(&current)).unwrap();
    (epoch["number"], epoch["created"]) = (json!(5), json!(now()));
    (epoch["root"], epoch["recipient"]) = (json!(key.root_signer().public()), json!(key.recipient()));
    epoch["previous"] = json!({ "number": 4, "sha256": t.digest(&current) });
    epoch.as_object_mut().unwrap().remove("closing");
    let bytes = text(&epoch);
    let name = format!("epochs/5-{}.json", lifeboat::model::Digest::of(bytes.as_bytes()));
    if let Some(signer) = countersigner {
        t.write(&format!("{name}.countersig"), signer.sign(Namespace::Epoch, bytes.as_bytes()));
    }
    t.sign(&name, &epoch, &key.root_signer(), Namespace::Epoch);
}
