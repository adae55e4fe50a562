//! The walls between the rooms of `src/`, and the house rules that no lint holds.
//!
//! A scanner, not a parser: comments and literals are blanked first, so that only code counts.

mod code;
mod kinds;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use code::{blank_literals, blank_tests, crate_paths, test_items, words};

/// The rooms and their levels, the table of `src/lib.rs`. An import goes down, or stays in its room.
const LEVELS: [(u8, &[&str]); 7] = [
    (6, &["main"]),
    (5, &["cli"]),
    (4, &["app"]),
    (
        3,
        &[
            "access",
            "audit",
            "snapshot",
            "restore",
            "drill",
            "custody",
            "compromise",
            "emulator",
            "glass",
            "hooks",
            "serve",
            "status",
        ],
    ),
    (2, &["repo", "share"]),
    (1, &["provider", "storage", "outward", "crypto", "config", "scan", "paper"]),
    (0, &["model", "clock", "cores", "dialect", "fsutil", "isolation", "pixels", "progress", "text"]),
];

/// The imports on one level: a drill is a restore or a serving, and may bring its own sandbox; whatever connects has one way out; an
/// address is understood by its kind; a command that is printed is quoted in one way.
const SAME_LEVEL: [(&str, &str); 7] = [
    ("drill", "restore"),
    ("drill", "emulator"),
    ("drill", "serve"),
    ("provider", "outward"),
    ("storage", "outward"),
    ("config", "provider"),
    ("fsutil", "text"),
];

/// What lies at the top, beside files that begin with a dot.
const TOP: [&str; 12] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "docs",
    "scripts",
    "src",
    "tests",
];

/// Names of files and folders that say nothing about what is inside.
const EMPTY_NAMES: [&str; 18] = [
    "traits", "types", "type", "errors", "util", "utils", "prelude", "service", "services", "common", "helper",
    "helpers", "manager", "managers", "backend", "backends", "misc", "shared",
];

/// Code that changes the file system; `fsutil` does it, crash-safe, for every other room.
const WRITES: [&str; 17] = [
    "fs::write",
    "fs::rename",
    "fs::copy",
    "fs::hard_link",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::set_permissions",
    "fs::OpenOptions",
    "fs::File",
    "File::create",
    "File::create_new",
    "File::options",
    "OpenOptions::new",
    "DirBuilder::new",
];

/// Code that talks to the person at the terminal or to the process around us.
const OUTSIDE: [&str; 15] = [
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "process::exit",
    "process::abort",
    "io::stdout",
    "io::stderr",
    "io::stdin",
    "std::env",
    "env::var",
    "env::var_os",
    "env::args",
    "env::home_dir",
];

/// What never lands, not even in a comment or a test.
const UNFINISHED: [&str; 7] = ["#[allow(", "#![allow(", "todo!", "unimplemented!", "TODO", "FIXME", "XXX"];

const LONGEST_FILE: usize = 600;

/// What a trial leaves beside the sources, such as a repository or sheets, is not committed with them.
#[test]
fn nothing_else_lies_at_the_top() {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let found: BTreeSet<&str> = listed.split('\0').filter_map(|file| file.split('/').next()).collect();
    let strange: Vec<&&str> =
        found.iter().filter(|name| !name.is_empty() && !name.starts_with('.') && !TOP.contains(name)).collect();
    assert!(found.contains("src") && strange.is_empty(), "{strange:?}");
}

#[test]
fn every_room_keeps_its_walls() {
    let files = read_sources();
    assert!(files.len() > 20, "only {} files found under src: the scan looks in the wrong place", files.len());
    let found: Vec<String> = violations(&files);
    assert!(found.is_empty(), "{} broken walls:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_level() {
    let root = read_sources().into_iter().find(|file| file.path == "src/lib.rs").expect("src/lib.rs exists");
    let rooms: Vec<&str> =
        root.code.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(rooms.len() >= 14, "only {rooms:?} found in src/lib.rs");
    for room in &rooms {
        assert!(level(room).is_some(), "{room} has no level");
    }
    let named = LEVELS.iter().flat_map(|(_, names)| *names).filter(|name| !["main", "pixels"].contains(name));
    for name in named {
        assert!(rooms.contains(name), "{name} has a level and is no room");
    }
}

/// A file of `src/`, as text and as code alone.
struct Source {
    path: String,
    text: String,
    /// The text with comments and literals blanked, of the same length.
    code: String,
    /// The code with everything under `#[cfg(test)]` blanked too.
    shipped: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code = blank_literals(text);
        let shipped = blank_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, shipped }
    }

    /// The module path below the crate: `src/repo/pack.rs` is `repo`, `pack`; `src/repo/mod.rs` is `repo`.
    fn modules(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix(".rs").unwrap_or(path);
        path.split('/').filter(|part| *part != "mod").collect()
    }

    fn room(&self) -> &str {
        self.modules()[0]
    }

    fn at(&self, position: usize, what: &str) -> String {
        let line = self.text.chars().take(position).filter(|c| *c == '\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }
}

fn read_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name =
                path.strip_prefix(root).expect("it was found under the root").to_string_lossy().replace('\\', "/");
            Source::new(&name, &fs::read_to_string(path).expect("the source is text"))
        })
        .collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the entry is readable").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn violations(files: &[Source]) -> Vec<String> {
    let tests = test_files(files);
    let mut found = Vec::new();
    for file in files {
        found.extend(imports(file));
        found.extend(house_rules(file));
        if !tests.contains(file.path.as_str()) {
            found.extend(reaches_outside(file));
        }
    }
    found
}

