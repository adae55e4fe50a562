//! The honest world that the matrix attacks, built once by the binary; clones of it; and what the attackers own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use jiff::Timestamp;
use lifeboat::{
    crypto::{Namespace, Signer},
    emulator::{Sandbox, SandboxOptions},
    model::Digest,
};
use serde_json::{Value as Json, json};

use crate::{
    command::{Ran, SHEETS, binary, files},
    events_queue,
};

const SOURCE: &str = "111111111111";
const REGION: &str = "eu-central-1";
/// What every value of the attacker's begins with.
pub const FORGED: &str = "FORGED";
const NEW_SHEETS: &str = "--share new/02-bo.txt --share new/04-gus.txt";

/// Which history a move is made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Six snapshots, four epochs of one key, one removed signer.
    Main,
    /// The same after a new key and two snapshots sealed to it.
    Rotated,
}

/// A folder with everything that a backup host has.
pub struct Tree {
    folder: PathBuf,
    endpoint: String,
    /// Who the commands are, for the cloud.
    pub account: String,
}

/// What is attacked, and what the attackers own.
pub struct World {
    folder: tempfile::TempDir,
    sandboxes: [Sandbox; 3],
    endpoint: String,
    /// A host that was removed by epoch 4; it signed snapshot 2, a drill record and an attestation.
    pub removed: Signer,
    /// A host that may sign, whose key was stolen.
    pub current: Signer,
    /// Somebody.
    pub stranger: Signer,
    /// What the stolen key makes of values of its own, as snapshot 7.
    pub next: Kit,
    /// The same beside snapshot 6.
    pub head: Kit,
    /// The same sealed to the new key.
    pub rotated: Kit,
}

/// A snapshot with the attacker's values: a genuine manifest and the files it needs.
pub struct Kit {
    /// The manifest.
    pub manifest: Json,
    /// Packs, indexes and what else is new, by their name in the repository.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl World {
    pub async fn build() -> Self {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        let thief = Sandbox::start(SandboxOptions::default()).await.unwrap();
        for name in ["app/api", "app/database"] {
            thief.control().put(SOURCE, REGION, name, &format!("{FORGED} {name}")).unwrap();
        }
        let changed = Sandbox::start(SandboxOptions::default()).await.unwrap();
        changed.control().put(SOURCE, REGION, "app/database", "changed").unwrap();
        let day = |number: u32| {
            std::thread::sleep(Duration::from_millis(1100));
            sandbox.control().put(SOURCE, REGION, "app/database", &format!("day {number}")).unwrap();
        };
        sandbox.control().put(SOURCE, REGION, "app/api", "the key").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let endpoint = sandbox.endpoint();
        let tree = Tree::new(folder.path().join("main"), &endpoint);
        std::fs::create_dir(&tree.folder).unwrap();
        let keys = [Signer::generate(), Signer::generate()];
        tokio::task::block_in_place(|| {
            tree.live(&keys, day);
            tree.clone_to(&folder.path().join("before"));
            day(6);
            tree.sixth_day();
            let rotated = tree.clone_to(&folder.path().join("rotated"));
            rotated.rotate();
        });
        let [removed, current] = keys;
        let kit = |from: &str, number: u64| {
            let before = Tree::new(folder.path().join(from), &thief.endpoint());
            before.steal(&folder.path().join(format!("stolen-{from}")), &current, number)
        };
        let [next, head, rotated] =
            tokio::task::block_in_place(|| [kit("main", 7), kit("before", 6), kit("rotated", 9)]);
        let stranger = Signer::generate();
        Self { folder, sandboxes: [sandbox, thief, changed], endpoint, removed, current, stranger, next, head, rotated }
    }

    /// The honest world of a base, as it was built.
    fn base(&self, base: Base) -> Tree {
        Tree::new(self.folder.path().join(if base == Base::Main { "main" } else { "rotated" }), &self.endpoint)
    }

    /// A clone of its own.
    pub fn clone_of(&self, base: Base) -> Tree {
        self.base(base).clone_to(&self.new_folder())
    }

    /// Another clone of a clone.
    pub fn again(&self, tree: &Tree) -> Tree {
        tree.clone_to(&self.new_folder())
    }

