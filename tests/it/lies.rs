//! An endpoint that lies: nothing, half, another's, the same again, without end, in a wrong shape. Whoever was lied to about
//! something must not end well.
//!
//! What came of each lie becomes the table in docs/threat-model.md (`LIFEBOAT_WRITE_DOCS=1` writes it).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value as Json, json};

use crate::{
    cli::estate,
    command::{Desk, Ran, SHEETS},
    proxy::{Answer, Proxy},
    search::holds,
};

const SOURCE: &str = "111111111111";
const TARGET: &str = "999999999999";
const SANDBOX: &str = "888888888888";
const OTHER: &str = "222222222222";
/// Commands run at the same time.
const AT_ONCE: usize = 4;

/// One lie: about which calls, and how an honest answer becomes it.
struct Lie {
    what: &'static str,
    /// The operation; empty for all of them.
    about: &'static str,
    /// How many calls of the operation are answered honestly first.
    honest: usize,
    tell: fn(&Asked<'_>, Answer) -> Answer,
}

/// A call that is lied to.
struct Asked<'a> {
    body: &'a Json,
    number: usize,
}

fn lie(what: &'static str, about: &'static str, tell: fn(&Asked<'_>, Answer) -> Answer) -> Lie {
    Lie { what, about, honest: 0, tell }
}

fn edit(mut answer: Answer, edit: impl FnOnce(&mut Json)) -> Answer {
    if let Ok(mut json) = serde_json::from_slice::<Json>(&answer.body) {
        edit(&mut json);
        answer.body = json.to_string().into_bytes();
    }
    answer
}

fn says(json: &Json) -> Answer {
    Answer { status: 200, body: json.to_string().into_bytes() }
}

fn entries(answer: Answer, change: impl Fn(&mut Vec<Json>)) -> Answer {
    edit(answer, |json| {
        if let Some(list) = json["SecretList"].as_array_mut() {
            change(list);
        }
    })
}

fn of_entries(answer: Answer, change: impl Fn(&mut Json)) -> Answer {
    entries(answer, |list| list.iter_mut().for_each(&change))
}

fn replace(json: &mut Json, key: &str, from: &str, to: &str) {
    if let Some(changed) = json[key].as_str().map(|text| text.replace(from, to)) {
        json[key] = changed.into();
    }
}

fn nothing(_: &Asked<'_>, _: Answer) -> Answer {
    says(&json!({}))
}

fn error_as_success(_: &Asked<'_>, _: Answer) -> Answer {
    says(&json!({ "__type": "AccessDeniedException", "Message": "no" }))
}

fn another_secret(_: &Asked<'_>, answer: Answer) -> Answer {
    edit(answer, |json| {
        json["Name"] = "app/other".into();
        json["ARN"] = format!("arn:aws:secretsmanager:eu-central-1:{SOURCE}:secret:app/other-AbCdEf").into();
    })
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn lies() -> Vec<Lie> {
    let list = "ListSecrets";
    let describe = "DescribeSecret";
    let versions = "ListSecretVersionIds";
    let value = "GetSecretValue";
    let policy = "GetResourcePolicy";
    let who = "GetCallerIdentity";
    vec![
        lie("lists with {}", list, nothing),
        lie("lists with an error object and status 200", list, error_as_success),
        lie("lists nothing", list, |_, _| says(&json!({ "SecretList": [] }))),
        lie("lists every second secret", list, |_, answer| {
            entries(answer, |list| {
                let mut number = 0;
                list.retain(|_| {
                    number += 1;
                    number % 2 == 0
                });
            })
        }),
        lie("lists the same page again and again", list, |_, answer| {
            edit(answer, |json| json["NextToken"] = "t".into())
        }),
        lie("lists empty pages without end", list, |asked, _| {
            says(&json!({ "SecretList": [], "NextToken": format!("t{}", asked.number) }))
        }),
        lie("lists secrets without ARN", list, |_, answer| {
            of_entries(answer, |entry| drop(entry.as_object_mut().unwrap().remove("ARN")))
        }),
        lie("lists secrets of another account", list, |_, answer| {
            of_entries(answer, |entry| {
                for account in [SOURCE, TARGET, SANDBOX] {
                    replace(entry, "ARN", account, OTHER);
                }
            })
        }),
        lie("lists secrets of another region", list, |_, answer| {
            of_entries(answer, |entry| {
                for region in ["eu-central-1", "eu-west-1"] {
                    replace(entry, "ARN", region, "us-east-1");
                }
            })
        }),
        lie("lists names that are not those of the ARNs", list, |_, answer| {
            of_entries(answer, |entry| entry["Name"] = "x".into())
        }),
        lie("lists with an object where a list should be", list, |_, _| says(&json!({ "SecretList": { "a": 1 } }))),
        lie("lists with 64 MB of spaces", list, |_, mut answer| {
            answer.body.splice(0..0, vec![b' '; 64 << 20]);
            answer
        }),
        lie("lists with a page of HTML and status 200", list, |_, _| Answer {
            status: 200,
            body: b"<html>sign in</html>".to_vec(),
        }),
        lie("cuts the list in the middle", list, |_, mut answer| {
            answer.body.truncate(answer.body.len() / 2);
            answer
        }),
        lie("describes with {}", describe, nothing),
        lie("describes with an error object and status 200", describe, error_as_success),
        lie("describes another secret", describe, another_secret),
        lie("says of every secret that it is not there", describe, |_, _| Answer {
            status: 400,
            body: br#"{"__type":"ResourceNotFoundException","Message":"no"}"#.to_vec(),
        }),
        lie("names versions with {}", versions, nothing),
        lie("names the versions of another secret", versions, another_secret),
        lie("names versions without end", versions, |asked, answer| {
            edit(answer, |json| json["NextToken"] = format!("t{}", asked.number).into())
        }),
        lie("names versions without ids", versions, |_, answer| {
            edit(answer, |json| json["Versions"] = json!([{ "VersionStages": ["AWSCURRENT"] }]))
        }),
        lie("gives {} for a value", value, nothing),
        lie("gives no value", value, |_, answer| {
            edit(answer, |json| drop(json.as_object_mut().unwrap().remove("SecretString")))
        }),
        lie("gives the value of another version", value, |_, answer| {
            edit(answer, |json| json["VersionId"] = "11111111-1111-4111-8111-111111111111".into())
        }),
        lie("gives the value of another secret", value, another_secret),
        lie("gives two values", value, |_, answer| edit(answer, |json| json["SecretBinary"] = "AAAA".into())),
        lie("gives a value of 1 MB", value, |_, answer| {
            edit(answer, |json| json["SecretString"] = "x".repeat(1 << 20).into())
        }),
        lie("gives a value that is a number", value, |_, answer| edit(answer, |json| json["SecretString"] = 7.into())),
        lie("gives {} for a policy", policy, nothing),
        lie("gives the policy of another secret", policy, another_secret),
        lie("does not say which account this is", who, |_, answer| account(answer, "")),
        lie("is another account", who, |_, answer| account(answer, OTHER)),
        lie("answers everything with {}", "", nothing),
        lie("answers everything with status 500", "", |_, _| Answer { status: 500, body: Vec::new() }),
        lie("says that it created what it did not", "CreateSecret", |asked, _| invented(asked)),
        lie("says that it wrote what it did not", "PutSecretValue", |asked, _| invented(asked)),
        lie("creates with {}", "CreateSecret", nothing),
        lie("says that it deleted what it did not", "DeleteSecret", |asked, _| {
            says(&json!({ "Name": asked.body["SecretId"], "ARN": asked.body["SecretId"], "DeletionDate": 1.0 }))
        }),
        Lie {
            what: "is another account from the third secret on",
            about: describe,
            honest: 2,
            tell: |_, answer| {
                edit(answer, |json| {
                    for account in [SOURCE, TARGET, SANDBOX] {
                        replace(json, "ARN", account, OTHER);
                    }
                })
            },
        },
    ]
}

/// STS answers in XML.
fn account(mut answer: Answer, account: &str) -> Answer {
    let text = String::from_utf8_lossy(&answer.body).replace(SOURCE, account);
    let text = text.replace(TARGET, account).replace(SANDBOX, account);
    answer.body = text.into_bytes();
    answer
}

/// A write that is answered and never done; [`Proxy`] does not pass it on.
fn invented(asked: &Asked<'_>) -> Answer {
    let name = asked.body["Name"].as_str().or(asked.body["SecretId"].as_str()).unwrap_or_default();
    let name = name.rsplit(":secret:").next().unwrap_or_default();
    says(&json!({
        "Name": name, "VersionId": asked.body["ClientRequestToken"], "VersionStages": ["AWSCURRENT"],
        "ARN": format!("arn:aws:secretsmanager:eu-west-1:{TARGET}:secret:{name}-AbCdEf"),
    }))
}

/// What is run, as whom; what writes to the repository comes last.
const COLUMNS: [(&str, &str, &str); 5] = [
    ("doctor", SOURCE, "doctor"),
    ("diff", SOURCE, "diff SHEETS"),
    ("restore", TARGET, "restore --to aws:eu-west-1 --account 999999999999 --yes SHEETS"),
    ("drill", SANDBOX, "drill run lied --yes SHEETS"),
    ("snapshot", SOURCE, "snapshot --full --no-copy"),
];

struct Cell {
    told: usize,
    code: i32,
    says: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_well_who_was_lied_to() {
    let lies: Vec<Lie> = lies().into_iter().filter(|lie| wanted(lie.what)).collect();
    let next = AtomicUsize::new(0);
    let rows: Mutex<BTreeMap<usize, Vec<Cell>>> = Mutex::default();
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(lie) = lies.get(at) else { return };
                        let cells = runtime.block_on(run(lie));
                        rows.lock().unwrap().insert(at, cells);
                    }
                });
            }
        });
    });
    let rows = rows.into_inner().unwrap();
    let mut broken = Vec::new();
    for (at, cells) in &rows {
        let what = lies[*at].what;
        if cells.iter().all(|cell| cell.told == 0) {
            broken.push(format!("{what}: nobody was lied to"));
        }
        for (cell, (column, ..)) in cells.iter().zip(COLUMNS) {
            if cell.told > 0 && (cell.code == 0 || cell.code > 6) {
                broken.push(format!("{what}: {column} was lied to {} times and ended with {}", cell.told, cell.code));
            }
        }
    }
    let table = table(&lies, &rows);
    assert!(broken.is_empty(), "{}\n{table}", broken.join("\n"));
    if lies.len() > 25 {
        let is_written = crate::matrix::is_documented("lies", table.trim_end());
        assert!(is_written, "docs/threat-model.md has another table: LIFEBOAT_WRITE_DOCS=1 writes this one");
    } else {
        println!("{table}");
    }
}