/// The files that exist only under test: `#[cfg(test)] mod name;` in their parent.
fn test_files(files: &[Source]) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for file in files {
        for (_, item) in test_items(&file.code) {
            let item = item.trim_end();
            let Some(name) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")).map(|(_, name)| name)
            else {
                continue;
            };
            let folder = format!("src/{}", file.modules().join("/"));
            tests.insert(format!("{folder}/{name}.rs"));
            tests.insert(format!("{folder}/{name}/mod.rs"));
        }
    }
    tests
}

// Imports.

fn level(room: &str) -> Option<u8> {
    LEVELS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(level, _)| *level)
}

fn may_import(from: &str, to: &str) -> bool {
    match (level(from), level(to)) {
        (Some(above), Some(below)) => above > below || from == to || SAME_LEVEL.contains(&(from, to)),
        _ => false,
    }
}

fn imports(file: &Source) -> Vec<String> {
    if file.path == "src/lib.rs" {
        return Vec::new();
    }
    let room = file.room();
    let Some(own) = level(room) else {
        return vec![format!("{}: the room {room} has no level in the table", file.path)];
    };
    let crate_name = if room == "main" { "lifeboat" } else { "crate" };
    crate_paths(&file.code, crate_name, file.modules().len())
        .into_iter()
        .filter(|(_, to)| !may_import(room, to))
        .map(|(position, to)| match level(&to) {
            Some(other) => file.at(position, &format!("{room} (level {own}) imports {to} (level {other})")),
            None => file.at(position, &format!("{room} imports {to}, which is no room")),
        })
        .collect()
}

// House rules.

fn house_rules(file: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for name in file.modules().iter().filter(|name| EMPTY_NAMES.contains(name)) {
        found.push(format!("{}: the name {name} says nothing about what is inside", file.path));
    }
    let lines = file.text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!("{}: {lines} lines, more than {LONGEST_FILE}", file.path));
    }
    let text: Vec<char> = file.text.chars().collect();
    for mark in UNFINISHED.into_iter().filter(|mark| file.text.contains(mark)) {
        found.extend(words(&text, mark).into_iter().map(|position| file.at(position, &format!("has {mark}"))));
    }
    found
}

fn reaches_outside(file: &Source) -> Vec<String> {
    let mut banned: Vec<&str> = Vec::new();
    if file.room() != "fsutil" {
        banned.extend(WRITES);
    }
    if !matches!(file.room(), "cli" | "main") {
        // Proxies and certificates are told by the environment, and to nobody else below the command line.
        let may_read = |name: &&&str| file.room() == "outward" && name.contains("env");
        banned.extend(OUTSIDE.iter().filter(|name| !may_read(name)));
    }
    let chars: Vec<char> = file.shipped.chars().collect();
    let mut found = Vec::new();
    for name in banned.into_iter().filter(|name| file.shipped.contains(name)) {
        found.extend(words(&chars, name).into_iter().map(|position| file.at(position, &format!("uses {name}"))));
    }
    found
}

/// The scanner itself: every wall must be seen broken once.
mod scanner {
    use super::*;

    fn caught(path: &str, text: &str) -> Vec<String> {
        violations(&[Source::new(path, text)])
    }

    #[track_caller]
    fn assert_caught(path: &str, text: &str, expected: &[&str]) {
        assert_eq!(caught(path, text), expected, "{text}");
    }

    #[track_caller]
    fn assert_clean(path: &str, text: &str) {
        assert_eq!(caught(path, text), Vec::<String>::new(), "{text}");
    }

