//! `.env` files and the other kinds: as whole files and as keys, into AWS and into a Vault and back; a drill in a folder; a restore
//! that was interrupted.
#![cfg(all(unix, feature = "dotenv", feature = "vault"))]

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::TryStreamExt as _;
use lifeboat::{
    emulator::{Sandbox, SandboxOptions, VaultSandbox, VaultSandboxOptions},
    model::{DRILL_TAG, Digest, SecretValue, Step, Tag},
    provider::{
        FetchedValue, Listed, Source as _, Target as _,
        aws::{Aws, AwsSettings, StaticCredentials},
        dotenv::Dotenv,
    },
};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, PEOPLE, Ran, SHEETS, binary},
    dialects::{Real, fixtures, of_bash, of_node, of_npm, of_python},
    drill_cli::write,
};

const ACCOUNT: &str = "111111111111";
/// What a file of everyday looks like; the four readers agree about every line of it.
const FILE: &str = "# of the app\nHOST=db.example.com\nPORT=5432\nPASSWORD='p$w !&;*#\"x'\nEMPTY=''\nPEM='-----BEGIN\nabc\n-----END'\n";

/// Both sandboxes and a desk whose source is a folder.
struct World {
    aws: Sandbox,
    vault: VaultSandbox,
    desk: Desk,
}

impl World {
    async fn new() -> Self {
        let aws = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let vault = VaultSandbox::start(VaultSandboxOptions::default()).await.unwrap();
        let desk = Desk::new(&aws.endpoint(), ACCOUNT);
        Self { aws, vault, desk }
    }

    /// Another desk before the same two.
    fn other(self, source: &str) -> Self {
        let desk = Desk::new(&self.aws.endpoint(), ACCOUNT);
        let world = Self { desk, ..self };
        world.init(source);
        world
    }

    fn run(&self, words: &str) -> Ran {
        let mut command = self.desk.command(binary());
        self.desk.finish(command.env("VAULT_TOKEN", self.vault.root_token()).args(words.split_whitespace()))
    }

    fn init(&self, source: &str) {
        self.run(&format!("init --repo repository {PEOPLE} --sheets sheets --copy west --yes --source {source}"))
            .expect(0);
    }

    fn restore(&self, to: &str, more: &str) -> Ran {
        self.run(&format!("restore --to {to} --yes --json {more} {SHEETS}"))
    }

    /// The current value of a secret of AWS.
    async fn aws(&self, region: &str, name: &str) -> SecretValue {
        let credentials = StaticCredentials { access_key: ACCOUNT.into(), secret_key: "x".to_owned().into() };
        let settings = AwsSettings {
            endpoint: Some(self.aws.endpoint()),
            credentials: Some(credentials),
            ..AwsSettings::region(region)
        };
        let aws = Aws::connect(settings).await.unwrap();
        let fetched = aws.fetch(&Listed::named(name), &|_, _| false).await.unwrap();
        let current = fetched.versions.into_iter().find(|version| version.current).unwrap();
        let FetchedValue::Value(value) = current.value else { panic!("no value") };
        value
    }

    fn vault(&self, path: &str) -> Json {
        self.vault.control().request("GET", path, &Json::Null).unwrap()["data"].clone()
    }
}

