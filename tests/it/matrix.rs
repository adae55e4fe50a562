//! The matrix: every move of an attacker against every command that reads.
//!
//! What each cell must be follows from what the move touches and what the command looks at; what it is becomes the table in
//! docs/threat-model.md (`LIFEBOAT_WRITE_DOCS=1` writes it).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value as Json;

use crate::{
    command::Ran,
    matrix_moves::{By, Kind, Move, Part, all},
    matrix_world::{Base, FORGED, Facts, Tree, World, new_account},
};

/// A command of the matrix: a column.
struct Column {
    name: &'static str,
    /// What it looks at.
    looks: &'static [Part],
    /// The account of its target, where it writes into one.
    target: Option<&'static str>,
    run: fn(&Tree, &Facts) -> Ran,
}

const HISTORY: &[Part] = &[Part::History, Part::Epochs];
const CONTENT: &[Part] = &[Part::History, Part::Epochs, Part::Index];
const PLAN: &[Part] = &[Part::History, Part::Epochs, Part::Index, Part::Halt];
const VALUES: &[Part] = &[Part::History, Part::Epochs, Part::Index, Part::Packs, Part::Halt];
const WRITES: &[Part] = &[Part::History, Part::Epochs, Part::Index, Part::Packs, Part::Halt, Part::Beside];
const EVERYTHING: &[Part] =
    &[Part::History, Part::Epochs, Part::Index, Part::Packs, Part::Drills, Part::Sheets, Part::Halt, Part::Beside];
const REGION: &str = "eu-west-1";

fn restore(t: &Tree, facts: &Facts, more: &str) -> Ran {
    let account = &t.account;
    t.run(&format!("restore --to aws:{REGION} --account {account} --yes --json {} {more}", facts.sheets))
}

fn columns() -> Vec<Column> {
    let column = |name, looks, run| Column { name, looks, target: None, run };
    let writing = |name, looks, run| Column { name, looks, target: Some(REGION), run };
    vec![
        column("list", &[Part::History, Part::Epochs, Part::Halt], |t, _| t.run("list")),
        column("show", CONTENT, |t, _| t.run("show")),
        column("diff", CONTENT, |t, _| t.run("diff")),
        column("check", EVERYTHING, |t, _| t.run("check --json")),
        column("status", &[Part::History, Part::Epochs, Part::Drills, Part::Sheets, Part::Halt], |t, _| {
            t.run("status --json")
        }),
        column("snapshot", WRITES, |t, _| t.run("snapshot --json")),
        column("watch", WRITES, |t, facts| t.watch(&facts.changed, "app/database")),
        column("copy", &[Part::History, Part::Epochs, Part::Halt, Part::Beside], |t, _| t.run("copy")),
        writing("restore", VALUES, |t, facts| restore(t, facts, "")),
        writing("plan", PLAN, |t, facts| restore(t, facts, "--plan")),
        writing("clean", VALUES, |t, facts| {
            let (repository, head) = (t.path("repository"), facts.head);
            restore(t, facts, &format!("--config none.toml --repo {} --expect-number {head}", repository.display()))
        }),
        writing("id", &[Part::Named, Part::Halt], |t, facts| {
            restore(t, facts, &format!("--snapshot {}", facts.earlier))
        }),
        writing("at", &[Part::History, Part::Epochs, Part::Halt], |t, facts| {
            restore(t, facts, &format!("--at {}", facts.at))
        }),
        column("drill", VALUES, |t, facts| t.run(&format!("drill run --target sandbox --yes {}", facts.sheets))),
        column("forget-plan", HISTORY, |t, _| t.run("forget --plan")),
        column("forget", &[Part::History, Part::Epochs, Part::Halt], |t, _| t.run("forget --yes")),
        column("sheet", &[Part::Epochs], |t, facts| {
            t.run(&format!("custody verify {}", facts.sheets.split(' ').nth(1).unwrap()))
        }),
        column("py-verify", EVERYTHING, |t, facts| {
            t.recover(&format!("verify repository --root '{}' --expect-number {}", facts.root, facts.head))
        }),
        column("py-extract", VALUES, |t, facts| {
            let sheets = facts.sheets.replace("--share ", "");
            t.recover(&format!("extract repository --json --expect-number {} --share {sheets}", facts.head))
        }),
    ]
}