    #[test]
    fn an_import_up_is_caught() {
        assert_caught(
            "src/repo/pack.rs",
            "//! Packs.\nuse crate::snapshot::Run;\n",
            &["src/repo/pack.rs:2: repo (level 2) imports snapshot (level 3)"],
        );
        assert_caught(
            "src/model/mod.rs",
            "use crate::crypto::Key;",
            &["src/model/mod.rs:1: model (level 0) imports crypto (level 1)"],
        );
        assert_caught("src/app.rs", "use crate::cli;", &["src/app.rs:1: app (level 4) imports cli (level 5)"]);
    }

    #[test]
    fn an_import_inside_a_group_is_caught() {
        let text = "use crate::{\n    clock::Clock,\n    model::{Place, Step},\n    restore::{self, Plan},\n};\n";
        assert_caught("src/share/mod.rs", text, &["src/share/mod.rs:1: share (level 2) imports restore (level 3)"]);
    }

    #[test]
    fn an_inline_path_is_caught() {
        let text = "fn f() {\n    let plan = crate::restore::plan();\n}\n";
        assert_caught(
            "src/crypto/seal.rs",
            text,
            &["src/crypto/seal.rs:2: crypto (level 1) imports restore (level 3)"],
        );
        let text = "macro_rules! m { () => { $crate::app::run() } }";
        assert_caught("src/repo/mod.rs", text, &["src/repo/mod.rs:1: repo (level 2) imports app (level 4)"]);
    }

    #[test]
    fn a_neighbour_is_caught_unless_it_is_a_drills() {
        for (from, to) in
            [("restore", "drill"), ("emulator", "restore"), ("snapshot", "custody"), ("drill", "snapshot")]
        {
            let text = format!("use crate::{to}::X;");
            let expected = format!("src/{from}/mod.rs:1: {from} (level 3) imports {to} (level 3)");
            assert_caught(&format!("src/{from}/mod.rs"), &text, &[&expected]);
        }
        assert_clean("src/drill/mod.rs", "use crate::{restore::Plan, emulator::Sandbox};");
    }

    #[test]
    fn a_climb_by_super_is_caught() {
        let expected = ["src/crypto/mod.rs:1: crypto (level 1) imports repo (level 2)"];
        assert_caught("src/crypto/mod.rs", "use super::repo::Pack;", &expected);
        let expected = ["src/crypto/seal.rs:1: crypto (level 1) imports repo (level 2)"];
        assert_caught("src/crypto/seal.rs", "use super::super::repo::Pack;", &expected);
        let expected = ["src/clock.rs:1: clock (level 0) imports storage (level 1)"];
        assert_caught("src/clock.rs", "mod tests { use super::super::storage::Storage; }", &expected);
        assert_clean(
            "src/crypto/seal.rs",
            "use super::sign::Signer; mod tests { use super::*; use super::super::sign; }",
        );
        assert_clean("src/clock.rs", "mod tests { use super::*; }");
    }

    #[test]
    fn tests_keep_the_walls_too() {
        let text = "#[cfg(test)]\nmod tests {\n    use crate::emulator::Sandbox;\n}\n";
        assert_caught(
            "src/provider/aws.rs",
            text,
            &["src/provider/aws.rs:3: provider (level 1) imports emulator (level 3)"],
        );
    }

    #[test]
    fn a_room_without_a_level_is_caught() {
        assert_caught("src/cellar/mod.rs", "", &["src/cellar/mod.rs: the room cellar has no level in the table"]);
        assert_caught(
            "src/repo/mod.rs",
            "use crate::cellar::Wine;",
            &["src/repo/mod.rs:1: repo imports cellar, which is no room"],
        );
        assert_caught("src/repo/mod.rs", "use crate::*;", &["src/repo/mod.rs:1: repo imports *, which is no room"]);
        assert_caught(
            "src/repo/mod.rs",
            "use crate::{self as all};",
            &["src/repo/mod.rs:1: repo imports self, which is no room"],
        );
    }

    #[test]
    fn downward_imports_are_clean() {
        assert_clean("src/main.rs", "fn main() { lifeboat::cli::run(); }");
        assert_clean("src/cli/demo.rs", "use crate::{app::App, drill, model::Place};");
        assert_clean("src/repo/pack.rs", "use crate::{crypto::seal, repo::index::Entry};");
        assert_clean("src/lib.rs", "pub mod app;\npub mod cli;\n");
    }

