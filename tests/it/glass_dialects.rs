//! 22 values as nobody would choose them, written for each dialect, read back by the readers themselves where they run here; the others
//! by our own reader of them.

use std::{collections::BTreeMap, io::Write as _, path::PathBuf, process::Command};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lifeboat::dialect::{Dialect, read, write};

const NASTY: [&str; 22] = [
    "",
    "plain-Value_1./:@%+,=",
    " leading and trailing ",
    "a#b #c",
    "it's",
    "say \"x\"",
    "both ' and \"",
    "all ' \" ` three",
    "back\\slash\\",
    "C:\\new\\table",
    "${HOME} $HOME $$ $(id) `id`",
    "p$w!&;*<>|()[]{}~?",
    "line one\nline two\n",
    "-----BEGIN KEY-----\nMIIE+/=\n-----END KEY-----\n",
    "\ttab\tinside\t",
    "{\"user\":\"a b\",\"pass\":\"x'y\\\"z\"}",
    "\r\nwindows\r\nends\r\n",
    "literal \\n and \\r and \\t",
    "\u{e9}\u{11f}\u{540d}\u{1f511}",
    "export X=1",
    "'quoted'",
    "\u{1b}[31mred\u{7f}",
];

/// Whether a reader runs here, and how: it prints NAME and the value in base64, one pair a line.
fn reader(dialect: Dialect) -> Option<Command> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command;
    match dialect {
        Dialect::Dotenv => {
            let modules = root.join("target/node/node_modules");
            assert!(modules.join("dotenv").is_dir(), "dotenv is missing: run scripts/setup");
            command = Command::new("node");
            command.env("NODE_PATH", modules).arg("-e").arg(
                "const p=require('dotenv').parse(require('fs').readFileSync(process.argv[1]));\
                 for(const k in p)console.log(k+' '+Buffer.from(p[k]).toString('base64'))",
            );
        }
        Dialect::Node => {
            let version = Command::new("node").arg("--version").output().ok()?.stdout;
            let major =
                String::from_utf8_lossy(&version).trim_start_matches('v').split('.').next()?.parse::<u32>().ok()?;
            if major < 20 {
                return None;
            }
            command = Command::new("sh");
            command.arg("-c").arg(
                "exec node --env-file=\"$0\" -e \"for(const k in process.env)if(/^V\\d+$/.test(k))\
                 console.log(k+' '+Buffer.from(process.env[k]).toString('base64'))\"",
            );
        }
        Dialect::Python => {
            let python = crate::servers::program("python");
            command = Command::new(python);
            command.arg("-c").arg(
                "import sys,base64,dotenv\n\
                 for k,v in dotenv.dotenv_values(sys.argv[1]).items(): print(k,base64.b64encode(v.encode()).decode())",
            );
        }
        Dialect::Shell | Dialect::Direnv => {
            command = Command::new("bash");
            command.arg("-c").arg(
                "set -a; . \"$0\"; for k in ${!V*}; do printf '%s %s\\n' $k \"$(printf %s \"${!k}\" | base64 -w0)\"; done",
            );
        }
        _ => return None,
    }
    Some(command)
}

#[test]
fn nasty_values_come_back_equal_from_the_readers_themselves_or_are_refused() {
    let names: Vec<String> = (0..NASTY.len()).map(|number| format!("V{number}")).collect();
    let mut refused: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let (mut by_themselves, mut read_back) = (Vec::new(), 0);
    for dialect in Dialect::ALL {
        let pairs = names.iter().map(String::as_str).zip(NASTY.map(str::as_bytes));
        let written = write(pairs, dialect);
        assert_eq!(written.count + written.refused.len() as u64, NASTY.len() as u64, "{dialect}");
        refused.insert(dialect.as_str(), written.refused.iter().map(|(name, _)| name[1..].parse().unwrap()).collect());
        let ours = read(&written.bytes, dialect);
        assert!(ours.faults.is_empty() && ours.pairs.len() as u64 == written.count, "{dialect}");
        for pair in &ours.pairs {
            let at: usize = pair.name[1..].parse().unwrap();
            assert!(**pair.value == *NASTY[at].as_bytes(), "{dialect} {at}");
        }
        let Some(mut command) = reader(dialect) else { continue };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&written.bytes).unwrap();
        let ran = command.arg(file.path()).env("HOME", "/expanded").output().unwrap();
        assert!(ran.status.success(), "{dialect}: {}", String::from_utf8_lossy(&ran.stderr));
        let text = String::from_utf8(ran.stdout).unwrap();
        let found: BTreeMap<&str, Vec<u8>> = text
            .lines()
            .filter_map(|line| line.trim_end().split_once(' ').or(Some((line.trim_end(), ""))))
            .filter(|(name, _)| name.starts_with('V'))
            .map(|(name, value)| (name, BASE64_STANDARD.decode(value).unwrap()))
            .collect();
        assert_eq!(found.len() as u64, written.count, "{dialect}: names");
        for (name, value) in &found {
            let at: usize = name[1..].parse().unwrap();
            assert!(
                *value == NASTY[at].as_bytes(),
                "{dialect} itself reads value {at} otherwise: {:?}",
                String::from_utf8_lossy(value)
            );
            read_back += 1;
        }
        by_themselves.push(dialect.as_str());
    }
    println!("read back by the readers themselves: {by_themselves:?}, {read_back} values; refused: {refused:?}");
    assert!(by_themselves.contains(&"shell"), "bash runs wherever the tests run");
    assert!(refused["shell"].is_empty() && refused["direnv"].is_empty(), "the shell holds everything");
}