/// What came of a command after a move.
struct Cell {
    code: i32,
    /// What it says that it does not say without the move.
    says: String,
}

/// What came of a move.
struct Row {
    cells: BTreeMap<&'static str, Cell>,
    /// How the values are had back where the newest snapshot is refused.
    way_back: &'static str,
    broken: Vec<String>,
}

/// Cells that break a rule of this test today, by move and column, and why: each is a fault to be mended.
const REMOVED: &str = "nobody remembers the newest epoch: without a snapshot of it, its removal cannot be seen by who looks at sheets alone";
const DRILL_DATE: &str = "only status and drill list compare the date of a drill record with today";
const OPEN: &[(&str, &str, &str)] = &[
    ("removes the newest epoch, which removed a signer", "sheet", REMOVED),
    ("a signer signs a drill of next year", "check", DRILL_DATE),
    ("a signer signs a drill of next year", "py-verify", DRILL_DATE),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_move_against_every_command() {
    let world = World::build().await;
    let only = wanted_moves();
    let moves: Vec<Move> =
        all().into_iter().filter(|each| only.as_ref().is_none_or(|only| each.what.contains(only))).collect();
    assert!(only.is_some() || moves.len() >= 30);
    let rows = tokio::task::block_in_place(|| judge_all(&world, &moves));
    let broken: BTreeSet<&String> = rows.iter().flat_map(|row| &row.broken).collect();
    if only.is_some() {
        for (each, row) in moves.iter().zip(&rows) {
            println!("{}: way back: {}", each.what, row.way_back);
            row.cells.iter().for_each(|(name, cell)| println!("  {name:12} {} {}", cell.code, cell.says));
        }
    }
    let listed = if only.is_some() { broken.iter().map(|line| (*line).clone()).collect() } else { listed(&broken) };
    let table = table(&moves, &rows);
    let written = only.is_some() || is_documented("matrix", &table);
    assert!(listed.is_empty(), "{} cells break a rule:\n{}", listed.len(), listed.join("\n"));
    assert!(written, "docs/threat-model.md has another table: LIFEBOAT_WRITE_DOCS=1 writes this one");
}

/// For work on one move: `LIFEBOAT_MOVE=word`.
#[expect(clippy::disallowed_methods, reason = "a switch for whoever works on a move")]
pub fn wanted_moves() -> Option<String> {
    std::env::var("LIFEBOAT_MOVE").ok()
}

/// What is broken and not known to be, and what is known and not broken any more.
fn listed(broken: &BTreeSet<&String>) -> Vec<String> {
    let is = |line: &str, what: &str, column: &str| {
        line.starts_with(&format!("{what} | ")) && (column == "*" || line.starts_with(&format!("{what} | {column}:")))
    };
    let known = |line: &&&String| OPEN.iter().any(|(what, column, _)| is(line, what, column));
    let mut found: Vec<String> = broken.iter().filter(|line| !known(line)).map(|line| (*line).clone()).collect();
    let is_mended = |what: &str, column: &str| !broken.iter().any(|line| is(line, what, column));
    for (what, column, _) in OPEN.iter().filter(|(what, column, _)| is_mended(what, column)) {
        found.push(format!("{what} | {column}: breaks no rule any more: take it out of OPEN"));
    }
    found
}

fn judge_all(world: &World, moves: &[Move]) -> Vec<Row> {
    let columns = columns();
    let honest: BTreeMap<u8, (Facts, BTreeMap<&str, Ran>)> = [Base::Main, Base::Rotated]
        .into_iter()
        .map(|base| (base as u8, (Facts::of(world, base), honest(world, base, &columns))))
        .collect();
    let next = AtomicUsize::new(0);
    let rows: Mutex<BTreeMap<usize, Row>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(each) = moves.get(at) else { return };
                    let (facts, honest) = &honest[&(each.base as u8)];
                    let row = Scene { world, facts, honest }.judge(each, &columns);
                    rows.lock().unwrap().insert(at, row);
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap();
    assert_eq!(rows.len(), moves.len());
    rows.into_values().collect()
}

/// Every command in the honest world: all of them end with 0.
fn honest<'a>(world: &World, base: Base, columns: &'a [Column]) -> BTreeMap<&'a str, Ran> {
    let facts = Facts::of(world, base);
    let mut runs = BTreeMap::new();
    for column in columns {
        let ran = in_a_clone(world, &world.clone_of(base), column, &facts).1;
        assert_eq!(ran.code, Some(0), "{} {base:?}\nstdout: {}\nstderr: {}", column.name, ran.out, ran.err);
        runs.insert(column.name, ran);
    }
    runs
}