fn put(path: &Path, bytes: &[u8], mode: u32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What the four readers make of a file, where they agree.
fn agreed(path: &Path) -> Option<Real> {
    let all: Vec<Real> = [of_npm, of_node, of_python, of_bash].map(|reader| reader(path)).into();
    all.iter().all(|one| *one == all[0]).then(|| all[0].clone())
}

fn object(value: &[u8]) -> Real {
    let fields: BTreeMap<String, String> = serde_json::from_slice(value).unwrap();
    fields.into_iter().map(|(name, value)| (name, value.into_bytes())).collect()
}

/// Whole files: into AWS and into a Vault, and from there into a folder again, byte for byte and with their modes; names are
/// translated by rule, and one that cannot be is named and holds up no other.
#[tokio::test(flavor = "multi_thread")]
async fn whole_files_cross_and_come_back_with_their_bytes_and_modes() {
    let world = World::new().await;
    let files = [
        (".env", FILE.as_bytes(), 0o600),
        ("web/.env.production", b"A=\xff\xfe\r\n\0".as_slice(), 0o640),
        ("web/.env.local", b"{\"value\":\"x\"}".as_slice(), 0o600),
        ("odd name/.env", b"A=1\n".as_slice(), 0o600),
    ];
    for (name, bytes, mode) in files {
        put(&world.desk.path("app").join(name), bytes, mode);
    }
    world.init("env:app?host=web-1");
    world.run("snapshot").expect(0);
    let told = world.restore("aws:eu-west-1", "--account 111111111111 --name-prefix dev/").expect(3);
    assert!(told.err.contains("it has the character ' '"), "{}", told.err);
    let told = told.json();
    assert_eq!((&told["counts"]["created"], &told["counts"]["cannot"]), (&json!(3), &json!(1)), "{told}");
    assert_eq!(world.aws("eu-west-1", "dev/.env").await.expose(), FILE.as_bytes());
    let target = world.vault.source("secret");
    let told = world.restore(&target, "").expect(0).json();
    assert_eq!((&told["complete"], &told["counts"]["created"]), (&json!(true), &json!(4)), "{told}");
    assert_eq!(world.vault("secret/data/.env")["data"], json!({ "value": FILE }));
    // The way back from the Vault gives the files as they were, the odd one too.
    let world = world.other(&target);
    world.run("snapshot").expect(0);
    let told = world.restore("env:back?host=web-2", "").expect(0).json();
    assert_eq!(told["verification"]["values"], 4, "{told}");
    for (name, bytes, bits) in files {
        let path = world.desk.path("back").join(name);
        assert_eq!((std::fs::read(&path).unwrap(), mode(&path)), (bytes.to_vec(), bits), "{name}");
    }
    // And from AWS, under the names that they had.
    let world = world.other("aws:eu-west-1");
    world.run("snapshot").expect(0);
    world.restore("env:back?host=web-2", "--name-map dev/*=*").expect(0);
    for (name, bytes, bits) in &files[..3] {
        let path = world.desk.path("back").join(name);
        assert_eq!((std::fs::read(&path).unwrap(), mode(&path)), (bytes.to_vec(), *bits), "{name}");
    }
}

/// As keys: one object for each file, as the four readers of everyday read it where they agree; and objects as lines that each of
/// them reads back. What has no place is refused by its name or its line, and shows no value.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_keys_where_a_person_asks_for_it_and_objects_are_lines() {
    let world = World::new().await;
    let app = world.desk.path("app");
    put(&app.join(".env"), FILE.as_bytes(), 0o600);
    put(&app.join("broken/.env"), b"A=1\nno-equals-marker\n", 0o600);
    world.init("env:app?host=web-1");
    world.run("snapshot").expect(0);
    let told = world.restore("aws:eu-west-1", "--account 111111111111 --env-keys dotenv").expect(3);
    assert!(told.out.contains("line 2") || told.err.contains("line 2"), "{}{}", told.out, told.err);
    let expected = agreed(&app.join(".env")).expect("the four agree");
    assert_eq!(expected.len(), 5);
    let value = world.aws("eu-west-1", ".env").await;
    assert!(matches!(value, SecretValue::Text(_)));
    assert_eq!(object(value.expose()), expected);
    std::fs::remove_file(app.join("broken/.env")).unwrap();
    world.run("snapshot").expect(0);
    let target = world.vault.source("secret");
    world.restore(&target, "--env-keys dotenv").expect(0);
    let fields = world.vault("secret/data/.env")["data"].clone();
    assert_eq!(object(fields.to_string().as_bytes()), expected);
    // Sent again it is there already.
    assert_eq!(world.restore(&target, "--env-keys dotenv").expect(0).json()["writes"], 0);
    // Objects as lines: the readers give what the objects say.
    let control = world.aws.control();
    let value = r#"{"host":"db","port":5432,"password":"p$w !&;*#\"x","pem":"a\nb","deep":{"a":[1]},"on":true}"#;
    control.put(ACCOUNT, "eu-central-1", "app/db", value).unwrap();
    control.put(ACCOUNT, "eu-central-1", "app/plain", "marker-of-a-text").unwrap();
    control.put(ACCOUNT, "eu-central-1", "app/null", r#"{"nothing":null}"#).unwrap();
    let world = world.other("aws:eu-central-1");
    world.run("snapshot").expect(0);
    let told = world.restore("env:files?host=web-1", "--env-keys dotenv --name-map app/db=app/.env").expect(3);
    let all = format!("{}{}", told.out, told.err);
    assert!(all.contains("no JSON object") && all.contains("nothing is null") && !all.contains("marker-of"), "{all}");
    let written = world.desk.path("files/app/.env");
    let read = agreed(&written).expect("the four agree about every line");
    let text = |text: &str| text.as_bytes().to_vec();
    let expected: Real = [
        ("deep", r#"{"a":[1]}"#),
        ("host", "db"),
        ("on", "true"),
        ("password", "p$w !&;*#\"x"),
        ("pem", "a\nb"),
        ("port", "5432"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), text(value)))
    .collect();
    assert_eq!(read, expected);
    assert_eq!(mode(&written), 0o600);
    let printed = String::from_utf8_lossy(&world.desk.printed()).into_owned();
    assert!(!printed.contains("p$w") && !printed.contains("marker-of"));
    // A Vault's fields as lines, and back again as the same fields.
    let world = world.other(&target);
    world.run("snapshot").expect(0);
    world.restore("env:lines?host=web-1", "--env-keys dotenv").expect(0);
    let lines = world.desk.path("lines/.env");
    assert_eq!(agreed(&lines).unwrap(), object(fields.to_string().as_bytes()));
    let again = Desk::new(&world.aws.endpoint(), ACCOUNT);
    let world = World { desk: again, ..world };
    world.init(&format!("env:{}?host=web-1", lines.parent().unwrap().display()));
    world.run("snapshot").expect(0);
    world
        .vault
        .control()
        .request("POST", "sys/mounts/again", &json!({ "type": "kv", "options": { "version": "2" } }))
        .unwrap();
    world.restore(&world.vault.source("again"), "--env-keys dotenv").expect(0);
    assert_eq!(world.vault("again/data/.env")["data"], fields);
}

/// Of every fixture of the readers' table that the four read alike, the keys are what they read.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_what_npm_node_python_and_bash_read_where_they_agree() {
    let world = World::new().await;
    let mut kept: BTreeMap<String, Real> = BTreeMap::new();
    for (name, path) in fixtures() {
        // A reader that stops at a line agrees with nobody, and a file that runs a command is not run here.
        let bytes = std::fs::read(&path).unwrap();
        let is_read = [lifeboat::dialect::Dialect::Dotenv, lifeboat::dialect::Dialect::Node]
            .into_iter()
            .chain([lifeboat::dialect::Dialect::Python, lifeboat::dialect::Dialect::Shell])
            .all(|dialect| {
                let reading = lifeboat::dialect::read(&bytes, dialect);
                reading.faults.is_empty() && reading.pairs.iter().all(|pair| pair.caveat.is_none())
            });
        if let Some(real) = is_read.then(|| agreed(&path)).flatten() {
            put(&world.desk.path("app").join(&name).join(".env"), &bytes, 0o600);
            kept.insert(format!("{name}/.env"), real);
        }
    }
    assert!(kept.len() >= 8, "{:?}", kept.keys());
    world.init("env:app?host=web-1");
    world.run("snapshot").expect(0);
    world.restore(&world.vault.source("secret"), "--env-keys shell").expect(0);
    for (name, real) in kept {
        let fields = world.vault(&format!("secret/data/{name}"))["data"].to_string();
        assert_eq!(object(fields.as_bytes()), real, "{name}");
    }
}

