//! Every odd answer a bucket can give, at every call: nothing is lost, nothing is replaced, and nothing is called complete that is not.

use std::time::{Duration, Instant};

use crate::{
    cli::estate,
    command::{Desk, SHEETS},
    little_s3::{LittleS3, Odd},
};

const ACCOUNT: &str = "111111111111";

/// What services answer to a conditional write: S3, MinIO, Ceph, R2, B2, gateways, and networks.
const ANSWERS: [Odd; 18] = [
    Odd::Refuse(409, "ConditionalRequestConflict"),
    Odd::Done(409, "ConditionalRequestConflict"),
    Odd::Done(412, "PreconditionFailed"),
    Odd::Done(304, "NotModified"),
    Odd::Refuse(500, "InternalError"),
    Odd::Done(500, "InternalError"),
    Odd::Refuse(503, "SlowDown"),
    Odd::Done(503, "ServiceUnavailable"),
    Odd::Refuse(429, "TooManyRequests"),
    Odd::Refuse(501, "NotImplemented"),
    Odd::Refuse(400, "InvalidArgument"),
    Odd::Refuse(403, "AccessDenied"),
    Odd::Refuse(404, "NoSuchBucket"),
    Odd::Refuse(507, "InsufficientStorage"),
    Odd::Drop,
    Odd::DropAfter,
    Odd::Done(502, "BadGateway"),
    Odd::Refuse(405, "MethodNotAllowed"),
];

