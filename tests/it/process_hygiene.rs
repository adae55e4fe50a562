//! What the process keeps of a key: measured in a child that recovers one from sheets and then reads its own memory.
//!
//! The child is this test binary again. It is given what to look for masked, so that the search does not find itself.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use jiff::Timestamp;
use lifeboat::{
    crypto::{self, Signer},
    custody::{self, Ceremony, CeremonyRequest},
    fsutil,
    model::RepositoryId,
    repo::AllowedSigner,
    scan,
    share::Gathering,
};

const MASK: u8 = 0xa5;
const SHEETS: &str = "LIFEBOAT_TEST_HYGIENE_SHEETS";

/// The bytes that must not outlive their use, masked: a name, then the bytes.
struct Needle {
    name: String,
    masked: Vec<u8>,
}

impl Needle {
    fn new(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), masked: bytes.iter().map(|byte| byte ^ MASK).collect() }
    }
}

/// The names of the needles in the readable memory of this process.
fn search(maps: &mut File, memory: &mut File, needles: &[Needle]) -> Vec<String> {
    let mut text = String::new();
    maps.rewind().unwrap();
    maps.read_to_string(&mut text).unwrap();
    let mut buffer = vec![0_u8; 1 << 20];
    let own = buffer.as_ptr().addr()..buffer.as_ptr().addr() + buffer.len();
    let mut found: Vec<String> = Vec::new();
    let overlap = 128;
    for line in text.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with('r'))) {
        if line.ends_with("[vvar]") || line.ends_with("[vsyscall]") || line.contains("[vvar_") {
            continue;
        }
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (mut at, to) = (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(to, 16).unwrap());
        while at < to {
            let end = (at + buffer.len()).min(to);
            memory.seek(SeekFrom::Start(at as u64)).unwrap();
            let read = memory.read(&mut buffer[..end - at]).unwrap_or(0);
            if read == 0 {
                break;
            }
            // What was read into the buffer before would be found in the buffer.
            if at < own.end && own.start < at + read {
                let (start, stop) = (own.start.max(at) - at, own.end.min(at + read) - at);
                buffer[start..stop].fill(0);
            }
            for needle in needles {
                if holds(&buffer[..read], &needle.masked) && !found.contains(&needle.name) {
                    found.push(needle.name.clone());
                }
            }
            buffer.fill(0);
            if at + read >= to {
                break;
            }
            at += read.saturating_sub(overlap).max(1);
        }
    }
    found.sort();
    found
}

fn holds(bytes: &[u8], masked: &[u8]) -> bool {
    let first = masked[0] ^ MASK;
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(first, rest) {
        rest = &rest[at..];
        if rest.len() < masked.len() {
            return false;
        }
        if rest.iter().zip(masked).all(|(byte, masked)| byte ^ MASK == *masked) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// The child: recovers, looks, says what it found, waits, lets go, looks again, waits.
#[test]
#[ignore = "a part of another test, which starts it"]
fn the_child() {
    let Ok(sheets) = std::env::var(SHEETS) else { return };
    // Opened before: afterwards not even the process itself may, unless it is root.
    let (mut maps, mut memory) = (File::open("/proc/self/maps").unwrap(), File::open("/proc/self/mem").unwrap());
    assert!(crypto::harden_process().is_complete());
    let mut input = BufReader::new(std::io::stdin());
    let needles = told(&mut input);
    let mut wait = move |said: &str| {
        println!("\n{said}");
        std::io::stdout().flush().unwrap();
        input.read_line(&mut String::new()).unwrap();
    };
    wait(&format!("before {}", search(&mut maps, &mut memory, &needles).join(",")));
    let mut gathering = Gathering::new(Vec::new());
    let files: Vec<_> = sheets.split(':').map(|path| fsutil::read_secret(path.as_ref(), 1 << 20).unwrap()).collect();
    let texts: Vec<_> = files.iter().flat_map(|bytes| scan::texts(bytes).unwrap()).collect();
    wait(&format!("read {}", search(&mut maps, &mut memory, &needles).join(",")));
    for text in &texts {
        gathering.add("a sheet", text).unwrap();
    }
    drop((files, texts));
    let quorum = gathering.quorum().unwrap();
    let key = quorum.recover().unwrap();
    assert!(key.is_locked());
    wait(&format!("held {}", search(&mut maps, &mut memory, &needles).join(",")));
    let _ = (key.recipient(), key.root_signer().public());
    drop((quorum, key));
    wait(&format!("dropped {}", search(&mut maps, &mut memory, &needles).join(",")));
}

/// What to look for, as the parent says it.
fn told(input: &mut impl BufRead) -> Vec<Needle> {
    let mut needles = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).unwrap();
        let Some((name, masked)) = line.trim().split_once(' ') else { return needles };
        needles.push(Needle { name: name.to_owned(), masked: hex::decode(masked).unwrap() });
    }
}