/// A drill in a folder: passed, and nothing is left of it, not even the folders; a folder that is the source's, is in it or around
/// it is no sandbox, whatever the machine is called.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_held_in_a_folder_and_leaves_nothing() {
    let world = World::new().await;
    put(&world.desk.path("app/.env"), FILE.as_bytes(), 0o600);
    put(&world.desk.path("app/web/.env.production"), b"A=\xff\n", 0o640);
    world.init("env:app?host=web-1");
    world.run("snapshot").expect(0);
    let held =
        world.run(&format!("drill run --to env:drills-here/deep?host=web-1 --yes --json {SHEETS}")).expect(0).json();
    let record = &held["record"];
    assert_eq!((&record["result"], &record["target"]["provider"]), (&json!("passed"), &json!("env")), "{record}");
    let cleaned = &record["clean_up"];
    assert_eq!((&record["sample"]["restored"], &cleaned["destroyed"]), (&json!(2), &json!(2)), "{record}");
    assert!(!world.desk.path("drills-here/deep").exists(), "nothing is left");
    // Beside somebody's files, which stay.
    put(&world.desk.path("used/own.txt"), b"own", 0o600);
    world.run(&format!("drill run --to env:used?host=web-1 --yes {SHEETS}")).expect(0);
    let left: Vec<PathBuf> = std::fs::read_dir(world.desk.path("used")).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(left, [world.desk.path("used/own.txt")]);
    std::os::unix::fs::symlink(world.desk.path("app"), world.desk.path("link")).unwrap();
    for (folder, words) in [
        ("app?host=web-1", "the source of the secrets"),
        ("app?host=web-2", "within the source of the secrets or around it"),
        ("app/web?host=web-1", "within the source of the secrets or around it"),
        ("link/new?host=web-1", "within the source of the secrets or around it"),
        (".?host=web-1", "within the source of the secrets or around it"),
    ] {
        let told = world.run(&format!("drill run --to env:{folder} --yes {SHEETS}")).expect(4);
        assert!(told.err.contains(words), "{folder}: {}", told.err);
    }
    // Somebody's file of the name: the drill is not held, and the file stays.
    put(&world.desk.path("used/.env"), b"theirs", 0o600);
    let told = world.run(&format!("drill run --to env:used?host=web-1 --yes {SHEETS}"));
    assert_ne!(told.code, Some(0));
    assert_eq!(std::fs::read(world.desk.path("used/.env")).unwrap(), b"theirs");
    assert!(!world.desk.path("used/.lifeboat-made").exists());
}