/// A desk whose repository is in the bucket.
fn desk(server: &LittleS3, endpoint: &str, more: &str) -> Desk {
    let desk = Desk::new(endpoint, ACCOUNT);
    desk.init();
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let kept = config.split("[[copy]]").next().unwrap();
    let url = server.url("west", more);
    std::fs::write(desk.path("lifeboat.toml"), format!("{kept}[[copy]]\nurl = \"{url}\"\n")).unwrap();
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_looked_at_once_before_it_is_written() {
    let server = LittleS3::start();
    let sandbox = estate().await;
    let desk = desk(&server, &sandbox.endpoint(), "");
    desk.run("snapshot").expect(0);
    let reads = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = std::sync::Arc::clone(&reads);
    server.script(move |request| {
        if request.method == "GET" && request.key.ends_with("lifeboat.json") {
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        None
    });
    desk.run("copy").expect(0);
    // Whose it is, and at the end whether the file is ours byte for byte; once more since the entry of the run before is new.
    assert_eq!(reads.load(std::sync::atomic::Ordering::SeqCst), 3);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_survives_each_odd_answer_at_each_write() {
    let server = LittleS3::start();
    let sandbox = estate().await;
    let desk = desk(&server, &sandbox.endpoint(), "");
    desk.run("snapshot").expect(0);
    let puts = server.count("PUT");
    assert!(puts > 5, "{puts}");
    // Each run leaves an entry of its own, which the next copy takes along.
    let copied = || {
        let objects = server.objects().into_iter();
        objects.filter(|(key, _)| !key.contains("/audit/")).collect::<std::collections::BTreeMap<_, _>>()
    };
    let whole = copied();
    let far = server.url("west", "");
    for odd in ANSWERS {
        // Each answer at a write of its own at the beginning, in the middle and at the end, and each write once over all answers.
        let at = u64::try_from(ANSWERS.iter().position(|other| *other == odd).unwrap()).unwrap();
        for nth in [0, puts / 2, puts - 1, at % puts] {
            server.clear();
            server.script(move |request| (request.method == "PUT" && request.before == nth).then_some(odd));
            let ran = desk.run("copy --remake --json");
            assert!(matches!(ran.code, Some(0 | 1 | 3 | 4 | 6)), "{odd:?} at {nth}: {:?}\n{}", ran.code, ran.err);
            assert!(!ran.err.contains("bug in itself"), "{odd:?} at {nth}: {}", ran.err);
            let is_there = copied() == whole;
            server.script(|_| None);
            if ran.code == Some(0) {
                assert!(is_there, "{odd:?} at {nth} ended with 0 and not everything is there");
            } else {
                desk.run("copy --remake").expect(0);
                assert!(copied() == whole, "{odd:?} at {nth}: a second run makes it whole");
            }
            assert!(whole.iter().all(|(key, bytes)| server.objects().get(key) == Some(bytes)));
        }
    }
    desk.run(&format!("check --depth values --repo {far} {SHEETS}")).expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_ignores_conditions_gets_one_writer_or_none() {
    let server = LittleS3::start();
    let sandbox = estate().await;
    let desk = desk(&server, &sandbox.endpoint(), "");
    server.script(|request| (request.method == "PUT").then_some(Odd::Unconditional));
    // A new copy holds nothing that could be replaced; the second run sees what the bucket does.
    let first = desk.run("snapshot");
    assert!(matches!(first.code, Some(0 | 3)), "{}", first.err);
    let before = server.objects();
    let second = desk.run("snapshot --json").expect(3);
    assert!(second.err.contains("despite If-None-Match"), "{}", second.err);
    assert_eq!(server.objects(), before, "nothing was written, and nothing is litter");
    desk.run("copy").expect(4);
    let repo = server.url("west", "");
    desk.run(&format!("snapshot --repo {repo} --no-copy")).expect(4).says("If-None-Match");
    let doctor = desk.run("doctor");
    assert!(
        doctor.code != Some(0) && format!("{}{}", doctor.out, doctor.err).contains("If-None-Match"),
        "{}",
        doctor.out
    );
    // A read is a read.
    desk.run(&format!("check --repo {repo}")).expect(0);
    let alone = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    std::fs::write(
        desk.path("lifeboat.toml"),
        alone.replace("region=eu-west-1", "region=eu-west-1&single_writer=true"),
    )
    .unwrap();
    desk.run("copy").expect(0);
    desk.run(&format!("check --repo {repo}")).expect(0);
    // `init` there is refused as well, and says why.
    server.clear();
    let other = Desk::new(&sandbox.endpoint(), ACCOUNT);
    let init = format!(
        "init --repo {} --source aws:eu-central-1 --threshold 2 --custodian Ana --custodian Bo --custodian Cy --sheets sheets --yes",
        server.url("own", "")
    );
    other.run(&init).expect(4).says("If-None-Match");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_ends_with_a_sentence() {
    let server = LittleS3::start();
    let sandbox = estate().await;
    let desk = desk(&server, &sandbox.endpoint(), "");
    desk.run("snapshot").expect(0);
    let repo = server.url("west", "");
    for (odd, says) in [
        (Odd::EmptyPages, "no key to continue from"),
        (Odd::Huge, "more than"),
        (Odd::Silence(300), ""),
        (Odd::ErrorWith200, "not with a listing"),
    ] {
        server.script(move |request| (request.method == "GET" && request.query.contains("list-type=2")).then_some(odd));
        let start = Instant::now();
        let ran = desk.run(&format!("list --repo {repo}"));
        assert_eq!(ran.code, Some(1), "{odd:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{odd:?}: {}", ran.err);
        assert!(start.elapsed() < Duration::from_secs(100), "{odd:?} took {:?}", start.elapsed());
    }
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_that_nobody_won_is_tried_again_and_not_for_ever() {
    let server = LittleS3::start();
    let sandbox = estate().await;
    let desk = desk(&server, &sandbox.endpoint(), "");
    let conflict = Odd::Refuse(409, "ConditionalRequestConflict");
    server.script(move |request| (request.method == "PUT" && request.before % 3 < 2).then_some(conflict));
    desk.run("snapshot").expect(0);
    server.script(move |request| (request.method == "PUT").then_some(conflict));
    desk.run("snapshot").expect(3);
    let copy = desk.run("copy").expect(3);
    assert!(copy.err.contains("another writer of this file"), "{}", copy.err);
    server.script(|_| None);
    desk.run("copy").expect(0);
    sandbox.shutdown().await;
}
