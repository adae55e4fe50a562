//! The life of the sheets by the command line: proven alone, replaced in two phases, never without a working set.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lifeboat::emulator::Sandbox;

use crate::{
    cli::estate,
    command::{Desk, SHEETS, binary, files},
    search::holds,
};

const ACCOUNT: &str = "111111111111";
const NEW: &str = "--threshold 2 --custodian Ana --custodian Bo --custodian Fay --custodian Gus --sheets new --yes";
/// Two sheets of the four of [`NEW`], never the first two.
const NEW_SHEETS: &str = "--share new/02-bo.txt --share new/04-gus.txt";

async fn desk() -> (Sandbox, Desk) {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    (sandbox, desk)
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

/// The share of a sheet in one piece.
fn share(path: &Path) -> String {
    text(&path.with_extension("txt"))
        .split_whitespace()
        .find(|word| word.starts_with("LB1") && word.len() == 90)
        .unwrap()
        .to_owned()
}

/// Only the four typed rows of a sheet.
fn rows(path: &Path) -> Vec<String> {
    let is_row = |line: &&str| line.contains(" = ") && line.starts_with(|first: char| first.is_ascii_digit());
    text(&path.with_extension("txt")).lines().map(str::trim).filter(is_row).map(ToOwned::to_owned).collect()
}

fn pending(desk: &Desk) -> Option<PathBuf> {
    let state = desk.path("state");
    let mut found = state.is_dir().then(|| files(&state)).into_iter().flatten();
    found.find(|(path, _)| path.to_string_lossy().ends_with(".pending-epoch.json")).map(|(path, _)| path)
}

/// No file outside the folders of sheets holds a key or a piece of a share.
fn assert_nothing_secret_is_left(desk: &Desk) {
    let is_sheet =
        |path: &Path| path.components().any(|part| ["sheets", "new"].iter().any(|known| part.as_os_str() == *known));
    let is_host_key = |path: &Path| path.ends_with("keys/index.age");
    let all = files(desk.folder.path());
    let mut secrets = vec!["AGE-SECRET-KEY-".to_owned()];
    for (path, _) in all.iter().filter(|(path, _)| is_sheet(path)) {
        secrets.push(share(path)[20..60].to_owned());
        assert_eq!(rows(path).len(), 4);
        secrets.extend(rows(path)[1..].iter().map(|row| row[3..20].to_owned()));
    }
    assert!(secrets.len() > 20);
    for secret in &secrets {
        for (path, content) in all.iter().filter(|(path, _)| !is_sheet(path) && !is_host_key(path)) {
            assert!(!holds(content, secret), "{} holds a secret", path.display());
        }
        assert!(!holds(&desk.printed(), secret), "a secret was printed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sheet_is_proven_alone() {
    let (sandbox, desk) = desk().await;
    let verified = desk.run("custody verify sheets/02-bo.txt --json").expect(0).json();
    assert_eq!((&verified["sheet"]["state"], &verified["sheet"]["custodian"]), (&"current".into(), &"Bo".into()));
    assert_eq!((&verified["intact"], &verified["register_verified"]), (&true.into(), &true.into()));
    assert_eq!((&verified["sheet"]["threshold"], &verified["sheet"]["total"]), (&3.into(), &5.into()));
    let name = verified["attestation"].as_str().unwrap();
    let attestation = text(&desk.path("repository").join(name));
    assert!(attestation.contains("\"Bo\"") && attestation.contains("\"intact\""), "{attestation}");
    assert!(desk.path("repository").join(format!("{name}.sig")).exists());
    desk.run("custody verify sheets/01-ana.txt --no-record").expect(0);
    assert_eq!(files(&desk.path("repository/attestations")).len(), 2, "one attestation and its signature");

    let register = desk.run("custody register --json").expect(0).json();
    let proven: Vec<bool> =
        register["sheets"].as_array().unwrap().iter().map(|sheet| !sheet["last_proof"].is_null()).collect();
    assert_eq!(proven, [false, true, false, false, false]);
    let shown = desk.run("custody register").expect(0).out;
    assert!(shown.contains("at the ceremony") && shown.contains("current"), "{shown}");
    desk.run("custody policy").expect(0);
    desk.run("check").expect(0);
    desk.run("copy").expect(0);
    desk.run("check --repo west").expect(0);
    assert_eq!(files(&desk.path("west/attestations")).len(), 2, "the register travels with the copies");

    let alone = desk.run("custody verify sheets/02-bo.txt --repo west --config none.toml").expect(0);
    assert!(
        alone.err.contains("the register itself was not verified") && alone.err.contains("no attestation was recorded")
    );
    assert!(alone.out.contains("intact, current") && alone.out.contains("3 open the backup"), "{}", alone.out);
    assert_nothing_secret_is_left(&desk);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_sheet_is_named_and_not_attested() {
    let (sandbox, desk) = desk().await;
    let write = |name: &str, text: &str| std::fs::write(desk.path(name), text).unwrap();
    let mut slip = rows(&desk.path("sheets/03-cy.txt"));
    let wrong = if slip[2].as_bytes()[3] == b'Q' { "P" } else { "Q" };
    slip[2].replace_range(3..4, wrong);
    write("slip.txt", &slip.join("\n"));
    desk.run("custody verify slip.txt").expect(5).says("slip.txt has a typing or reading error in row 3");
    write("short.txt", &slip[..3].join("\n"));
    desk.run("custody verify short.txt").expect(5).says("row 4");
    write("prose.txt", "this is no sheet");
    desk.run("custody verify prose.txt").expect(5).says("has no share in it");
    desk.run("custody verify nowhere.txt").expect(5).says("nowhere.txt");

    let other = Desk::new(&sandbox.endpoint(), ACCOUNT);
    other.init();
    std::fs::copy(other.path("sheets/02-bo.txt"), desk.path("foreign.txt")).unwrap();
    let foreign = desk.run("custody verify foreign.txt").expect(5);
    assert!(foreign.out.contains("FOREIGN"), "{}", foreign.out);
    assert!(!desk.path("repository/attestations").exists(), "nothing to attest");
    desk.run("custody register").expect(0);

    desk.run("custody verify sheets/04-dee.txt").expect(0);
    let record = |end: &str| {
        let all = files(&desk.path("repository/attestations"));
        all.into_iter().map(|(path, _)| path).find(|path| path.to_string_lossy().ends_with(end)).unwrap()
    };
    let json = record(".json");
    std::fs::write(&json, text(&json).replace("Dee", "Bob")).unwrap();
    let register = desk.run("custody register --json").expect(4);
    assert!(register.err.contains("not counted"), "{}", register.err);
    assert!(register.json()["sheets"].as_array().unwrap().iter().all(|sheet| sheet["last_proof"].is_null()));
    let checked = desk.run("check --json").expect(4).json();
    assert_eq!(checked["faults"][0]["kind"], "untrusted");
    std::fs::remove_file(record(".sig")).unwrap();
    assert_eq!(desk.run("check --json").expect(4).json()["faults"][0]["kind"], "unsigned");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_sheets_take_over_only_when_every_one_was_read_back() {
    let (sandbox, desk) = desk().await;
    desk.run("snapshot").expect(0);
    desk.run(&format!("custody reshare {NEW} --share sheets/02-bo.txt")).expect(5);
    assert!(!desk.path("new").exists() && pending(&desk).is_none(), "no quorum, no new sheets");
    let printed = desk.run(&format!("custody reshare {NEW} {SHEETS}")).expect(0);
    assert!(printed.err.contains("Not in force yet"), "{}", printed.err);
    desk.run(&format!(
        "custody reshare --threshold 2 --custodian A --custodian B --custodian C --sheets other --yes {SHEETS}"
    ))
    .expect(4)
    .says("already wait to be read back");
    assert!(!desk.path("other").exists());
    desk.run("custody rotate --confirm --share new").expect(2);
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    desk.run(&format!("check --depth values {NEW_SHEETS}")).expect(5);
    let new = desk.run("custody verify new/03-fay.txt --json").expect(5).json();
    assert_eq!((&new["sheet"]["state"], &new["intact"]), (&"pending".into(), &true.into()));
    assert_nothing_secret_is_left(&desk);

    let old = desk.run("custody reshare --confirm --share sheets/01-ana.txt --share new/01-ana.txt").expect(5);
    assert!(old.err.contains("01-ana.txt belongs to share set"), "{}", old.err);
    let some =
        desk.run("custody reshare --confirm --share new/03-fay.txt --share new/04-gus.txt --json").expect(3).json();
    assert_eq!((&some["missing"], &some["in_force"]), (&serde_json::json!(["Bo"]), &false.into()));
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    assert_eq!(epochs(&desk), [1]);
    assert_eq!(desk.run("custody register --json").expect(0).json()["pending"]["missing"][0], "Bo");
    desk.run("custody policy").expect(3);

    let done = desk.run("custody reshare --confirm --share new/02-bo.txt").expect(0);
    assert!(done.out.contains("epoch 2 is in force") && done.err.contains("Destroy every one of them"), "{}", done.err);
    assert!(done.err.contains("custody rotate"), "{}", done.err);
    assert!(pending(&desk).is_none());
    assert_nothing_secret_is_left(&desk);

    let retired = desk.run(&format!("check --depth values {SHEETS}")).expect(5);
    assert!(
        retired.err.contains("02-bo.txt (sheet 2, held by Bo) is retired: it belongs to epoch 1"),
        "{}",
        retired.err
    );
    let verified = desk.run("custody verify sheets/04-dee.txt").expect(5);
    assert!(verified.out.contains("RETIRED") && verified.err.contains("destroy it"), "{}", verified.out);
    let rules = desk.run("custody policy --json").expect(3).json();
    let destroyed = rules["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "retired sheets destroyed");
    assert_eq!(destroyed.unwrap()["detail"], "Dee (epoch 1)");
    let register = desk.run("custody register --json").expect(0).json();
    let current = register["sheets"].as_array().unwrap().iter().filter(|sheet| sheet["current"] == true);
    assert!(current.clone().all(|sheet| !sheet["last_proof"].is_null()), "reading back is the first proof");
    assert_eq!(current.count(), 4);
    desk.run("check").expect(0);
    assert_eq!(desk.run("snapshot --json").expect(0).json()["counts"]["values_carried"], 5, "the key is the same");
    for repository in ["repository", "west"] {
        desk.run(&format!("check --depth values --repo {repository} {NEW_SHEETS}")).expect(0);
    }
    let restored = desk.run(&format!("restore --repo west --to aws:eu-west-1 --yes --json {NEW_SHEETS}")).expect(0);
    assert_eq!(restored.json()["verification"]["values"], 5);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_up_sheets_change_nothing() {
    let (sandbox, desk) = desk().await;
    desk.run("snapshot").expect(0);
    desk.run("custody reshare --abort").expect(2);
    desk.run("custody reshare --confirm --share sheets").expect(2).says("no new set");
    desk.run("custody reshare").expect(2);
    desk.run(&format!("custody reshare {NEW} {SHEETS} --repo west")).expect(2).says("never in a copy");
    desk.run(&format!("custody reshare --threshold 5 --custodian A --custodian B --sheets new --yes {SHEETS}"))
        .expect(2);
    assert!(pending(&desk).is_none() && !desk.path("new").exists());

    desk.run(&format!("custody reshare {NEW} {SHEETS}")).expect(0);
    desk.run("custody reshare --confirm --share new/01-ana.txt").expect(3);
    let altered = pending(&desk).unwrap();
    let whole = text(&altered);
    std::fs::write(&altered, whole.replace("Gus", "Eve")).unwrap();
    desk.run("custody reshare --confirm --share new").expect(1).says("not signed by its root");
    std::fs::write(&altered, whole).unwrap();
    let given_up = desk.run("custody reshare --abort").expect(0);
    assert!(given_up.err.contains("destroy every sheet"), "{}", given_up.err);
    assert!(pending(&desk).is_none());
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    let abandoned = desk.run("custody verify new/02-bo.txt").expect(5);
    assert!(abandoned.out.contains("NOT REGISTERED"), "{}", abandoned.out);
    desk.run(&format!("check --depth values {NEW_SHEETS}")).expect(5);

    std::fs::remove_dir_all(desk.path("new")).unwrap();
    desk.run(&format!("custody reshare {NEW} {SHEETS}")).expect(0);
    desk.run("custody reshare --confirm --share new").expect(0);
    desk.run(&format!("check --depth values {NEW_SHEETS}")).expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sheets_read_back_at_two_desks_at_once_are_all_remembered() {
    let (sandbox, desk) = desk().await;
    desk.run(&format!("custody reshare {NEW} {SHEETS}")).expect(0);
    let sheets = ["01-ana.txt", "02-bo.txt", "03-fay.txt"];
    let mut waiting = sheets.to_vec();
    while !waiting.is_empty() {
        let running: Vec<_> = waiting
            .iter()
            .map(|sheet| {
                let mut command = desk.command(binary());
                command.args(["custody", "reshare", "--confirm", "--share", &format!("new/{sheet}")]);
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        let codes: Vec<_> = running.into_iter().map(|mut child| child.wait().unwrap().code().unwrap()).collect();
        assert!(codes.iter().all(|code| [3, 7].contains(code)) && codes.contains(&3), "{codes:?}");
        let mut codes = codes.iter();
        waiting.retain(|_| *codes.next().unwrap() == 7);
    }
    let left = desk.run("custody reshare --confirm --json").expect(3).json();
    assert_eq!((left["confirmed"].as_array().unwrap().len(), &left["missing"][0]), (3, &"Gus".into()));

    let state = files(&desk.path("state")).into_iter().find(|(path, _)| path.extension().unwrap() == "lock").unwrap().0;
    let lock = lifeboat::fsutil::lock(&state).unwrap().unwrap();
    for words in ["--confirm --share new/04-gus.txt", "--abort"] {
        desk.run(&format!("custody reshare {words}")).expect(7);
    }
    drop(lock);
    desk.run("custody reshare --confirm --share new/04-gus.txt").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_with_an_unreachable_copy_is_incomplete_and_says_keep() {
    let (sandbox, desk) = desk().await;
    desk.run(&format!("custody reshare {NEW} {SHEETS}")).expect(0);
    std::fs::write(desk.path("west"), "not a folder").unwrap();
    let ran = desk.run("custody reshare --confirm --share new").expect(3);
    assert!(ran.err.contains("keep the old ones"), "{}", ran.err);
    std::fs::remove_file(desk.path("west")).unwrap();
    desk.run("copy").expect(0);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_takes_over_and_the_next_snapshot_is_a_full_one() {
    let (sandbox, desk) = desk().await;
    let first = desk.run("snapshot --json").expect(0).json()["snapshot"].as_str().unwrap().to_owned();
    let config = text(&desk.path("lifeboat.toml"));
    std::fs::write(desk.path("lifeboat.toml"), format!("# our own words\n{config}")).unwrap();
    desk.run(&format!("custody rotate {NEW}")).expect(0);
    desk.run("custody reshare --confirm --share new").expect(2);
    desk.run("custody rotate --confirm --share new/01-ana.txt").expect(3);
    assert_eq!(desk.run("snapshot --json").expect(0).json()["counts"]["values_carried"], 5, "not in force yet");
    let done = desk.run("custody rotate --confirm --share new").expect(0);
    assert!(done.err.contains("The key is new") && done.err.contains("keep its sheets"), "{}", done.err);
    let changed = text(&desk.path("lifeboat.toml"));
    assert!(changed.starts_with("# our own words") && changed.lines().count() == config.lines().count() + 1);
    assert_nothing_secret_is_left(&desk);

    desk.run("check").expect(0);
    let full = desk.run("snapshot --json").expect(0).json();
    assert_eq!((&full["counts"]["values_read"], &full["counts"]["values_carried"]), (&5.into(), &0.into()));
    assert_eq!(desk.run("snapshot --json").expect(0).json()["counts"]["values_carried"], 5);
    let values = desk.run(&format!("check --depth values --json {NEW_SHEETS}")).expect(3).json();
    assert_eq!(values["values"], 5);
    assert!(!values["unopened"].as_array().unwrap().is_empty(), "older snapshots are sealed to the old key");
    let restored = desk.run(&format!("restore --repo west --to aws:eu-west-1 --yes --json {NEW_SHEETS}")).expect(0);
    assert_eq!(restored.json()["verification"]["values"], 5);

    let earlier = desk.run("custody verify sheets/02-bo.txt").expect(5);
    assert!(earlier.out.contains("EARLIER KEY"), "{}", earlier.out);
    let old = format!("restore --repo west --to aws:eu-west-2 --yes --json --snapshot {}", &first[..8]);
    let restored = desk.run(&format!("{old} {SHEETS}")).expect(0);
    assert_eq!(restored.json()["verification"]["values"], 5, "the old sheets open what is of their time");
    desk.run(&format!("{old} --share sheets/02-bo.txt {NEW_SHEETS}")).expect(5);
    desk.run(&format!("restore --repo west --to aws:eu-west-3 --yes {SHEETS}"))
        .expect(4)
        .says("epoch 2 has a newer key");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_cut_off_after_the_switch_is_finished_by_the_next() {
    let (sandbox, desk) = desk().await;
    for (kind, started) in
        [("reshare", format!("{NEW} {SHEETS}")), ("rotate", NEW.replace("--sheets new", "--sheets newer"))]
    {
        desk.run(&format!("custody {kind} {started}")).expect(0);
        let folder = if kind == "reshare" { "new" } else { "newer" };
        desk.run(&format!("custody {kind} --confirm --share {folder}/01-ana.txt")).expect(3);
        let path = pending(&desk).unwrap();
        let (waiting, config) = (text(&path), text(&desk.path("lifeboat.toml")));
        let attestations = || {
            if desk.path("repository/attestations").is_dir() {
                files(&desk.path("repository/attestations"))
            } else {
                vec![]
            }
        };
        let before = attestations();
        desk.run(&format!("custody {kind} --confirm --share {folder}")).expect(0);
        let after = attestations().len();
        // As if the power went right after the epoch was stored, then after everything but the last step.
        for cut in ["epoch", "everything"] {
            std::fs::write(&path, &waiting).unwrap();
            if cut == "epoch" {
                std::fs::write(desk.path("lifeboat.toml"), &config).unwrap();
                for (record, _) in attestations().iter().filter(|record| !before.contains(record)) {
                    std::fs::remove_file(record).unwrap();
                }
            }
            // The new key is stored, and this configuration still has the old one.
            let is_old_trust = kind == "rotate" && cut == "epoch";
            desk.run("custody register").expect(if is_old_trust { 4 } else { 0 });
            desk.run(&format!("custody {kind} --confirm --share {folder} --json")).expect(0);
            assert!(pending(&desk).is_none());
            assert_eq!(attestations().len(), after, "each proof is recorded once");
        }
        desk.run("check").expect(0);
    }
    assert_eq!(desk.run("custody register --json").expect(0).json()["sheets"][0]["epoch"], 3);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_take_the_name_of_an_epoch_to_come() {
    let (sandbox, desk) = desk().await;
    desk.run(&format!("custody reshare {NEW} {SHEETS}")).expect(0);
    let squat = format!("repository/epochs/2-{}.json", "0".repeat(64));
    std::fs::write(desk.path(&squat), "junk").unwrap();
    std::fs::write(desk.path(&format!("{squat}.sig")), "junk").unwrap();
    std::fs::write(desk.path("repository/epochs/2.json"), "junk").unwrap();
    desk.run("custody reshare --confirm --share new").expect(0);
    assert_eq!(epochs(&desk), [1, 2]);
    desk.run(&format!("check --depth values {NEW_SHEETS}")).expect(0);
    sandbox.shutdown().await;
}

/// The numbers of the epochs whose name is their digest.
fn epochs(desk: &Desk) -> Vec<u32> {
    let mut numbers: Vec<u32> = files(&desk.path("repository/epochs"))
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|(path, bytes)| {
            let (number, digest) = path.file_stem()?.to_str()?.split_once('-')?;
            (digest == lifeboat::model::Digest::of(&bytes).to_string()).then(|| number.parse().unwrap())
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// What a rehearsal shows of names is asked before there is a key, as in every ceremony.
#[test]
fn a_rehearsal_is_printed_and_sealed_as_a_ceremony_is_and_marked_as_one() {
    let desk = Desk::offline(ACCOUNT);
    let people = "--threshold 2 --custodian Ana --custodian Bo --custodian Cy";
    for paper in ["a4", "letter"] {
        let print = format!("dd of={paper}.pdf status=none");
        let mut command = desk.command(binary());
        command.args(["custody", "rehearse", "--sheets", paper, "--paper", paper, "--print", &print, "--json"]);
        let told = desk.finish(command.args(people.split(' '))).expect(0).json();
        assert_eq!((&told["printed"], told["sheets"].as_array().unwrap().len()), (&3.into(), 0));
        let left: Vec<_> = files(&desk.path(paper)).into_iter().map(|(path, _)| path).collect();
        assert_eq!(left, [desk.path(paper).join("rehearsal.json")], "no sheet is left in a file");
        let page = Command::new("pdftotext").arg(desk.path(&format!("{paper}.pdf"))).arg("-").output().unwrap();
        let page = String::from_utf8(page.stdout).unwrap();
        assert!(page.contains("LIFEBOAT REHEARSAL SHEET: OPENS NOTHING") && page.contains("REHEARSAL Cy"), "{page}");
        let info = Command::new("pdfinfo").arg(desk.path(&format!("{paper}.pdf"))).output().unwrap();
        let size = if paper == "a4" { "(A4)" } else { "(letter)" };
        assert!(String::from_utf8(info.stdout).unwrap().contains(size));
    }
    let made = Command::new("age-keygen").args(["-o", "bo.key"]).current_dir(desk.folder.path()).output().unwrap();
    let told = String::from_utf8(made.stderr).unwrap();
    let key = told.trim().strip_prefix("Public key: ").unwrap();
    desk.run(&format!("custody rehearse {people} --sheets sealed --seal-to Bo={key}")).expect(0);
    let opened = Command::new("age")
        .args(["-d", "-i", "bo.key", "sealed/02-rehearsal-bo.txt.age"])
        .current_dir(desk.folder.path())
        .output()
        .unwrap();
    let sheet = String::from_utf8(opened.stdout).unwrap();
    assert!(sheet.starts_with("LIFEBOAT REHEARSAL SHEET: OPENS NOTHING"), "{sheet}");
    desk.run("custody rehearse --threshold 2 --custodian Ana --custodian Zoë🚀 --sheets none")
        .expect(2)
        .says("U+1F680");
    assert!(!desk.path("none").exists());
    let long = "W".repeat(81);
    desk.run(&format!("custody rehearse --threshold 2 --custodian Ana --custodian {long} --sheets none")).expect(2);
    desk.run(&format!("custody rehearse {people} --sheets none --seal-to Zoe={key}")).expect(2).says("not a custodian");
}

#[test]
fn a_rehearsal_needs_no_repository_and_opens_none() {
    let desk = Desk::offline(ACCOUNT);
    let begin = "custody rehearse --threshold 2 --custodian Ana --custodian Bo --custodian Cy --sheets new";
    desk.run(begin).expect(0);
    desk.run(begin).expect(4).says("not empty");
    let sheets: Vec<PathBuf> = files(&desk.path("new"))
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.extension().unwrap() == "txt")
        .collect();
    assert_eq!(sheets.len(), 3);
    assert!(sheets.iter().all(|sheet| text(sheet).starts_with("LIFEBOAT REHEARSAL SHEET: OPENS NOTHING")));
    let public = text(&desk.path("new/rehearsal.json"));
    assert!(sheets.iter().all(|sheet| !public.contains(&share(sheet)[20..60])));
    let confirm = |files: &[&PathBuf]| {
        let files: String =
            files.iter().map(|file| format!(" --share {}", file.display())).collect::<Vec<_>>().concat();
        desk.run(&format!("custody rehearse --confirm --json --sheets new{files}"))
    };
    let one = confirm(&[&sheets[2]]).expect(3).json();
    assert_eq!((&one["opened"], one["missing"].as_array().unwrap().len()), (&false.into(), 2));
    let rest = confirm(&[&sheets[0], &sheets[1]]).expect(0).json();
    assert_eq!((&rest["opened"], &rest["complete"]), (&true.into(), &true.into()));
    std::fs::write(desk.path("slip.txt"), rows(&sheets[0])[..3].join("\n")).unwrap();
    confirm(&[&desk.path("slip.txt")]).expect(5);
    desk.run("custody rehearse --confirm --sheets nowhere").expect(2);
    let script = text(&desk.path("new-ceremony.txt"));
    assert!(
        script.contains("REHEARSAL: a key that opens nothing") && !script.contains("lifeboat snapshot"),
        "{script}"
    );
    let lock = lifeboat::fsutil::lock(&desk.path("new/rehearsal.lock")).unwrap().unwrap();
    confirm(&[&sheets[0]]).expect(7);
    drop(lock);
    assert_eq!(std::fs::read_dir(desk.folder.path()).unwrap().count(), 3, "nothing but sheets, script and slip");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_never_put_in_force() {
    let (sandbox, desk) = desk().await;
    desk.run("custody rehearse --threshold 2 --custodian Ana --custodian Bo --custodian Cy --sheets new").expect(0);
    desk.run(&format!("custody reshare {} {SHEETS}", NEW.replace("--sheets new", "--sheets newer"))).expect(0);
    let path = pending(&desk).unwrap();
    let rehearsal = text(&desk.path("new/rehearsal.json"));
    std::fs::write(&path, rehearsal.replace("\"rehearse\"", "\"rotate\"")).unwrap();
    desk.run("custody rotate --confirm --share new").expect(4);
    std::fs::write(&path, rehearsal).unwrap();
    desk.run("custody rotate --confirm --share new").expect(2);
    assert_eq!(epochs(&desk), [1]);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_page_is_proven_and_opens_the_backup() {
    let (sandbox, desk) = desk().await;
    desk.run("snapshot").expect(0);
    let proof = desk.run("custody verify sheets/02-bo.pdf --json").expect(0);
    assert!(proof.out.contains("Bo"), "{}", proof.out);
    let pages = "--share sheets/02-bo.pdf --share sheets/04-dee.pdf --share sheets/05-eli.pdf";
    desk.run(&format!("check --depth values {pages}")).expect(0);
    sandbox.shutdown().await;
}