/// The other child: holds a ceremony, writes the sheets, lets everything go, is told what to look for, looks.
#[test]
#[ignore = "a part of another test, which starts it"]
fn the_child_with_a_ceremony() {
    let Ok(folder) = std::env::var(SHEETS) else { return };
    let (mut maps, mut memory) = (File::open("/proc/self/maps").unwrap(), File::open("/proc/self/mem").unwrap());
    assert!(crypto::harden_process().is_complete());
    let ceremony = ceremony();
    write(folder.as_ref(), &ceremony);
    drop(ceremony);
    println!("\nready");
    let needles = told(&mut BufReader::new(std::io::stdin()));
    assert!(!needles.is_empty());
    println!("\nafter {}", search(&mut maps, &mut memory, &needles).join(","));
}

/// A running child and what it says.
struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Talk {
    fn start(child: &str, sheets: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("process_hygiene::{child}"), "--ignored", "--nocapture", "--test-threads", "1"])
            .env(SHEETS, sheets)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn tell(&mut self, needles: &[Needle]) {
        for needle in needles {
            writeln!(self.input, "{} {}", needle.name, hex::encode(&needle.masked)).unwrap();
        }
        self.go_on();
    }

    /// What was found at this point, by name.
    fn found(&mut self, point: &str) -> Vec<String> {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the child ended before it said {point}");
            if let Some(found) = line.trim_end().strip_prefix(point) {
                return found.trim().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            }
        }
    }

    fn go_on(&mut self) {
        writeln!(self.input).unwrap();
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }
}

/// The 46 bytes of a share.
fn bytes_of(text: &str) -> Vec<u8> {
    const ALPHABET: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for symbol in text[3..77].chars() {
        bits = bits << 5 | u32::try_from(ALPHABET.find(symbol).unwrap()).unwrap();
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes.truncate(46);
    bytes
}

/// The key, by the reader that shares no code with ours.
fn key_of(folder: &Path, sheets: &[String]) -> Vec<u8> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/repo/recover/recover.py");
    let output = Command::new("python3").arg(script).arg("key").args(sheets).current_dir(folder).output().unwrap();
    bech32::decode(String::from_utf8(output.stdout).unwrap().trim()).unwrap().1
}

fn ceremony() -> Ceremony {
    custody::hold(&CeremonyRequest {
        repository: RepositoryId::from_bytes([7; 16]),
        threshold: 2,
        custodians: ["Ana", "Bo", "Cy"].map(String::from).into(),
        signers: vec![AllowedSigner { name: "host".into(), key: Signer::generate().public() }],
        created: Timestamp::from_second(1_790_000_000).unwrap(),
        paper: custody::Paper::default(),
        contact: lifeboat::custody::Contact::default(),
    })
    .unwrap()
}

/// Each sheet as text and as a page.
fn write(folder: &Path, ceremony: &Ceremony) {
    for sheet in &ceremony.sheets {
        fs::write(folder.join(format!("{}.txt", sheet.custodian)), sheet.text.as_bytes()).unwrap();
        fs::write(folder.join(format!("{}.pdf", sheet.custodian)), &*sheet.pdf).unwrap();
    }
}

/// What must not be left of the sheets in a folder.
fn needles_of(folder: &Path) -> Vec<Needle> {
    let mut needles = Vec::new();
    let texts = ["Bo.txt".to_owned(), "Cy.txt".to_owned()];
    for (custodian, file) in ["Bo", "Cy"].iter().zip(&texts) {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let share = text.split_whitespace().find(|word| word.len() == 90 && word.starts_with("LB1")).unwrap();
        let row = text.lines().find(|line| line.trim().starts_with("2: ")).unwrap().trim();
        needles.push(Needle::new(format!("y-of-{custodian}"), &bytes_of(share)[8..40]));
        needles.push(Needle::new(format!("text-of-{custodian}"), &share.as_bytes()[20..70]));
        needles.push(Needle::new(format!("row-of-{custodian}"), &row.as_bytes()[3..30]));
    }
    needles.push(Needle::new("key", &key_of(folder, &texts)));
    needles
}

