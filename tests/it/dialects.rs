//! What the readers of `.env` files make of the same bytes: our reading held against the readers themselves, where they run
//! here, and against a table for all of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use lifeboat::dialect::{Caveat, Dialect, Reading, read};
use serde_json::{Value as Json, json};

use crate::servers::program;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/env")
}

/// Every fixture by name.
pub fn fixtures() -> BTreeMap<String, PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "env"));
    files.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect()
}

/// A reading as the table has it: values of fixtures are no secrets.
fn as_json(reading: &Reading) -> Json {
    let value =
        |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| format!("hex:{}", hex::encode(bytes)));
    let pairs: BTreeMap<&str, String> =
        reading.effective().into_iter().map(|pair| (pair.name.as_str(), value(&pair.value))).collect();
    let mut whole = json!({ "pairs": pairs });
    let caveats: BTreeMap<&str, String> = reading
        .effective()
        .into_iter()
        .filter_map(|pair| Some((pair.name.as_str(), format!("{:?}", pair.caveat?).to_lowercase())))
        .collect();
    if !caveats.is_empty() {
        whole["caveats"] = json!(caveats);
    }
    if !reading.faults.is_empty() {
        whole["faults"] = reading.faults.iter().map(|fault| Json::from(fault.to_string())).collect();
    }
    whole
}

/// The table, by fixture; dialects that read a fixture alike stand together, so that a person can check it.
fn table() -> Json {
    let mut all = serde_json::Map::new();
    for (name, path) in fixtures() {
        let bytes = std::fs::read(path).unwrap();
        let mut alike: Vec<(Vec<&str>, Json)> = Vec::new();
        for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Direnv) {
            let reading = as_json(&read(&bytes, dialect));
            match alike.iter_mut().find(|(_, known)| *known == reading) {
                Some((dialects, _)) => dialects.push(dialect.as_str()),
                None => alike.push((vec![dialect.as_str()], reading)),
            }
        }
        let rows = alike.into_iter().map(|(dialects, reading)| json!({ "dialects": dialects, "reading": reading }));
        all.insert(name, rows.collect());
    }
    Json::Object(all)
}

#[test]
fn every_dialect_reads_every_fixture_as_the_table_says() {
    let path = folder().join("expected.json");
    let found = table();
    if std::env::var_os("LIFEBOAT_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&found).unwrap())).unwrap();
    }
    let expected: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (name, rows) in found.as_object().unwrap() {
        assert_eq!(rows, &expected[name], "{name}");
    }
    assert_eq!(found.as_object().unwrap().len(), expected.as_object().unwrap().len());
}

/// The value bytes of every name that a reader gives.
pub type Real = BTreeMap<String, Vec<u8>>;

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.env_clear().stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn of_json(bytes: &[u8]) -> Real {
    let all: BTreeMap<String, Option<String>> = serde_json::from_slice(bytes).unwrap();
    all.into_iter().filter_map(|(name, value)| Some((name, value?.into_bytes()))).collect()
}

pub fn of_npm(path: &Path) -> Real {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/node/node_modules/dotenv");
    assert!(package.exists(), "dotenv is missing: run scripts/setup, which installs it (npm ci in tests/node)");
    let script =
        "console.log(JSON.stringify(require(process.argv[1]).parse(require('fs').readFileSync(process.argv[2]))))";
    of_json(&run(Command::new(program("node")).args(["-e", script]).arg(package).arg(path)))
}

pub fn of_node(path: &Path) -> Real {
    let script = "console.log(JSON.stringify(process.env))";
    of_json(&run(Command::new(program("node")).arg(format!("--env-file={}", path.display())).args(["-e", script])))
}

pub fn of_python(path: &Path) -> Real {
    let script = "import dotenv, json, sys; print(json.dumps(dict(dotenv.dotenv_values(sys.argv[1]))))";
    of_json(&run(Command::new(program("python")).args(["-c", script]).arg(path)))
}

pub fn of_bash(path: &Path) -> Real {
    let script = "set -a; . \"$1\"; exec /usr/bin/env -0";
    let all = run(Command::new(program("bash")).args(["--norc", "--noprofile", "-c", script, "bash"]).arg(path));
    let lines = all.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    let pairs = lines.map(|line| {
        let at = line.iter().position(|byte| *byte == b'=').unwrap();
        (String::from_utf8(line[..at].to_vec()).unwrap(), line[at + 1..].to_vec())
    });
    // What bash sets by itself.
    pairs.filter(|(name, _)| !["_", "PWD", "OLDPWD", "SHLVL"].contains(&name.as_str())).collect()
}