fn in_a_clone(world: &World, tree: &Tree, column: &Column, facts: &Facts) -> (Tree, Ran) {
    let mut clone = world.again(tree);
    if column.target.is_some() {
        clone.account = new_account();
    }
    let ran = (column.run)(&clone, facts);
    (clone, ran)
}

/// Where moves of one base are judged.
struct Scene<'a> {
    world: &'a World,
    facts: &'a Facts,
    honest: &'a BTreeMap<&'a str, Ran>,
}

impl Scene<'_> {
    fn judge(&self, each: &Move, columns: &[Column]) -> Row {
        let attacked = self.world.clone_of(each.base);
        let before: BTreeSet<_> = attacked.repository_files().into_iter().map(|(name, _)| name).collect();
        (each.apply)(self.world, &attacked);
        let added: Vec<_> = attacked
            .repository_files()
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| !before.contains(name))
            .collect();
        let old;
        let facts = if each.old_trust {
            let main = Facts::of(self.world, Base::Main);
            old = Facts { head: self.facts.head, ..main };
            &old
        } else {
            self.facts
        };
        let mut row = Row { cells: BTreeMap::new(), way_back: "", broken: Vec::new() };
        for column in columns {
            let (tree, ran) = if each.in_flight && column.name == "snapshot" {
                let clone = self.world.clone_of(each.base);
                let ran = self.world.snapshot_over_the_switch(&clone);
                (clone, ran)
            } else {
                in_a_clone(self.world, &attacked, column, facts)
            };
            let code = ran.code.unwrap_or(-1);
            let mut broken = Vec::new();
            self.rule(each, column, &ran, &mut broken);
            self.consequences(each, column, (&attacked, &tree, &ran), &added, &mut broken);
            if column.name == "restore" && code != 0 {
                row.way_back = way_back(self.world, &attacked, facts, &ran);
                if row.way_back.is_empty() {
                    broken.push("recovery is denied: neither the flags it prints, nor an id, nor the copy".into());
                }
            }
            let says = if code == 0 { String::new() } else { self.says(column, &ran, &tree) };
            let line = |why: String| format!("{} | {}: {why} (exit {code}: {says})", each.what, column.name);
            row.broken.extend(broken.into_iter().map(line));
            row.cells.insert(column.name, Cell { code, says });
        }
        row
    }

    /// The exit code.
    fn rule(&self, each: &Move, column: &Column, ran: &Ran, broken: &mut Vec<String>) {
        let code = ran.code.unwrap_or(-1);
        if ran.err.contains("bug in itself") || ran.err.contains("Traceback") || ran.err.contains("this script failed")
        {
            broken.push("it is a bug".into());
        }
        // A capture by an event is a small snapshot.
        let names = [column.name, if column.name == "watch" { "snapshot" } else { column.name }];
        let but = names.iter().find_map(|name| each.but.iter().find(|(column, _)| column == name));
        if let Some((_, expected)) = but {
            if code != *expected {
                broken.push(format!("expected {expected}"));
            }
            return;
        }
        let sees = column.looks.iter().any(|part| each.parts.contains(part));
        let is_bad = matches!(each.kind, Kind::Bad | Kind::Uncertain);
        if is_bad && sees {
            // 1 and 2 are about the environment and the command line, 5 and 7 about people.
            if !(matches!(code, 3 | 4 | 6) || each.old_trust && code == 5) {
                broken.push("it looks there and does not tell".into());
            }
            let adds = matches!(column.name, "snapshot" | "watch");
            if each.kind == Kind::Uncertain && adds && code != 4 {
                broken.push("a head that is not certain is not added to: expected 4".into());
            }
            if each.kind == Kind::Bad && adds && each.parts == [Part::History] && code != 3 {
                broken.push(
                    "the head is certain: a snapshot is taken, and what is wrong beside it is named: expected 3".into(),
                );
            }
        } else if code != 0 {
            broken.push("nothing that it looks at was touched: expected 0".into());
        }
    }

    /// What a command did.
    fn consequences(
        &self,
        each: &Move,
        column: &Column,
        (attacked, tree, ran): (&Tree, &Tree, &Ran),
        added: &[std::path::PathBuf],
        broken: &mut Vec<String>,
    ) {
        let code = ran.code.unwrap_or(-1);
        let by_right = each.kind == Kind::Lawful && !matches!(column.name, "id" | "at");
        if let Some(region) = column.target {
            let values = tree.values(&tree.account, region);
            if !by_right && values.iter().any(|value| value.starts_with(FORGED)) {
                broken.push("it restored the attacker's values".into());
            }
            if column.name == "plan" && !values.is_empty() {
                broken.push("a plan wrote".into());
            }
            // A pack that is found to be damaged ends a restore that began.
            if column.name != "plan" && code != 6 && values.is_empty() != (code != 0 && code != 3) {
                broken.push(format!("it ended with {code} and restored {} values", values.len()));
            }
            if column.name == "at" && code == 0 && each.base == Base::Main {
                let wanted = format!("day {}", self.facts.number_at);
                if !values.contains(&wanted) {
                    broken.push(format!("it restored {values:?}, not {wanted}"));
                }
            }
        }
        if column.name.starts_with("py") && !by_right && ran.out.contains(FORGED) {
            broken.push("it extracted the attacker's values".into());
        }
        let (had, has) = (attacked.numbers().len(), tree.numbers().len());
        match column.name {
            "snapshot" if each.base == Base::Main && has != had + usize::from(matches!(code, 0 | 3)) => {
                broken.push(format!("it ended with {code}, and of {had} manifests there are {has}"));
            }
            // It waits for the next pass where there is nothing to add to.
            "watch" if has != had + usize::from(ran.out.contains("\"captures\":1")) || (code == 0 && has == had) => {
                broken.push(format!("it ended with {code}, and of {had} manifests there are {has}"));
            }
            "forget" if has != had => broken.push(format!("of {had} manifests {has} are left")),
            "copy" | "snapshot" | "watch" | "drill" if matches!(each.by, By::Storage | By::Junk | By::Removed) => {
                let there = |name: &&std::path::PathBuf| tree.path("west").join(name).exists();
                if let Some(name) = added.iter().find(there) {
                    broken.push(format!("it copied {} onwards", name.display()));
                }
            }
            _ => {}
        }
    }

    /// The sentences that are not there without the move.
    fn says(&self, column: &Column, ran: &Ran, tree: &Tree) -> String {
        let honest: BTreeSet<String> =
            sentences(&self.honest[column.name]).into_iter().map(|line| plain(&line, tree)).collect();
        let mut found: Vec<String> = sentences(ran).into_iter().map(|line| plain(&line, tree)).collect();
        found.retain(|line| !honest.contains(line));
        // The first fault says enough.
        let first = found.into_iter().next().unwrap_or_default().replace(&self.facts.earlier, "<id>");
        fault_of(first.split("; ").next().unwrap_or_default())
    }
}

