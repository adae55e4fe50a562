//! The report of a drill: the same bytes for the same record, nothing of a value, no network, and readable by the
//! programs people have.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    drill::{self, DrillFile, Past, Record, Verdict, report},
    model::{Digest, SnapshotId},
};

use crate::drill::{FILE, Scene};

const OBJECTIVES: &str = "[objectives]\nrto = \"1m\"\nrpo = \"26h\"\n[[probe]]\nname = \"log in to the sandbox database\"\nsecret = \"app/single\"\ncommand = [\"/bin/cat\"]\n";

/// A record with eleven signed ones of the months before it, of which one failed.
pub async fn with_history(scene: &Scene, last: &Record) -> Vec<Past> {
    let mut previous = None;
    for month in 0..11_i64 {
        let mut record = last.clone();
        let mut id = [0; 16];
        id[0] = u8::try_from(month + 1).unwrap();
        record.drill = SnapshotId::from_bytes(id);
        record.started = at(last.started, month - 11);
        record.previous = previous;
        record.rto_seconds =
            Some([31.0, 29.5, 33.0, 30.2, 28.0, 52.0, 27.0, 26.5, 24.0, 25.1, 22.8][usize::from(id[0]) - 1]);
        record.result = if month == 5 { Verdict::Failed } else { Verdict::Passed };
        let bytes = Bytes::from(record.to_bytes());
        previous = Some(Digest::of(&bytes));
        scene.world.repository.put_drill(record.started, record.drill, bytes, &scene.world.signer).await.unwrap();
    }
    let stored = scene.world.repository.drills().await.unwrap();
    let past = drill::judge(stored, &scene.world.trust);
    past.into_iter().filter(|past| past.fault.is_none()).collect()
}

fn at(time: Timestamp, months: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_hours(24 * 30 * months)).unwrap()
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/reports");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

async fn good_and_bad() -> [(&'static str, Record, Vec<Past>); 2] {
    let mut scene = Scene::new().await;
    scene.file = DrillFile::parse(
        &format!("{FILE}{OBJECTIVES}")
            .replace("a test", "The region is gone, and everything comes back from the copy."),
    )
    .unwrap();
    let good = scene.record(&|| {}).await;
    assert_eq!(good.result, Verdict::Passed, "{:?}", good.deviations);
    let past = with_history(&Scene::of(clone_of(&scene).await), &good).await;
    scene.file.objectives.rto = Some(SignedDuration::from_secs(5));
    let bad = scene
        .record(&|| {
            scene.sandbox.edit("drill/app/database", |secret| secret.facets.policy = None);
            scene.sandbox.remove("drill/app/empty");
        })
        .await;
    assert_eq!(bad.result, Verdict::Failed);
    [("good", good, past.clone()), ("bad", bad, past)]
}

/// A world with the same signer, so that invented history verifies without disturbing the scene's.
pub async fn clone_of(scene: &Scene) -> crate::round_trip::World {
    let mut world = crate::round_trip::World::new().await;
    world.signer = lifeboat::crypto::Signer::from_file(&scene.world.signer.to_file()).unwrap();
    world.trust = scene.world.trust.clone();
    world
}

#[tokio::test]
async fn reports_are_complete_reproducible_and_load_nothing() {
    for (name, record, past) in good_and_bad().await {
        let page = report::html(&record, &past);
        assert_eq!(page, report::html(&record, &past));
        let print = report::pdf(&record, &past).unwrap();
        assert_eq!(print, report::pdf(&record, &past).unwrap());
        std::fs::write(folder().join(format!("{name}.html")), &page).unwrap();
        std::fs::write(folder().join(format!("{name}.pdf")), &print).unwrap();

        for words in [
            "RTO",
            "objective",
            "SOC 2 A1.3",
            "Article 12",
            "Reviewed by",
            "a wrong value",
            "made sure",
            "every 31 days",
        ] {
            assert!(page.contains(words), "{words} is missing in {name}");
        }
        assert_eq!(page.matches("<rect ").count(), past.len() + 1);
        for loads in ["http:", "https:", "<script", "<link", "<img", "url(", "@import", "src="] {
            assert!(!page.contains(loads), "{loads}");
        }
        for value in ["same id, other secret", "zwei", "one\r\n"] {
            assert!(!page.contains(value));
        }
        let text = stock("pdftotext", &["-layout", &folder().join(format!("{name}.pdf")).to_string_lossy(), "-"]);
        for words in [record.result.as_str().to_uppercase().as_str(), "RTO", "SOC 2 A1.3", "Reviewed by"] {
            assert!(text.contains(words), "{words} is missing in {text}");
        }
    }
}

#[tokio::test]
async fn what_a_record_says_cannot_become_markup() {
    let scene = Scene::new().await;
    let mut record = scene.record(&|| {}).await;
    record.plan.scenario = "<script>alert(1)</script> & \"quotes\"".into();
    let page = report::html(&record, &[]);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
}

fn stock(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|_| panic!("{program} is installed"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