    /// Stores the epoch of the new key, and nothing else that came with it.
    pub fn switch(&self, tree: &Tree) {
        let rotated = self.base(Base::Rotated);
        let is_new = |name: &Path| name.starts_with("epochs") && name.to_str().unwrap().contains("/5-");
        for (name, bytes) in rotated.repository_files().iter().filter(|(name, _)| is_new(name)) {
            tree.write(name.to_str().unwrap(), bytes);
        }
    }

    /// `snapshot`, from a slow source, and the switch to the new key while it reads.
    pub fn snapshot_over_the_switch(&self, tree: &Tree) -> Ran {
        let slow = &self.sandboxes[1];
        let tree = Tree::new(tree.folder.clone(), &slow.endpoint());
        slow.control().reset_calls();
        slow.control().set_latency(Duration::from_millis(1500));
        let mut command = Command::new(binary());
        let command = tree.prepare(command.args(["snapshot", "--json"]));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while !slow.control().calls().contains_key("ListSecrets") {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.switch(&tree);
        let ended = ran(&child.wait_with_output().unwrap());
        slow.control().set_latency(Duration::ZERO);
        assert!(ended.err.contains("during this run"), "it was not in flight: {}", ended.err);
        ended
    }

    /// As it was before the newest snapshot.
    pub fn before(&self) -> Tree {
        Tree::new(self.folder.path().join("before"), &self.endpoint)
    }

    fn new_folder(&self) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.folder.path().join(format!("cell-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

/// An account of the cloud that nobody used before.
pub fn new_account() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("2{:011}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Tree {
    fn new(folder: PathBuf, endpoint: &str) -> Self {
        Self { folder, endpoint: endpoint.to_owned(), account: SOURCE.into() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn root(&self) -> &Path {
        &self.folder
    }

    /// The same with the same times of files, since some of what is attacked looks at them.
    fn clone_to(&self, folder: &Path) -> Self {
        let (old, new) = (self.folder.to_str().unwrap(), folder.to_str().unwrap());
        for (path, bytes) in files(&self.folder) {
            let name = path.strip_prefix(&self.folder).unwrap();
            let to = folder.join(name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            if name.starts_with("state") || path.extension().is_some_and(|extension| extension == "toml") {
                let text = String::from_utf8_lossy(&bytes).replace(&format!("{old}/"), &format!("{new}/"));
                std::fs::write(&to, text).unwrap();
                continue;
            }
            if bytes.len() > 1 << 20 {
                // An oversized file is a hole.
                std::fs::File::create(&to).unwrap().set_len(bytes.len() as u64).unwrap();
            } else {
                std::fs::write(&to, bytes).unwrap();
            }
            let found = std::fs::metadata(&path).unwrap();
            std::fs::set_permissions(&to, found.permissions()).unwrap();
            std::fs::File::options().write(true).open(&to).unwrap().set_modified(found.modified().unwrap()).unwrap();
        }
        Self { folder: folder.to_owned(), endpoint: self.endpoint.clone(), account: self.account.clone() }
    }

    /// Runs the binary; words in quotes are one word.
    pub fn run(&self, words: &str) -> Ran {
        self.finish(Command::new(binary()).args(split(words)))
    }

    /// Captures a secret, which a queue tells of, from a source that has another value.
    pub fn watch(&self, source: &str, told: &str) -> Ran {
        events_queue::name_queue_in(&self.path("lifeboat.toml"));
        let told = [told.to_owned()];
        std::thread::scope(|scope| {
            let run = || {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let queue = runtime.block_on(events_queue::queue(&[&told[0]]));
                let mut command = Command::new(binary());
                let command = self.prepare(command.args(["watch", "--once", "--json"]));
                command.env("AWS_ENDPOINT_URL_SQS", &queue.endpoint).env("AWS_ENDPOINT_URL", source);
                ran(&command.output().expect("it starts"))
            };
            scope.spawn(run).join().unwrap()
        })
    }

    /// Runs recover.py as this build has it, since nobody should run an attacker's.
    pub fn recover(&self, words: &str) -> Ran {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/repo/recover/recover.py");
        self.finish(Command::new("/usr/bin/python3").arg("-B").arg(script).args(split(words)))
    }

    fn finish(&self, command: &mut Command) -> Ran {
        ran(&self.prepare(command).output().expect("it starts"))
    }

    /// Nothing of the tester's own environment.
    fn prepare<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env_clear().current_dir(&self.folder).stdin(Stdio::null());
        command.env("AWS_ENDPOINT_URL", &self.endpoint).env("AWS_ACCESS_KEY_ID", &self.account);
        command.env("AWS_SECRET_ACCESS_KEY", "x").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("HOME", &self.folder).env("PATH", "/usr/bin:/bin")
    }

    // ---- the honest history ----

    /// Five days: five snapshots, a second and a third signer, the second one removed, snapshot 1 forgotten and gone.
    fn live(&self, [removed, current]: &[Signer; 2], day: impl Fn(u32)) {
        let custodians = "--custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli";
        let source = format!("--source aws:{REGION} --threshold 3 {custodians} --sheets sheets --copy west --yes");
        self.run(&format!("init --repo repository {source}")).expect(0);
        self.remove_pages("sheets");
        day(1);
        self.run("snapshot").expect(0);
        let own = std::fs::read(self.path("keys/signer")).unwrap();
        for (name, key) in [("backup-2", removed), ("backup-3", current)] {
            self.run(&format!("custody signer add --name {name} --key '{}' --yes {SHEETS}", key.public())).expect(0);
        }
        std::fs::write(self.path("keys/signer"), removed.to_file().as_bytes()).unwrap();
        day(2);
        self.run("snapshot").expect(0);
        self.run(&format!("drill run --target sandbox --yes {SHEETS}")).expect(0);
        self.run("custody verify sheets/01-ana.txt").expect(0);
        std::fs::write(self.path("keys/signer"), own).unwrap();
        self.run(&format!("custody signer remove --name backup-2 --yes {SHEETS}")).expect(0);
        day(3);
        self.run("snapshot").expect(0);
        self.run("forget --keep-last 2 --undo-days 0 --yes").expect(0);
        day(4);
        self.run("snapshot").expect(0);
        self.run("forget --keep-last 9 --yes").expect(0);
        day(5);
        self.run("snapshot").expect(0);
    }

    /// The sixth day: the newest snapshot, a drill, a proof, a forgetting that still can be undone, and rules.
    fn sixth_day(&self) {
        self.run("snapshot").expect(0);
        self.run(&format!("drill run --target sandbox --yes {SHEETS}")).expect(0);
        self.run("custody verify sheets/03-cy.txt").expect(0);
        self.run("forget --keep-last 4 --undo-days 7 --yes").expect(0);
        let mut config = std::fs::read_to_string(self.path("lifeboat.toml")).unwrap();
        config.push_str("\n[retention]\nkeep_last = 3\nundo_days = 7\n");
        std::fs::write(self.path("lifeboat.toml"), config).unwrap();
        self.run("copy").expect(0);
        assert_eq!(self.numbers(), [2, 3, 4, 5, 6], "snapshot 1 is forgotten and gone");
    }

    /// A new key, and two snapshots sealed to it. The old configuration stays beside the new one.
    fn rotate(&self) {
        std::fs::copy(self.path("lifeboat.toml"), self.path("old.toml")).unwrap();
        let new = "--threshold 2 --custodian Ana --custodian Bo --custodian Fay --custodian Gus --sheets new --yes";
        self.run(&format!("custody rotate {new}")).expect(0);
        self.remove_pages("new");
        self.run("custody rotate --confirm --share new").expect(0);
        for _ in 7..=8 {
            std::thread::sleep(Duration::from_millis(1100));
            self.run("snapshot").expect(0);
        }
        self.run(&format!("drill run --target sandbox --yes {NEW_SHEETS}")).expect(0);
        self.run("copy").expect(0);
    }

    /// The sheets as text are enough, and every clone has them.
    fn remove_pages(&self, folder: &str) {
        let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pdf");
        let pages = files(&self.path(folder)).into_iter().map(|(path, _)| path).filter(is_page);
        pages.for_each(|page| std::fs::remove_file(page).unwrap());
    }

    /// What a thief with the key of a signer adds in a clone, from secrets of his own.
    fn steal(&self, to: &Path, key: &Signer, number: u64) -> Kit {
        let there: Vec<PathBuf> = self.repository_files().into_iter().map(|(name, _)| name).collect();
        let clone = self.clone_to(to);
        std::fs::write(clone.path("keys/signer"), key.to_file().as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        clone.run("snapshot --no-copy").expect(0);
        let new = clone.repository_files().into_iter().filter(|(name, _)| !there.contains(name));
        let (signed, files) = new.partition::<Vec<_>, _>(|(name, _)| name.starts_with("snapshots"));
        let manifest = signed.into_iter().find(|(name, _)| name.extension().unwrap() == "json").unwrap().1;
        let manifest: Json = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["sequence"], number);
        // The entry of the audit trail is of a signer in force, so it is no part of the attack: forged ones have tests of their own.
        let beside = |name: &Path| name.starts_with("turns") || name.starts_with("audit");
        Kit { manifest, files: files.into_iter().filter(|(name, _)| !beside(name)).collect() }
    }

    // ---- what is there ----

    /// Every file of the repository, by its name there.
    pub fn repository_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let folder = self.path("repository");
        let named = |(path, bytes): (PathBuf, Vec<u8>)| (path.strip_prefix(&folder).unwrap().to_owned(), bytes);
        files(&folder).into_iter().map(named).collect()
    }

    /// The signed files of a folder of the repository that parse, with their names.
    pub fn signed(&self, folder: &str) -> Vec<(String, Json)> {
        let of = |(name, bytes): (PathBuf, Vec<u8>)| {
            let is = name.starts_with(folder) && name.extension().is_some_and(|extension| extension == "json");
            let content = serde_json::from_slice(&bytes).ok().filter(|_| is)?;
            Some((name.to_str().unwrap().to_owned(), content))
        };
        self.repository_files().into_iter().filter_map(of).collect()
    }

    /// The manifest with a number: its name and content.
    pub fn manifest(&self, number: u64) -> (String, Json) {
        self.signed("snapshots").into_iter().find(|(_, manifest)| manifest["sequence"] == number).unwrap()
    }

    /// The numbers of all manifests.
    pub fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            self.signed("snapshots").iter().filter_map(|(_, manifest)| manifest["sequence"].as_u64()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// SHA-256 of a file of the repository.
    pub fn digest(&self, name: &str) -> Digest {
        Digest::of(&self.read(name))
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path("repository").join(name)).unwrap()
    }

    /// The name of the epoch with a number that the honest host made.
    pub fn epoch(&self, number: u64) -> String {
        self.signed("epochs").into_iter().find(|(_, epoch)| epoch["number"] == number).unwrap().0
    }

    // ---- what an attacker does to files ----

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path("repository").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path("repository").join(name)).unwrap();
    }

    /// A file and its signature.
    pub fn remove_signed(&self, name: &str) {
        self.remove(name);
        self.remove(&format!("{name}.sig"));
    }

    pub fn rename(&self, name: &str, to: &str) {
        std::fs::rename(self.path("repository").join(name), self.path("repository").join(to)).unwrap();
    }

    /// Changes one bit in the middle.
    pub fn flip(&self, name: &str) {
        let mut bytes = self.read(name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.write(name, bytes);
    }

    /// Stores a document under a name with a signature.
    pub fn sign(&self, name: &str, content: &Json, signer: &Signer, namespace: Namespace) {
        let bytes = text(content);
        self.write(&format!("{name}.sig"), signer.sign(namespace, bytes.as_bytes()));
        self.write(name, bytes);
    }

    /// Stores a snapshot: its manifest, signed, and the files it needs. Gives the manifest's name.
    pub fn forge(&self, kit: &Kit, manifest: &Json, signer: &Signer) -> String {
        self.add(kit);
        let name = self.manifest_name(manifest);
        self.sign(&name, manifest, signer, Namespace::Manifest);
        name
    }

    pub fn add(&self, kit: &Kit) {
        for (name, bytes) in &kit.files {
            self.write(name.to_str().unwrap(), bytes);
        }
    }

    /// The own name of a manifest.
    pub fn manifest_name(&self, manifest: &Json) -> String {
        let folder = (manifest["sequence"].as_u64().unwrap().max(1) - 1) / 64;
        format!("snapshots/{folder}/{}.json", stem(&manifest["time"], &manifest["snapshot"]))
    }

    /// Gives every file of the repository this time.
    pub fn touch(&self, name: &str, time: std::time::SystemTime) {
        for (path, _) in files(&self.path("repository")) {
            if path.to_str().unwrap().contains(name) {
                std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            }
        }
    }

    /// Puts a whole repository in the place of this one.
    pub fn put_back(&self, other: &Self, folder: &str) {
        std::fs::remove_dir_all(self.path(folder)).unwrap();
        for (path, bytes) in files(&other.path(folder)) {
            let to = self.path(folder).join(path.strip_prefix(other.path(folder)).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::write(to, bytes).unwrap();
        }
    }

    /// Every value in an account of the cloud: the answer of `GetSecretValue` for each name.
    pub fn values(&self, account: &str, region: &str) -> Vec<String> {
        let ask = |operation: &str, body: &Json| call(&self.endpoint, (account, region), operation, body);
        let listed = ask("ListSecrets", &json!({}));
        let names = listed["SecretList"].as_array().cloned().unwrap_or_default();
        let value =
            |secret: Json| ask("GetSecretValue", &json!({ "SecretId": secret["Name"] }))["SecretString"].clone();
        names.into_iter().map(value).map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn ran(output: &std::process::Output) -> Ran {
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// As the format writes JSON.
pub fn text(content: &Json) -> String {
    format!("{}\n", serde_json::to_string_pretty(content).unwrap())
}

/// `20261124T055042Z-1a2b3c4d`
pub fn stem(time: &Json, id: &Json) -> String {
    let time: Timestamp = time.as_str().unwrap().parse().unwrap();
    format!("{}-{}", time.strftime("%Y%m%dT%H%M%SZ"), &id.as_str().unwrap()[..8])
}

/// An id that nobody has.
pub fn id(of: &str) -> Json {
    json!(Digest::of(of.as_bytes()).to_string()[..32])
}

/// Words separated by spaces; one in single quotes may have some.
fn split(words: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut quoted = false;
    for letter in words.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => found.push(String::new()),
            other => found.last_mut().unwrap().push(other),
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

/// One request to the sandbox, which authenticates nobody.
fn call(endpoint: &str, (account, region): (&str, &str), operation: &str, body: &Json) -> Json {
    let host = endpoint.strip_prefix("http://").unwrap();
    let body = body.to_string();
    let mut stream = TcpStream::connect(host).unwrap();
    let credential = format!("Credential={account}/20261127/{region}/secretsmanager/aws4_request");
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: secretsmanager.{operation}\r\nauthorization: AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, \
         Signature=x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
}

/// What a command line needs to know of a history.
pub struct Facts {
    /// The sheets that open it.
    pub sheets: &'static str,
    /// The number of the newest snapshot.
    pub head: u64,
    /// A genuine earlier snapshot, by the beginning of its id.
    pub earlier: String,
    /// Between two snapshots.
    pub at: String,
    /// The number of the snapshot of that time.
    pub number_at: u64,
    /// The root key.
    pub root: String,
    /// Where the source has other values.
    pub changed: String,
}

impl Facts {
    /// Of an honest world.
    pub fn of(world: &World, base: Base) -> Self {
        let (sheets, head, epoch) = match base {
            Base::Main => (SHEETS, 6, 4),
            Base::Rotated => (NEW_SHEETS, 8, 5),
        };
        let tree = world.base(base);
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let (earlier, number_at) = if base == Base::Main { (4, 5) } else { (7, 7) };
        let epoch = tree.signed("epochs").into_iter().find(|(_, each)| each["number"] == epoch).unwrap().1;
        Self {
            sheets,
            head,
            earlier: text(&tree.manifest(earlier).1["snapshot"])[..12].to_owned(),
            at: text(&tree.manifest(number_at).1["time"]),
            number_at,
            root: text(&epoch["root"]),
            changed: world.sandboxes[2].endpoint(),
        }
    }
}