/// A drill that was killed: the next one finds what it made, whatever its names are, removes that, and says so. What somebody
/// wrote since is not removed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_drill_made_is_found_and_removed_and_nothing_else() {
    let world = World::new().await;
    world.aws.control().put(ACCOUNT, "eu-central-1", "app/one", "value").unwrap();
    world.aws.control().put(ACCOUNT, "eu-central-1", "app/two", "value").unwrap();
    world.init("aws:eu-central-1");
    world.run("snapshot").expect(0);
    let file = |probe: &str| {
        format!(
            "scenario = \"a folder\"\nevery_days = 31\n[target]\nurl = \"env:{}?host=web-1\"\n{probe}",
            world.desk.path("sandbox").display()
        )
    };
    let kills = "[[probe]]\nname = \"end\"\nsecret = \"app/one\"\ncommand = [\"/bin/sh\", \"-c\", \"kill -9 $PPID\"]\n";
    write(&world.desk, "folder", &file(kills));
    let killed = world.run(&format!("drill run folder --json {SHEETS}"));
    assert_eq!(killed.code, None, "{}", killed.err);
    assert!(world.desk.path("sandbox/app/one").exists() && world.desk.path("sandbox/.lifeboat-made").exists());
    write(&world.desk, "folder", &file(""));
    let held = world.run(&format!("drill run folder --json {SHEETS}")).expect(0).json();
    assert_eq!(held["record"]["result"], "passed", "{held}");
    let records = crate::command::files(&world.desk.path("repository/drills"));
    let says = |words: &str| records.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(words));
    assert!(says("removed 2 that it had left"), "the killed one has a record");
    assert!(!world.desk.path("sandbox").exists());
    // Killed again, and then somebody writes to one of the files: it is theirs.
    write(&world.desk, "folder", &file(kills));
    world.run(&format!("drill run folder --json {SHEETS}"));
    std::fs::write(world.desk.path("sandbox/app/two"), "theirs").unwrap();
    write(&world.desk, "folder", &file(""));
    let told = world.run(&format!("drill run folder --json {SHEETS}"));
    assert_ne!(told.code, Some(0), "{}", told.out);
    assert_eq!(std::fs::read(world.desk.path("sandbox/app/two")).unwrap(), b"theirs");
}

