//! The evidence of an audit period: what was due in it, and that nothing can be taken out of it unseen.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use lifeboat::{
    crypto::{Namespace, Signer},
    drill::{self, DrillFile, Past, Record, evidence},
    model::{Digest, SnapshotId},
};

use crate::{
    cli::estate,
    command::{Desk, Ran, SHEETS, files},
    drill::{FILE, Scene},
    drill_report::clone_of,
};

const OUTAGE: &str = "scenario = \"eu-central-1 is gone\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n[target]\nsandbox = true\n";

fn day(time: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(time).date()
}

fn midnight(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.into()).unwrap()
}

/// The summary of a period of one plan.
fn summary(scene: &Scene, past: &[Past], plan: &str, period: (Date, Date), now: Date) -> evidence::Summary {
    let plans = BTreeMap::from([("monthly".to_owned(), DrillFile::parse(plan).unwrap())]);
    evidence::summary(&evidence::Request {
        from: period.0,
        to: period.1,
        now: midnight(now),
        past,
        plans: &plans,
        attestations: &BTreeMap::new(),
        epochs: &[],
        trust: &scene.world.trust,
    })
}

/// The turns as `turn` or `turn: why`, missed ones with `!`.
fn turns(summary: &evidence::Summary) -> Vec<String> {
    let of = |turn: &evidence::TurnSummary| match (&turn.explained, turn.held.is_empty()) {
        (_, false) => turn.turn.clone(),
        (Some(why), true) => format!("{}: {why}", turn.turn),
        (None, true) => format!("{}!", turn.turn),
    };
    summary.plans.iter().flat_map(|plan| plan.turns.iter().map(of)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_held_is_not_called_missed_and_the_rest_is() {
    let scene = Scene::new().await;
    let born = day(scene.world.trust.born());
    let month = |months: i64| born.first_of_month().checked_add(months.months()).unwrap();
    let name = |months: i64| month(months).to_string()[..7].to_owned();
    let long = (month(-12), month(24));
    let found = summary(&scene, &[], FILE, long, month(3));
    assert_eq!(turns(&found), [1, 2].map(|months| format!("{}!", name(months))), "from its birth until today");
    assert!(!found.is_complete());
    let since = format!("since = \"{}\"\n{FILE}", month(2));
    assert_eq!(turns(&summary(&scene, &[], &since, long, month(3))), [format!("{}!", name(2))], "from its first day");
    let explained = format!("{FILE}[missed]\n\"{}\" = \"moved\"\n\"{}\" = \"moved\"\n", name(1), name(2));
    let found = summary(&scene, &[], &explained, long, month(3));
    assert_eq!(turns(&found), [1, 2].map(|months| format!("{}: moved", name(months))));
    assert!(found.is_complete());
    let future = summary(&scene, &[], FILE, (month(3), month(5)), month(3));
    assert_eq!(turns(&future), [""; 0]);
}

/// Signed records of the plan, one every 30 days from the day the repository was made.
async fn held(scene: &Scene, count: i64) -> Vec<Past> {
    let last = scene.record(&|| {}).await;
    let scene = Scene::of(clone_of(scene).await);
    let (mut previous, born) = (None, scene.world.trust.born());
    for number in 0..count {
        let mut id = [0; 16];
        id[0] = u8::try_from(number).unwrap();
        let started = born.checked_add(SignedDuration::from_hours(24 * 30 * number)).unwrap();
        let mut record = Record { drill: SnapshotId::from_bytes(id), started, previous, ..last.clone() };
        record.plan.name = "monthly".into();
        let bytes = Bytes::from(record.to_bytes());
        previous = Some(Digest::of(&bytes));
        scene.world.repository.put_drill(started, record.drill, bytes, &scene.world.signer).await.unwrap();
    }
    drill::judge(scene.world.repository.drills().await.unwrap(), &scene.world.trust)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_belongs_to_the_period_in_which_it_ends_with_its_drills() {
    let scene = Scene::new().await;
    let past = held(&scene, 8).await;
    assert!(past.iter().all(|past| past.fault.is_none()));
    let born = day(scene.world.trust.born());
    let after = |days: i64| born.checked_add(days.days()).unwrap();
    let plan = FILE.replace("every_days = 31", "every_days = 90");
    // The period begins near the end of the first turn, after its drills.
    let found = summary(&scene, &past, &plan, (after(80), after(180)), after(300));
    assert_eq!(turns(&found), [born.to_string(), after(90).to_string()]);
    let held: Vec<usize> = found.plans.iter().flat_map(|plan| plan.turns.iter().map(|turn| turn.held.len())).collect();
    assert_eq!((held, found.records.len(), found.drills), (vec![3, 3], 6, 6));
    let from_a_week_later = format!("since = \"{}\"\n{plan}", after(7));
    let found = summary(&scene, &past, &from_a_week_later, (after(80), after(180)), after(300));
    assert_eq!(turns(&found), [after(7).to_string()], "the second turn ends after the period");
}

/// The archive, unpacked.
fn unpacked(desk: &Desk, archive: &str) -> PathBuf {
    desk.finish(desk.command("tar").args(["-xf", archive])).expect(0);
    let entries = std::fs::read_dir(desk.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_root = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("lifeboat-evidence");
    entries.into_iter().find(is_root).unwrap()
}

fn verify(desk: &Desk, root: &Path) -> Ran {
    desk.finish(desk.command("sh").arg(root.join("verify.sh")))
}

/// Makes the list of digests anew, as somebody with stock tools would.
fn listed_anew(root: &Path) -> String {
    let mut list = String::new();
    for (path, bytes) in files(root) {
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if !name.starts_with("SHA256SUMS") {
            list.push_str(&format!("{}  {name}\n", Digest::of(&bytes)));
        }
    }
    std::fs::write(root.join("SHA256SUMS"), &list).unwrap();
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_can_be_taken_out_of_the_evidence_or_added_to_it() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    desk.init();
    desk.run("snapshot").expect(0);
    std::fs::create_dir_all(desk.path("drills")).unwrap();
    std::fs::write(desk.path("drills/outage.toml"), OUTAGE).unwrap();
    for _ in 0..2 {
        desk.run(&format!("drill run outage {SHEETS}")).expect(0);
    }
    let today = day(Timestamp::now());
    desk.run(&format!("drill evidence --from {today} --to {today} all.tar")).expect(0);
    let root = unpacked(&desk, "all.tar");
    // A file has the time of its record, and what is made of them that of the newest: the same whenever the archive is made.
    let of = |path: &Path| {
        let time = std::fs::metadata(path).unwrap().modified().unwrap();
        Timestamp::try_from(time).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string()
    };
    let all = files(&root);
    let names = all.iter().filter_map(|(path, _)| path.file_name()?.to_str()?.get(..16));
    let newest = names.filter(|name| name.ends_with('Z')).max().unwrap().to_owned();
    for (path, _) in &all {
        let name = path.file_name().unwrap().to_str().unwrap();
        match name.get(..16).filter(|time| time.ends_with('Z')) {
            Some(time) => assert_eq!(of(path), time, "{name}"),
            None if path.parent().unwrap().ends_with("epochs") => assert!(of(path) <= newest, "{name}"),
            None => assert_eq!(of(path), newest, "{name}"),
        }
    }
    assert!(verify(&desk, &root).expect(0).out.contains("everything verifies"));
    let record = desk.run("drill show --json").expect(0).json()["record"].clone();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains("| date | plan | snapshot | result | RTO | RPO | operator | report |"), "{readme}");
    let row = readme.lines().rfind(|line| line.contains("](reports/")).unwrap();
    let operator = record["approval"]["operator"].as_str().unwrap();
    let snapshot = format!("{}, number 1", &record["snapshot"].as_str().unwrap()[..8]);
    for words in [today.to_string().as_str(), "| outage |", &snapshot, "| passed |", operator, ".html) |"] {
        assert!(row.contains(words), "{words} in {row}");
    }
    assert!(readme.contains("PCI DSS 4.0.1") && !readme.contains("PCI DSS 4.0 "), "{readme}");

    let file = root.join("added");
    std::fs::write(&file, "x").unwrap();
    assert!(verify(&desk, &root).expect(1).out.contains("added is not in the list"));
    std::fs::remove_file(&file).unwrap();
    verify(&desk, &root).expect(0);

    // The newest record goes, with its signature and report, from the list too.
    let mut names: Vec<String> = std::fs::read_dir(root.join("reports"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let newest = names.pop().unwrap();
    for name in [format!("drills/{newest}.json"), format!("drills/{newest}.json.sig"), format!("reports/{newest}.html")]
    {
        std::fs::remove_file(root.join(name)).unwrap();
    }
    let list = listed_anew(&root);
    let refused = verify(&desk, &root).expect(1);
    assert!(refused.out.contains("the list SHA256SUMS does not verify"), "{}", refused.out);
    // Nor does another key help, with which the list is signed anew.
    let thief = Signer::generate();
    let allowed = std::fs::read_to_string(root.join("allowed_signers")).unwrap();
    let more = format!("host namespaces=\"lifeboat-evidence\" {}\n", thief.public());
    std::fs::write(root.join("allowed_signers"), allowed + &more).unwrap();
    let list_of_thief = listed_anew(&root);
    assert_ne!(list, list_of_thief);
    std::fs::write(root.join("SHA256SUMS.sig"), thief.sign(Namespace::Evidence, list_of_thief.as_bytes())).unwrap();
    let refused = verify(&desk, &root).expect(1);
    assert!(refused.out.contains("no epoch names the signer"), "{}", refused.out);
    assert!(!refused.out.contains("does not verify"), "the one thing that is wrong: {}", refused.out);

    desk.run("drill evidence --from 2020-01-01 --to 2020-12-31 past.tar")
        .expect(2)
        .says("before the repository was made");
    desk.run("drill evidence --from 2999-01-01 --to 2999-12-31 ahead.tar").expect(2).says("after today");
    sandbox.shutdown().await;
}