/// Holds our reading against the real one: every pair without a caveat is the same, and where there are no faults there is
/// no other pair. Gives how many pairs were compared.
fn hold(dialect: Dialect, name: &str, bytes: &[u8], real: &Real) -> usize {
    let ours = read(bytes, dialect);
    let mut compared = 0;
    for pair in ours.effective() {
        let theirs = match real.get(&pair.name) {
            // Node takes a line without = for the beginning of the next name: the line is a fault, and the next one is read.
            None if dialect == Dialect::Node && !ours.faults.is_empty() => continue,
            theirs => theirs.unwrap_or_else(|| panic!("{dialect} does not read {} of {name}", pair.name)),
        };
        if pair.caveat.is_none() {
            assert_eq!(theirs[..], pair.value[..], "{dialect}: {} of {name}", pair.name);
            compared += 1;
        }
    }
    if ours.faults.is_empty() {
        assert_eq!(real.len(), ours.effective().len(), "{dialect} reads other names of {name}: {:?}", real.keys());
    }
    compared
}

#[test]
fn our_reading_is_that_of_npm_node_python_and_bash() {
    let mut compared = BTreeMap::new();
    for (name, path) in fixtures() {
        let bytes = std::fs::read(&path).unwrap();
        let readers: [(Dialect, fn(&Path) -> Real); 4] = [
            (Dialect::Dotenv, of_npm),
            (Dialect::Node, of_node),
            (Dialect::Python, of_python),
            (Dialect::Shell, of_bash),
        ];
        for (dialect, ask) in readers {
            let reading = read(&bytes, dialect);
            // Where there is a fault, python-dotenv fails as a whole at bytes that are no text, and bash runs what stands there.
            let cannot = matches!(dialect, Dialect::Python | Dialect::Shell) && !reading.faults.is_empty();
            if !cannot {
                *compared.entry(dialect).or_insert(0) += hold(dialect, &name, &bytes, &ask(&path));
            }
        }
    }
    assert!(compared.values().all(|count| *count > 30), "{compared:?}");
}

#[test]
fn what_is_read_is_never_expanded_run_or_lost() {
    let bytes = b"A=$(touch /tmp/x)\nB=`id`\nC=$HOME\nD=plain\nE='$HOME'\n";
    let shell = read(bytes, Dialect::Shell);
    let names: Vec<&str> = shell.pairs.iter().map(|pair| pair.name.as_str()).collect();
    assert_eq!(names, ["C", "D", "E"], "a command is a fault, and the lines behind it are read");
    assert_eq!(shell.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        (&shell.get("C").unwrap().value[..], shell.get("C").unwrap().caveat),
        (&b"$HOME"[..], Some(Caveat::Expanded))
    );
    assert_eq!(shell.get("E").unwrap().caveat, None);
    for dialect in Dialect::ALL {
        let reading = read(b"A=\0\nGOOD=x\n", dialect);
        assert_eq!(&reading.get("GOOD").unwrap().value[..], b"x", "{dialect}");
        assert!(reading.get("A").is_none() && reading.faults[0].line == 1, "{dialect}");
        assert_eq!(dialect.as_str().parse::<Dialect>().unwrap(), dialect);
    }
}

/// Twice as much of anything may take twice the time, and not four times.
#[test]
fn hostile_files_are_read_in_time_that_grows_with_their_size() {
    let pieces = [
        "A='\n",
        "A=\"\n",
        "A=\"\\\"\n",
        "${",
        "A=${",
        "A=1 ",
        "'\"`",
        "A=\\\n",
        "\\",
        "A:\n",
        "export ",
        "=",
        "A=\"x\" y\n",
        "#",
        "A=`\n",
        "\"",
        "A\n",
        "\\\"",
    ];
    for piece in pieces {
        for dialect in Dialect::ALL {
            for start in ["", "A=\"", "A='"] {
                let took = |bytes: usize| {
                    let text = format!("{start}{}", piece.repeat(bytes / piece.len()));
                    let begun = std::time::Instant::now();
                    drop(read(text.as_bytes(), dialect));
                    begun.elapsed()
                };
                // A busy machine may be slow once, and not five times.
                let is_linear =
                    (0..5).any(|_| took(64 << 10) < took(8 << 10) * 24 + std::time::Duration::from_millis(20));
                assert!(is_linear, "{dialect} at {start:?} and {piece:?}");
            }
        }
    }
}

mod never_panics {
    use super::*;

    proptest::proptest! {
        #[test]
        fn on_any_bytes(pieces in proptest::collection::vec(0_usize..24, 0..40)) {
            let signs: [&[u8]; 24] = [
                b"A", b"=", b"\n", b"\"", b"'", b"`", b"\\", b"$", b"{", b"}", b" ", b"#", b":", b"export ", b"\r", b"\t",
                b"\xff", b"\0", b"-", b"~", b";", b"&", b"x", b"\xef\xbb\xbf",
            ];
            let bytes: Vec<u8> = pieces.iter().flat_map(|at| signs[*at].to_vec()).collect();
            for dialect in Dialect::ALL {
                let reading = read(&bytes, dialect);
                let lines = bytes.iter().filter(|byte| **byte == b'\n' || **byte == b'\r').count() + 1;
                for line in reading.pairs.iter().map(|pair| pair.line).chain(reading.faults.iter().map(|fault| fault.line)) {
                    assert!((1..=lines).contains(&line), "{dialect}: line {line} of {lines}");
                }
                for pair in &reading.pairs {
                    assert!(dialect.is_name(&pair.name));
                }
            }
        }
    }
}