/// The mark of what a drill made is of one very file: a copy, a changed one or another of its name has none.
#[tokio::test]
async fn a_drills_file_is_known_by_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new/sandbox");
    let ids = |name: &str, bytes: &[u8]| Digest::of(&[name.as_bytes(), bytes].concat()).to_string()[..32].to_owned();
    let connect = || {
        let address = format!("env:{}?host=web-1", root.display()).parse().unwrap();
        Dotenv::connect_sandbox(&address, Arc::new(ids)).unwrap()
    };
    let tag = Tag { key: DRILL_TAG.into(), value: "of this drill".into() };
    let create = |name: &str| Step::Create {
        name: name.into(),
        version: Some("v-1".into()),
        description: None,
        kms_key: None,
        tags: vec![tag.clone()],
        secret_type: None,
        settings: BTreeMap::new(),
    };
    let value = SecretValue::bytes(b"A=1\n".to_vec());
    let drill = connect();
    let one = drill.apply(&create("app/one"), None, Some(&value)).await.unwrap().created.unwrap();
    let two = drill.apply(&create("app/two"), None, Some(&value)).await.unwrap().created.unwrap();
    // Sent again, nothing was made.
    assert_eq!(drill.apply(&create("app/one"), None, Some(&value)).await.unwrap().created, None);
    // Another process knows both again.
    let again = connect();
    let listed: Vec<Listed> = again.list().try_collect().await.unwrap();
    let marked: Vec<(&str, bool)> =
        listed.iter().map(|it| (it.name.as_str(), it.secret.facets.tags == [tag.clone()])).collect();
    assert_eq!(marked, [("app/one", true), ("app/two", true)]);
    assert_eq!(again.look_up("app/one").await.unwrap().unwrap().versions[0].id, "v-1");
    assert_eq!(again.describe(&one).await.unwrap().unwrap().name, "app/one");
    // One is replaced by a copy with the same bytes, the other is written to.
    std::fs::copy(root.join("app/one"), root.join("app/copy")).unwrap();
    std::fs::rename(root.join("app/copy"), root.join("app/one")).unwrap();
    std::fs::write(root.join("app/two"), "B=2\n").unwrap();
    for (name, id) in [("app/one", &one), ("app/two", &two)] {
        assert!(again.describe(id).await.unwrap().is_none());
        assert!(again.describe(name).await.unwrap().unwrap().facets.tags.is_empty());
        again.apply(&Step::Destroy { name: name.into() }, Some(id), None).await.unwrap();
        assert!(root.join(name).exists(), "it is somebody else's");
        assert!(again.apply(&Step::Destroy { name: name.into() }, None, None).await.is_err());
    }
}

/// A restore under other names, or from another kind, that ended in the middle goes on where it was; what it noted is gone when it
/// is whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_under_another_name_goes_on() {
    let world = World::new().await;
    put(&world.desk.path("app/.env"), FILE.as_bytes(), 0o600);
    put(&world.desk.path("app/web/.env.production"), b"A=\xff\n", 0o640);
    world.init("env:app?host=web-1");
    world.run("snapshot").expect(0);
    // A file where a folder is to be: one of the two cannot be written.
    put(&world.desk.path("new/old/web"), b"in the way", 0o600);
    let told = world.restore("env:new?host=web-2", "--name-prefix old/");
    assert_ne!(told.code, Some(0), "{}", told.out);
    let notes = world.desk.path("new/.lifeboat-made");
    assert!(world.desk.path("new/old/.env").exists() && notes.exists(), "{}", told.err);
    assert!(!String::from_utf8(std::fs::read(&notes).unwrap()).unwrap().contains("p$w"), "no value is noted");
    std::fs::remove_file(world.desk.path("new/old/web")).unwrap();
    let told = world.restore("env:new?host=web-2", "--name-prefix old/").expect(0).json();
    assert_eq!((&told["counts"]["identical"], &told["counts"]["created"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(told["verification"]["values"], 2, "what was there is compared too: {told}");
    assert!(!notes.exists(), "what was noted is gone");
    assert_eq!(mode(&world.desk.path("new/old/web/.env.production")), 0o640);
    // What somebody wrote meanwhile is another file: it is not taken for the restore's own.
    std::fs::remove_dir_all(world.desk.path("new")).unwrap();
    put(&world.desk.path("new/old/web"), b"in the way", 0o600);
    world.restore("env:new?host=web-2", "--name-prefix old/");
    std::fs::write(world.desk.path("new/old/.env"), "theirs").unwrap();
    std::fs::remove_file(world.desk.path("new/old/web")).unwrap();
    world.restore("env:new?host=web-2", "--name-prefix old/").expect(4).says("conflict");
    assert_eq!(std::fs::read(world.desk.path("new/old/.env")).unwrap(), b"theirs");
}
