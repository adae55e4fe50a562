//! Sheets typed, pasted and scanned at a terminal; questions answered and interrupted there.
#![cfg(unix)]

use lifeboat::emulator::Sandbox;
use serde_json::{Value as Json, json};

use crate::command::{Desk, Ran, SHEETS, binary, with_a_copy};

const ACCOUNT: &str = "111111111111";
const CHECK: &str = "check --repo west --depth values";
/// Between the characters of somebody who types.
const TYPED: f64 = 0.002;
const NAMES: [&str; 5] = ["01-ana", "02-bo", "03-cy", "04-dee", "05-eli"];

struct Scene {
    sandbox: Sandbox,
    desk: Desk,
}

impl Scene {
    async fn new() -> Self {
        let (sandbox, desk) = with_a_copy().await;
        Self { sandbox, desk }
    }

    fn text(&self, number: usize) -> String {
        std::fs::read_to_string(self.desk.path(&format!("sheets/{}.txt", NAMES[number - 1]))).unwrap()
    }

    /// The four printed rows of a sheet.
    fn rows(&self, number: usize) -> Vec<String> {
        let text = self.text(number);
        let rows = text.lines().map(str::trim).filter(|line| line.contains(": ") && line.contains(" = "));
        rows.map(ToOwned::to_owned).take(4).collect()
    }

    fn string(&self, number: usize) -> String {
        let text = self.text(number);
        text.split_whitespace().find(|word| word.starts_with("LB1") && word.len() == 90).unwrap().to_owned()
    }

    fn talk(&self, words: &str, steps: &[Json]) -> Ran {
        self.talk_as(ACCOUNT, words, steps)
    }

    fn talk_as(&self, account: &str, words: &str, steps: &[Json]) -> Ran {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/converse.py");
        let mut command = self.desk.command("python3");
        command.arg(script).arg(json!(steps).to_string()).arg(binary()).args(words.split_whitespace());
        command.env("AWS_ACCESS_KEY_ID", account);
        let ran = self.desk.finish(&mut command);
        assert!(ran.out.contains("TERMINAL as it was"), "{}", ran.out);
        ran
    }

    /// No group of any row may have been shown.
    fn hides(&self, ran: &Ran) {
        for row in (1..=5).flat_map(|number| self.rows(number)) {
            for group in row.split_whitespace().filter(|word| word.len() == 4) {
                let shown = ran.out.to_uppercase();
                assert!(!shown.contains(&format!("{group} ")), "{group} was shown: {}", ran.out);
            }
        }
    }
}