/// The fault in a sentence as `FILE: KIND: detail`, without what the command says of itself; or the sentence.
fn fault_of(sentence: &str) -> String {
    const KINDS: [&str; 13] = [
        "missing",
        "damaged",
        "dangling",
        "unsigned",
        "untrusted",
        "renamed",
        "gap",
        "fork",
        "rolled_back",
        "late",
        "halted",
        "superseded",
        "junk",
    ];
    let at = |kind: &&'static str| {
        let found = [format!(": {kind}: "), format!(":{kind}: ")];
        found.iter().filter_map(|part| sentence.find(part).map(|at| (at, *kind, at + part.len()))).min()
    };
    match KINDS.iter().filter_map(at).min() {
        Some((at, kind, rest)) => {
            let file = sentence[..at].rsplit(' ').next().unwrap_or_default();
            format!("{file}: {kind}: {}", &sentence[rest..])
        }
        None => sentence.to_owned(),
    }
}

/// How the values come back after the newest snapshot was refused.
fn way_back(world: &World, attacked: &Tree, facts: &Facts, refused: &Ran) -> &'static str {
    let mut flags: BTreeSet<String> = BTreeSet::new();
    let mut last = refused.err.clone();
    let run = |more: &str| {
        let mut clone = world.again(attacked);
        clone.account = new_account();
        restore(&clone, facts, more)
    };
    for _ in 0..4 {
        let found: BTreeSet<String> = accept_flags(&last).into_iter().filter(|flag| !flags.contains(flag)).collect();
        if found.is_empty() {
            break;
        }
        flags.extend(found);
        let words: Vec<String> = flags.iter().map(|flag| format!("--accept-fault '{flag}'")).collect();
        let ran = run(&words.join(" "));
        if ran.code == Some(0) {
            return "its flags";
        }
        last = ran.err;
    }
    if run(&format!("--snapshot {}", facts.earlier)).code == Some(0) {
        return "an id";
    }
    if run("--repo west").code == Some(0) {
        return "the copy";
    }
    ""
}