/// For work on one lie: `LIFEBOAT_MOVE=word`.
fn wanted(what: &str) -> bool {
    crate::matrix::wanted_moves().is_none_or(|only| what.contains(&only))
}

/// Ten secrets, an honest snapshot of them, and then the lie, for each command.
async fn run(lie: &Lie) -> Vec<Cell> {
    let sandbox = estate().await;
    for number in 0..8 {
        let value = format!("value-marker-{number}");
        sandbox.control().put(SOURCE, "eu-central-1", &format!("more/{number}"), &value).unwrap();
    }
    let told = Arc::new(AtomicUsize::new(0));
    let asked = Arc::new(AtomicUsize::new(0));
    let on = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (about, honest, tell) = (lie.about, lie.honest, lie.tell);
    let (counter, calls, lies) = (told.clone(), asked.clone(), on.clone());
    let writes = ["CreateSecret", "PutSecretValue", "DeleteSecret"];
    let proxy = Proxy::start(&sandbox.endpoint(), move |operation, body, pass| {
        let applies = lies.load(Ordering::SeqCst) && (about.is_empty() || about == operation);
        if !applies || calls.fetch_add(1, Ordering::SeqCst) < honest {
            return pass();
        }
        // What is said to be done and is not never gets there.
        let answer = if writes.contains(&about) { Answer { status: 200, body: Vec::new() } } else { pass() };
        let told = tell(&Asked { body, number: calls.load(Ordering::SeqCst) }, answer.clone());
        let same = |one: &Answer, other: &Answer| {
            let json = |answer: &Answer| serde_json::from_slice::<Json>(&answer.body).ok();
            let similar = one.body.len().abs_diff(other.body.len()) < 1_000 && json(one).is_some();
            one.status == other.status && (one.body == other.body || (similar && json(one) == json(other)))
        };
        // An empty list made emptier is no lie.
        counter.fetch_add(usize::from(!same(&answer, &told)), Ordering::SeqCst);
        told
    });
    let desk = Desk::new(&proxy.endpoint, SOURCE);
    tokio::task::block_in_place(|| {
        desk.init();
        desk.run("snapshot").expect(0);
        std::fs::create_dir_all(desk.path("drills")).unwrap();
        let target = format!("[target]\naccount = {SANDBOX:?}\nregion = \"eu-west-1\"\n");
        std::fs::write(desk.path("drills/lied.toml"), format!("scenario = \"lies\"\n{target}")).unwrap();
        let run = |(_, account, words): (&str, &str, &str)| {
            told.store(0, Ordering::SeqCst);
            asked.store(0, Ordering::SeqCst);
            on.store(true, Ordering::SeqCst);
            let ran = desk.run_as(account, &words.replace("SHEETS", SHEETS));
            on.store(false, Ordering::SeqCst);
            assert!(!ran.err.contains("bug in itself"), "{}: {}", lie.what, ran.err);
            let code = ran.code.unwrap_or(-1);
            Cell { told: told.load(Ordering::SeqCst), code, says: sentence(&ran) }
        };
        let cells = COLUMNS.map(run).into();
        assert!(!holds(&desk.printed(), b"-marker"), "{}: a value was printed", lie.what);
        cells
    })
}

