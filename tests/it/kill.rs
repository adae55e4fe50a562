//! kill -9 at random instants: the repository is valid every time, and the next run finishes.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use lifeboat::{
    crypto::{IndexKey, Signer},
    emulator::{Sandbox, SandboxOptions},
    fsutil,
    repo::{CheckDepth, Repository, Trust, TrustAnchor},
    storage::Storage,
};

use crate::{
    command::{Desk, SHEETS, binary},
    incremental::noise,
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";

/// How many; `LIFEBOAT_TEST_KILLS` asks for more.
#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment how long to go on")]
fn kills() -> u64 {
    std::env::var("LIFEBOAT_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(16)
}

/// What the host believes, read from its own files.
struct Eyes {
    anchor: TrustAnchor,
    index: IndexKey,
}

impl Eyes {
    fn new(desk: &Desk) -> Self {
        let text = |name: &str| String::from_utf8(fsutil::read(&desk.path(name)).unwrap()).unwrap();
        let config = lifeboat::config::Config::parse(&text("lifeboat.toml")).unwrap();
        let (root, recipient) = (config.trust.root.parse().unwrap(), config.trust.recipient.parse().unwrap());
        let _: Signer = Signer::from_file(&text("keys/signer")).unwrap();
        Self { anchor: TrustAnchor { root, recipient }, index: IndexKey::from_file(&text("keys/index.age")).unwrap() }
    }

    /// Every file in order and every reference resolved; gives the number of snapshots. No repository yet is valid too.
    async fn valid(&self, desk: &Desk, place: &str, what: &str) -> u64 {
        let storage = Storage::open(desk.path(place).to_str().unwrap()).unwrap();
        let Ok(repository) = Repository::open(storage).await else { return 0 };
        let trust: Trust = repository.trust(&self.anchor).await.unwrap();
        let report = repository.check(&trust, CheckDepth::Index(&self.index)).await.unwrap();
        assert_eq!(report.faults, [], "{what} in {place}");
        report.snapshots
    }
}

/// Starts a command, kills it after a while, and tells whether it was still running.
fn killed(desk: &Desk, words: &str, after: Duration) -> bool {
    let mut command = desk.command(binary());
    command.env_remove("RUST_LOG").args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    drop(child.kill());
    child.wait().unwrap();
    running
}

/// A number below `bound`, different for each seed.
fn random(seed: u64, bound: u64) -> u64 {
    seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407).rotate_left(31) % bound
}

/// How long a command takes when nothing stops it.
fn duration(desk: &Desk, words: &str) -> u64 {
    let begun = Instant::now();
    desk.run(words).expect(0);
    u64::try_from(begun.elapsed().as_micros()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_survives_every_kill_and_the_next_run_finishes() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    for number in 0..40 {
        control.put(ACCOUNT, REGION, &format!("app/{number:03}"), &noise(number, 60_000)).unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let retention = "[retention]\nkeep_last = 2\nundo_days = 0\n\n[[copy]]";
    std::fs::write(desk.path("lifeboat.toml"), config.replace("[[copy]]", retention)).unwrap();
    let eyes = Eyes::new(&desk);
    let commands = ["snapshot --no-copy --full", "copy", "forget --yes", "snapshot"];
    // The first run is a full one and lasts longer than those that are to be struck.
    let change = |round: u64| {
        for number in 0..12 {
            let name = format!("app/{}/{number:03}", round / 50);
            control.put(ACCOUNT, REGION, &name, &noise(round * 1_000 + number, 60_000)).unwrap();
        }
    };
    for words in commands {
        desk.run(words).expect(0);
    }
    change(0);
    let longest: Vec<u64> = commands.iter().map(|words| duration(&desk, words)).collect();
    let (mut struck, mut struck_by, rounds) = (0, [0; 4], kills());
    for round in 1..=rounds {
        // New values, so that there is something to seal, copy and forget.
        change(round);
        let which = usize::try_from(round % 4).unwrap();
        let after = Duration::from_micros(random(round, longest[which].max(1)));
        let hit = killed(&desk, commands[which], after);
        struck += u64::from(hit);
        struck_by[which] += u64::from(hit);
        let what = format!("round {round}: {} killed after {after:?}", commands[which]);
        let before = eyes.valid(&desk, "repository", &what).await;
        eyes.valid(&desk, "west", &what).await;
        if round % 3 == 2 {
            // A lock left behind is none; what was begun is finished.
            desk.run("snapshot").expect(0);
            assert!(eyes.valid(&desk, "repository", &what).await > before.saturating_sub(1), "{what}");
            desk.run("forget --yes").expect(0);
            let (here, there) = (eyes.valid(&desk, "repository", &what).await, eyes.valid(&desk, "west", &what).await);
            assert!(here >= 1 && there >= 1, "{what}");
        }
    }
    desk.run("snapshot").expect(0);
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    desk.run(&format!("check --depth values --repo west {SHEETS}")).expect(0);
    println!("{struck} of {rounds} runs were killed at work, by command {struck_by:?}; longest runs {longest:?} µs");
    assert!(struck * 2 > rounds, "only {struck} of {rounds} were still running");
    sandbox.shutdown().await;
}