#[test]
fn a_key_that_was_let_go_is_nowhere_in_the_memory_of_its_process() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &ceremony());
    let needles = needles_of(folder.path());
    let mut talk = Talk::start("the_child", &format!("{0}/Bo.txt:{0}/Cy.pdf", folder.path().display()));
    talk.tell(&needles);
    assert_eq!(talk.found("before"), Vec::<String>::new(), "the search does not find itself");
    talk.go_on();
    let read = talk.found("read");
    talk.go_on();
    let held = talk.found("held");
    for (found, names) in [(&read, ["row-of-Bo", "text-of-Bo", "text-of-Cy"]), (&held, ["key", "y-of-Bo", "y-of-Cy"])] {
        for name in names {
            assert!(found.contains(&name.to_owned()), "the search finds what is there: {name} of {found:?}");
        }
    }
    let texts = held.iter().filter(|name| name.starts_with("text") || name.starts_with("row"));
    assert_eq!(texts.count(), 0, "texts are wiped as soon as they are read: {held:?}");
    let limits = talk.proc("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "no core file: {core}");
    let locked = talk.proc("status").lines().find_map(|line| line.strip_prefix("VmLck:").map(str::to_owned)).unwrap();
    let kilobytes: u32 = locked.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kilobytes >= 4, "the key's page is locked: {locked}");
    talk.go_on();
    assert_eq!(talk.found("dropped"), Vec::<String>::new(), "left behind");
    talk.go_on();
    assert!(talk.child.wait().unwrap().success());
}

#[test]
fn a_key_that_cannot_be_locked_is_used_with_a_warning() {
    let desk = crate::command::Desk::offline("111111111111");
    let init = "init --repo repository --source aws:eu-central-1 --threshold 2 --custodian Ana --custodian Bo --sheets s --yes";
    desk.run(init).expect(0);
    let check = "check --depth values --share s";
    let locked = desk.run(check).expect(0);
    assert!(!locked.err.contains("could not be locked"), "{}", locked.err);
    let mut limited = desk.command("prlimit");
    let limited = limited.args(["--memlock=0:0", "--"]).arg(crate::command::binary()).args(check.split(' '));
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Root may lock whatever the limit says, unless it gives that up.
        let mut plain = desk.command("setpriv");
        plain.args(["--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]).arg("prlimit").args(limited.get_args());
        let ran = desk.finish(&mut plain).expect(0);
        assert!(ran.err.contains("could not be locked"), "{}", ran.err);
    } else {
        let ran = desk.finish(limited).expect(0);
        assert!(ran.err.contains("could not be locked"), "{}", ran.err);
    }
}

#[test]
fn a_ceremony_leaves_nothing_in_the_memory_of_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Talk::start("the_child_with_a_ceremony", folder.path().to_str().unwrap());
    talk.found("ready");
    let needles = needles_of(folder.path());
    talk.tell(&needles);
    assert_eq!(talk.found("after"), Vec::<String>::new(), "left behind");
    assert!(talk.child.wait().unwrap().success());
}

/// What a stranger of the same user gets of a process: `environ` has the same rule as attaching (PTRACE_MODE_READ).
#[cfg(target_os = "linux")]
#[test]
fn another_process_of_the_same_user_can_not_attach() {
    use std::os::unix::process::CommandExt;
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let desk = crate::command::Desk::offline("111111111111");
    fs::set_permissions(desk.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Root may read everything, so both the process and the stranger become nobody.
    let as_nobody = |command: &mut Command| {
        if is_root {
            command.uid(65534).gid(65534);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::piped());
    };
    let reads = |child: &Child| {
        let mut stranger = Command::new("cat");
        as_nobody(stranger.arg(format!("/proc/{}/environ", child.id())));
        stranger.output().unwrap().status.success()
    };
    let mut plain = Command::new("sleep");
    as_nobody(plain.arg("60"));
    let mut plain = plain.spawn().unwrap();
    assert!(reads(&plain), "an ordinary process can be read, or this test proves nothing");
    plain.kill().unwrap();
    plain.wait().unwrap();

    let mut sandbox = desk.command(crate::command::binary());
    as_nobody(sandbox.args(["sandbox", "--listen", "127.0.0.1:0", "--json"]));
    let mut child = sandbox.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let read = reads(&child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(line.contains("127.0.0.1"), "it was running: {line}");
    assert!(!read, "the environment, and so the memory, of the process was read");
}