/// The faults that a message says how to accept.
fn accept_flags(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("--accept-fault ").skip(1) {
        let flag = match part.strip_prefix('\'') {
            Some(quoted) => quoted.split('\'').next(),
            None => part.split([' ', ';', '\n']).next(),
        };
        found.extend(flag.filter(|flag| flag.contains(':')).map(str::to_owned));
    }
    found
}

// ---- sentences ----

/// What a run says is wrong.
fn sentences(ran: &Ran) -> Vec<String> {
    let mut found = Vec::new();
    if let Ok(Json::Object(report)) = serde_json::from_str(ran.out.trim()) {
        let list = |key: &str| report.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
        let text = |value: &Json, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        for fault in list("faults") {
            found.push(format!("{}: {}: {}", text(&fault, "file"), text(&fault, "kind"), text(&fault, "detail")));
        }
        for finding in list("findings") {
            found.push(format!("{}: {}", text(&finding, "subject"), text(&finding, "text")));
        }
    }
    if !found.is_empty() {
        return found;
    }
    let starts = ["error: ", "warning: ", "FAULT ", "recover.py: "];
    for line in ran.err.lines().chain(ran.out.lines()) {
        if let Some(start) = starts.iter().find(|start| line.starts_with(**start)) {
            found.push(line[start.len()..].to_owned());
        }
    }
    // The error says all; warnings before it are about the same.
    if let Some(error) = ran.err.lines().find_map(|line| line.strip_prefix("error: ")) {
        return vec![error.to_owned()];
    }
    if found.is_empty() {
        found.extend(ran.err.lines().last().map(str::to_owned));
    }
    found
}

/// The same on every day and for every key: times, ids, digests, keys and folders replaced.
fn plain(text: &str, tree: &Tree) -> String {
    let text = text.replace(tree.root().to_str().unwrap(), "…");
    let mut out = String::new();
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        if letter.is_ascii_alphanumeric() || (letter == '+' && !word.is_empty()) {
            word.push(letter);
            continue;
        }
        out.push_str(&placeholder(&word));
        word.clear();
        out.push(letter);
    }
    let text = out.trim_end().replace("<time>-<id>", "<stem>");
    // Packs are in folders named by two digits of their digest.
    let folders = text.split("packs/").enumerate().map(|(at, part)| match part.split_once('/') {
        Some((folder, rest)) if at > 0 && folder.len() == 2 => format!("<hh>/{rest}"),
        _ => part.to_owned(),
    });
    let text = folders.collect::<Vec<_>>().join("packs/");
    let is_date = |word: &str| {
        let fits = |(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { u8::is_ascii_digit(&byte) };
        word.len() == 10 && word.bytes().enumerate().all(fits)
    };
    squeeze(&text.split(' ').map(|word| if is_date(word) { "<date>" } else { word }).collect::<Vec<_>>().join(" "))
}

/// What stands for a word that is another one every time.
fn placeholder(word: &str) -> String {
    let is_hex = word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = word.as_bytes();
    match word.len() {
        64 if is_hex => "<digest>".into(),
        32 | 8 if is_hex => "<id>".into(),
        12 if is_number => "<account>".into(),
        16 if bytes[8] == b'T' && bytes[15] == b'Z' => "<time>".into(),
        _ => word.to_owned(),
    }
}