/// The rows of a sheet one by one, as somebody types them who reads what the screen asks for; no Enter.
fn row_by_row(title: &str, rows: &[String]) -> Vec<Json> {
    let step = |(number, row): (usize, &String)| json!([format!("{title}, row {number}: "), row, TYPED]);
    (1..).zip(rows).map(step).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_sheets_are_typed_row_by_row_without_one_enter() {
    let scene = Scene::new().await;
    let mut steps = Vec::new();
    for (at, number) in (1..).zip([2, 4, 5]) {
        let rows = scene.rows(number);
        // With numbers, without, and in small letters without any punctuation.
        let rows: Vec<String> = match at {
            1 => rows,
            2 => rows.iter().map(|row| row[3..].to_owned()).collect(),
            _ => rows.iter().map(|row| row[3..].replace([' ', '='], "").to_lowercase()).collect(),
        };
        steps.extend(row_by_row(&format!("Sheet {at} of 3"), &rows));
    }
    let ran = scene.talk(CHECK, &steps).expect(0);
    for words in
        ["Bo: sheet taken, 1 of 3", "Dee: sheet taken, 2 of 3; next, one of Ana, Cy, Eli", "Eli: sheet taken, 3 of 3"]
    {
        assert!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    assert!(!ran.out.contains("does not match"), "nothing was wrong: {}", ran.out);
    scene.hides(&ran);
    scene.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_sheet_is_taken_pasted_scanned_and_on_one_line() {
    let scene = Scene::new().await;
    let paste = |text: &str| format!("\x1b[200~{}\x1b[201~", text.replace('\n', "\r"));
    let forms: [&dyn Fn(usize) -> String; 12] = [
        &|number| paste(&scene.text(number)),
        &|number| paste(&scene.rows(number).join("\n")),
        &|number| format!("{}\n", scene.rows(number).join("\n")),
        &|number| format!("{}\r\n", scene.rows(number).join("\r\n")),
        &|number| format!("{}\r", scene.rows(number).join(" ")),
        &|number| format!("{}\r", scene.string(number)),
        &|number| scene.string(number),
        &|number| format!("{}\r", scene.string(number).to_lowercase()),
        &|number| format!("{}\r", scene.rows(number).map_without_checks().join(" ")),
        &|number| format!("{}\r", scene.rows(number).map_without_checks().join("\r")),
        &|number| paste(&scene.rows(number).map_without_checks().join("\n")),
        &|number| {
            scene.string(number).as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c)).collect::<Vec<_>>().join("-")
        },
    ];
    for (at, form) in forms.iter().enumerate().step_by(3) {
        let form = |offset: usize| forms.get(at + offset).unwrap_or(form);
        let steps: Vec<Json> =
            (1..=3).map(|sheet| json!([format!("Sheet {sheet} of 3, row 1: "), form(sheet - 1)(sheet + 1)])).collect();
        let ran = scene.talk(CHECK, &steps);
        assert_eq!(ran.code, Some(0), "forms {at} to {}: {}", at + 2, ran.out);
        scene.hides(&ran);
    }
    // Slower than a burst, on one line.
    let slow =
        |sheet: usize| json!([format!("Sheet {sheet} of 3, row 1: "), format!("{}\r", scene.string(sheet)), 0.001]);
    scene.talk(CHECK, &[slow(1), slow(2), slow(3)]).expect(0);
    scene.sandbox.shutdown().await;
}

trait WithoutChecks {
    fn map_without_checks(&self) -> Vec<String>;
}

impl WithoutChecks for Vec<String> {
    fn map_without_checks(&self) -> Vec<String> {
        self.iter().map(|row| row.split(" = ").next().unwrap()[3..].to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_wrong_row_is_typed_again_and_a_key_shows_it() {
    let scene = Scene::new().await;
    let rows = scene.rows(2);
    let groups: Vec<&str> = rows[1].split_whitespace().collect();
    let first = if groups[2].starts_with('Q') { 'P' } else { 'Q' };
    let wrong = rows[1].replacen(groups[2], &format!("{first}{}", &groups[2][1..]), 1);
    let title = "Sheet 1 of 3";
    let mut steps = vec![
        json!([format!("{title}, row 1: "), rows[0], TYPED]),
        json!([format!("{title}, row 2: "), wrong, TYPED]),
        json!(["does not match", "\r"]),
        json!(["row 2 has a wrong character", "\t"]),
        // The refused row is shown; it is deleted, and another row is typed by mistake.
        json!([format!("{first}{}", &groups[2][1..]), "\x15"]),
        json!([format!("{title}, row 2: "), format!("{}\r", rows[2]), TYPED]),
        json!(["row 2 comes now, and this is row 3", "ZZ\r"]),
        json!(["row 2 has 26 characters with the two after the =, and 2 were typed", "back\r"]),
        json!([format!("{title}, row 1: "), rows[0], TYPED]),
    ];
    let again = row_by_row(title, &rows);
    steps.extend_from_slice(&again[1..]);
    for (sheet, number) in [(2, 3), (3, 4)] {
        steps.extend(row_by_row(&format!("Sheet {sheet} of 3"), &scene.rows(number)));
    }
    scene.talk(CHECK, &steps).expect(0);
    scene.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_alike_and_what_a_foreign_scanner_types_is_offered() {
    let scene = Scene::new().await;
    // The first sheet with a zero or an 8 or an L in a row, written as people read it.
    let (number, row, typed) = (1..=5)
        .find_map(|number| {
            let rows = scene.rows(number);
            [('0', 'O'), ('8', 'B'), ('L', 'I')].iter().find_map(|&(right, wrong)| {
                let at = (0..4).find(|&at| rows[at][3..].contains(right))?;
                Some((
                    number,
                    at,
                    format!("{}{}", &rows[at][..3], rows[at][3..].replacen(right, &wrong.to_string(), 1)),
                ))
            })
        })
        .unwrap();
    let title = "Sheet 1 of 3";
    let mut steps = row_by_row(title, &scene.rows(number));
    steps.truncate(row);
    steps.push(json!([format!("{title}, row {}: ", row + 1), format!("{typed}\r"), TYPED]));
    steps.push(json!(["No sheet has these letters", "no\r"]));
    steps.push(json!([format!("{title}, row {}: ", row + 1), format!("{typed}\r"), TYPED]));
    steps.push(json!(["Does the paper agree? Type yes or no: ", "yes\r"]));
    steps.extend(row_by_row(title, &scene.rows(number)).split_off(row + 1));
    let mut others = (1..=5).filter(|other| *other != number);
    let french = |text: &str| -> String {
        let (from, to) = ("QAZWM1234567890", "AQWZ?&é\"'(-è_çà");
        text.chars().map(|c| from.chars().position(|k| k == c).map_or(c, |at| to.chars().nth(at).unwrap())).collect()
    };
    let second = others.next().unwrap();
    steps.push(json!(["Sheet 2 of 3, row 1: ", format!("{}\r", french(&scene.string(second)))]));
    steps.push(json!(["Use it as it was meant? Type yes or no: ", "y\r"]));
    let swapped: String = scene
        .string(others.next().unwrap())
        .chars()
        .map(|c| match c {
            'Y' => 'Z',
            'Z' => 'Y',
            c => c,
        })
        .collect();
    steps.push(json!(["Sheet 3 of 3, row 1: ", format!("{swapped}\r")]));
    steps.push(json!(["(QWERTZ). Use it as it was meant? Type yes or no: ", "yes\r"]));
    let ran = scene.talk(CHECK, &steps).expect(0);
    scene.hides(&ran);
    scene.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sheets_that_do_not_belong_are_named_and_others_can_follow() {
    let scene = Scene::new().await;
    let mut steps = row_by_row("Sheet 1 of 3", &scene.rows(1));
    steps.push(json!(["Sheet 2 of 3, row 1: ", scene.string(1)]));
    steps.push(json!(["type this sheet again, or another one", scene.string(2)]));
    steps.push(json!(["Sheet 3 of 3, row 1: ", "\x04"]));
    let ran = scene.talk(CHECK, &steps).expect(5);
    assert!(ran.out.contains("Cy, Dee, Eli"), "{}", ran.out);
    scene.hides(&ran);
    scene.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_ends_at_once_when_it_is_interrupted() {
    let scene = Scene::new().await;
    let restore = format!("restore --repo west --to aws:eu-west-1 {SHEETS}");
    let forget = "forget --keep-last 1 --undo-days 1";
    scene.desk.run("snapshot").expect(0);
    let drill = format!("drill run --to aws:eu-west-1 {SHEETS}");
    let partly = scene.rows(1)[0][..9].to_owned();
    for (words, question, before) in [
        (CHECK, "Sheet 1 of 3, row 1: ", ""),
        (CHECK, "Sheet 1 of 3, row 1: ", partly.as_str()),
        (&restore, "Type yes to go on: ", ""),
        (&restore, "Type yes to go on: ", "ye"),
        (forget, "Type yes to go on: ", ""),
        (&drill, "Type yes to go on: ", ""),
        (
            "custody reshare --threshold 2 --custodian Fay --custodian Gus --custodian Hal --sheets new --share sheets",
            "Type yes to go on: ",
            "",
        ),
        ("custody verify -", "Sheet, row 1: ", ""),
    ] {
        for interrupt in [json!("\u{3}"), json!({"signal": "TERM"}), json!({"signal": "INT"}), json!({"signal": "HUP"})]
        {
            let mut steps = vec![json!([question, before, 0.001])];
            steps.push(json!(["", interrupt]));
            let account = if words.starts_with("drill") { "999999999999" } else { ACCOUNT };
            let ran = scene.talk_as(account, words, &steps);
            assert_eq!(ran.code, Some(130), "{words} {interrupt}: {}", ran.out);
            assert!(ran.out.contains("interrupted"), "{words} {interrupt}: {}", ran.out);
            if let Some(seconds) = ran.out.split("SECONDS ").nth(1) {
                assert!(seconds.trim().parse::<f64>().unwrap() < 5.0, "{words} {interrupt}: {}", ran.out);
            }
        }
    }
    scene.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_is_verified_from_the_terminal_and_not_shown() {
    let scene = Scene::new().await;
    let ran = scene.talk("custody verify - --no-record", &row_by_row("Sheet", &scene.rows(2))).expect(0);
    assert!(ran.out.contains("intact, current"), "{}", ran.out);
    scene.hides(&ran);
    let ran = scene.talk("custody verify - --no-record", &[json!(["Sheet, row 1: ", "\x04"])]).expect(5);
    scene.hides(&ran);
    scene.sandbox.shutdown().await;
}