/// The sentence that a person would look at.
fn sentence(ran: &Ran) -> String {
    let starts = ["error: ", "warning: "];
    let lines = || ran.err.lines().chain(ran.out.lines());
    let found = starts.iter().find_map(|start| lines().find_map(|line| line.strip_prefix(start)));
    let found = found.or_else(|| lines().find(|line| line.contains("not "))).unwrap_or_default();
    let mut text = found.split_whitespace().map(plain).collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if text.len() > 120 {
        let end = (0..=120).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The same in every run: secrets, which are read side by side, ids and addresses are replaced.
fn plain(word: &str) -> &str {
    let is_id = word.trim_end_matches(':').len() >= 30 && !word.contains(['/', '.']);
    match word {
        _ if word.starts_with("http://") => "\\<endpoint>",
        _ if word.contains(":secret:") || word.starts_with("app/") || word.starts_with("more/") => "\\<secret>",
        _ if is_id => "\\<id>",
        word => word,
    }
}

fn table(lies: &[Lie], rows: &BTreeMap<usize, Vec<Cell>>) -> String {
    let mut text = String::from("| the endpoint |");
    for (column, ..) in COLUMNS {
        let _ = write!(text, " {column} |");
    }
    text.push_str("\n|---|---|---|---|---|---|\n");
    for (at, cells) in rows {
        let _ = write!(text, "| {} |", lies[*at].what);
        for cell in cells {
            let _ = match cell.told {
                0 => write!(text, " does not ask |"),
                _ => write!(text, " {} {} |", cell.code, cell.says),
            };
        }
        text.push('\n');
    }
    text
}