/// RFC 3339 times and key fingerprints, which have signs of their own between their letters.
fn squeeze(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let words: Vec<&str> = text.split(' ').collect();
    for (at, word) in words.iter().enumerate() {
        let is_span = words.get(at + 1).is_some_and(|unit| ["s", "min", "h", "days"].contains(unit));
        if is_span && word.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push("<n>".into());
            continue;
        }
        let bare = word.trim_matches(|c: char| "()[]`',;:.".contains(c));
        let is_time = bare.parse::<jiff::Timestamp>().is_ok();
        let shown = match bare {
            _ if is_time => word.replace(bare, "<time>"),
            _ if bare.starts_with("SHA256:") => word.replace(bare, "<key>"),
            _ if bare.len() > 60 && bare.starts_with("AAAA") => word.replace(bare, "<key>"),
            _ => (*word).to_owned(),
        };
        out.push(shown);
    }
    out.join(" ")
}

// ---- the document ----

fn heading(by: By) -> &'static str {
    match by {
        By::Storage => "Who can write, replace and remove files, without a key",
        By::Junk => "Who can only create files",
        By::Removed => "A host that was removed, with its genuine key",
        By::Current => "A host that may sign, in wrong hands",
        By::OldTrust => "A host that does not know the new key",
        By::Time => "Who lies about time",
    }
}

fn table(moves: &[Move], rows: &[Row]) -> String {
    let columns = columns();
    let mut notes: Vec<&str> = Vec::new();
    let mut text = String::new();
    let mut by = None;
    for (each, row) in moves.iter().zip(rows) {
        if by != Some(each.by) {
            by = Some(each.by);
            let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
            text.push_str(&format!("\n**{}**\n\n| move | {} | way back |\n", heading(each.by), names.join(" | ")));
            text.push_str(&format!("|---|{}\n", "---|".repeat(names.len() + 1)));
        }
        let cells: Vec<String> =
            columns.iter().map(|column| cell(each, column, &row.cells[column.name], &mut notes)).collect();
        text.push_str(&format!("| {} | {} | {} |\n", each.what, cells.join(" | "), row.way_back));
    }
    text.push_str("\nWhat they say:\n\n");
    let line = |(number, note): (usize, &&str)| format!("{}. {}\n", number + 1, note.replace('<', "\\<"));
    text.extend(notes.iter().enumerate().map(line));
    text
}

/// The code, and the number of what is said; a dash where the command does not look.
fn cell<'a>(each: &Move, column: &Column, cell: &'a Cell, notes: &mut Vec<&'a str>) -> String {
    let sees = column.looks.iter().any(|part| each.parts.contains(part));
    if OPEN.iter().any(|(what, name, _)| *what == each.what && *name == "*") {
        // What comes of it is another thing on another machine.
        return "✗".into();
    }
    let open = if OPEN.iter().any(|(what, name, _)| *what == each.what && *name == column.name) { " ✗" } else { "" };
    if cell.code == 0 {
        let is_blind = each.but.contains(&(column.name, 0));
        return if (sees && !is_blind) || each.parts.is_empty() { format!("0{open}") } else { "–".into() };
    }
    if cell.says.is_empty() {
        return format!("{}{open}", cell.code);
    }
    let number = notes.iter().position(|note| *note == cell.says).unwrap_or_else(|| {
        notes.push(&cell.says);
        notes.len() - 1
    });
    format!("{} ({}){open}", cell.code, number + 1)
}

/// Whether the document has this table; writes it first when it is asked to.
/// Whether docs/threat-model.md has this table between the marks of its name; writes it there when asked to.
pub fn is_documented(name: &str, table: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threat-model.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name}: written by tests/it/{name}.rs -->"), format!("<!-- {name}: end -->"));
    let (head, rest) = document.split_once(&begin).expect("the document has the marks");
    let (_, tail) = rest.split_once(&end).expect("the document has the marks");
    let wanted = format!("{head}{begin}\n{table}\n{end}{tail}");
    if document != wanted && is_asked_to_write() {
        std::fs::write(&path, &wanted).unwrap();
        return true;
    }
    document == wanted
}

#[expect(clippy::disallowed_methods, reason = "whoever changes the table says so")]
fn is_asked_to_write() -> bool {
    std::env::var_os("LIFEBOAT_WRITE_DOCS").is_some()
}