    #[test]
    fn comments_and_literals_are_no_imports() {
        let text = "//! See [`crate::cli`].\n/* crate::app /* nested */ crate::cli */\nconst A: &str = \"crate::cli \\\" crate::app\";\n\
                    const B: &str = r#\"crate::cli \" std::env\"#;\nconst C: [char; 3] = ['\"', '\\'', '{'];\nfn f<'a>(x: &'a str) {}\n";
        assert_clean("src/model/mod.rs", text);
        let text = format!("{text}use crate::cli;\n");
        assert_caught("src/model/mod.rs", &text, &["src/model/mod.rs:7: model (level 0) imports cli (level 5)"]);
    }

    #[test]
    fn a_write_outside_fsutil_is_caught() {
        assert_caught("src/cli/init.rs", "fn f() { std::fs::write(a, b); }", &["src/cli/init.rs:1: uses fs::write"]);
        assert_caught("src/repo/mod.rs", "use std::fs::File;", &["src/repo/mod.rs:1: uses fs::File"]);
        assert_caught(
            "src/storage/mod.rs",
            "tokio::fs::remove_file(p)",
            &["src/storage/mod.rs:1: uses fs::remove_file"],
        );
        assert_caught("src/storage/mod.rs", "File::create(p)", &["src/storage/mod.rs:1: uses File::create"]);
        assert_clean("src/fsutil.rs", "fn f() { std::fs::write(a, b); }");
        assert_clean("src/repo/mod.rs", "fn f() { fs::read(a); fsutil::write(a); }");
    }

    #[test]
    fn a_word_to_the_outside_is_caught() {
        for (text, name) in [
            ("println!(\"x\")", "println!"),
            ("eprint!(\"x\")", "eprint!"),
            ("std::process::exit(1)", "process::exit"),
            ("std::io::stdin()", "io::stdin"),
            ("std::env::temp_dir()", "std::env"),
        ] {
            assert_caught("src/restore/mod.rs", text, &[&format!("src/restore/mod.rs:1: uses {name}")]);
            assert_clean("src/cli/mod.rs", text);
        }
        assert_clean(
            "src/restore/mod.rs",
            "let id = std::process::id(); writeln!(f, \"\"); env!(\"CARGO_PKG_VERSION\");",
        );
    }

    #[test]
    fn tests_may_write_and_print_and_what_follows_them_may_not() {
        assert_clean(
            "src/repo/mod.rs",
            "#[cfg(all(test, unix))]\nmod tests { fn f() { println!(); fs::write(a, b); } }",
        );
        let text = "#[cfg(test)]\nuse std::fs;\n#[cfg(test)]\nfn f() { fs::write(a, b) }\nfn g() { println!() }\n";
        assert_caught("src/repo/mod.rs", text, &["src/repo/mod.rs:5: uses println!"]);
        let text = "#[cfg(not(test))]\nfn g() { println!() }\n";
        assert_caught("src/repo/mod.rs", text, &["src/repo/mod.rs:2: uses println!"]);
        let parent = Source::new("src/repo/mod.rs", "#[cfg(test)]\nmod broken;\n");
        let child = |name: &str| Source::new(&format!("src/repo/{name}.rs"), "fn f() { println!() }");
        assert!(violations(&[parent, child("broken")]).is_empty());
        assert_eq!(violations(&[child("other")]).len(), 1);
    }

    #[test]
    fn an_empty_name_is_caught() {
        for path in ["src/repo/types.rs", "src/cli/utils/mod.rs", "src/restore/helpers/x.rs", "src/share/errors.rs"] {
            assert_eq!(caught(path, "").len(), 1, "{path}");
        }
        assert_clean("src/fsutil.rs", "");
    }

    #[test]
    fn a_long_file_is_caught() {
        assert_clean("src/clock.rs", &"\n".repeat(600));
        assert_caught("src/clock.rs", &"\n".repeat(601), &["src/clock.rs: 601 lines, more than 600"]);
    }

    #[test]
    fn what_is_unfinished_is_caught() {
        for (text, mark) in [
            ("#[allow(dead_code)]", "#[allow("),
            ("#![allow(dead_code)]", "#![allow("),
            ("fn f() { todo!() }", "todo!"),
            ("fn f() { unimplemented!(\"x\") }", "unimplemented!"),
            ("// TODO: later", "TODO"),
            ("/// FIXME", "FIXME"),
        ] {
            assert_caught("src/clock.rs", text, &[&format!("src/clock.rs:1: has {mark}")]);
        }
        assert_clean("src/clock.rs", "const TODOS: u8 = 1; #[expect(dead_code, reason = \"\")] fn todo() {}");
    }
}
