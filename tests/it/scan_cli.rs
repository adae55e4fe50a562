//! Sheets as pictures, PDFs, folders and lines on stdin, given to the command line.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::{
    command::{Desk, Ran, SHEETS, binary, with_a_copy},
    scan_picture::{Dice, PAGE, Picture, code, page},
};

const CHECK: &str = "check --repo west --depth values";

fn sheet(desk: &Desk, name: &str) -> String {
    std::fs::read_to_string(desk.path(&format!("sheets/{name}.txt"))).unwrap()
}

fn string(desk: &Desk, name: &str) -> String {
    let is_share = |word: &&str| word.starts_with("LB1") && word.len() == 90;
    sheet(desk, name).split_whitespace().find(is_share).unwrap().to_owned()
}

fn save(desk: &Desk, name: &str, bytes: &[u8]) {
    std::fs::write(desk.path(name), bytes).unwrap();
}

fn typed(desk: &Desk, words: &str, text: &str) -> Ran {
    let mut command = desk.command(binary());
    command.args(words.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_and_lines_give_a_quorum() {
    let (sandbox, desk) = with_a_copy().await;
    save(&desk, "photo", &page(&string(&desk, "02-bo"), &mut Dice(1)).jpeg(80));
    let mut both = Picture::plain(PAGE.0, PAGE.1, 250);
    code(&mut both, &string(&desk, "04-dee"), (20, 40));
    code(&mut both, &string(&desk, "05-eli"), (120, 200));
    save(&desk, "both.png", &both.png());
    let ran = desk.run(&format!("{CHECK} --share photo --share both.png")).expect(0);
    assert!(ran.err.contains("both.png (2nd code): have 3 of 3"), "{}", ran.err);

    let lines = ["01-ana", "03-cy", "05-eli"].map(|name| string(&desk, name)).join("\r\n");
    let ran = typed(&desk, &format!("{CHECK} --share -"), &lines).expect(0);
    assert!(ran.err.contains("stdin (3rd code): have 3 of 3"), "{}", ran.err);

    save(&desk, "url.png", &page("https://example.com/secret-path", &mut Dice(2)).png());
    save(&desk, "blank.jpg", &Picture::plain(400, 300, 200).jpeg(80));
    save(&desk, "noise.pdf", b"\xff\x00\x01");
    let ran = desk.run(&format!("{CHECK} --share url.png --share blank.jpg --share noise.pdf --share photo")).expect(5);
    for words in
        ["url.png has no share in it", "blank.jpg has no QR code", "more and even light", "noise.pdf is neither"]
    {
        assert!(ran.err.contains(words), "{words:?} not in {}", ran.err);
    }
    assert!(!ran.err.contains("secret-path"), "{}", ran.err);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_twice_in_a_folder_is_one_sheet_and_by_name_a_warning() {
    let (sandbox, desk) = with_a_copy().await;
    save(&desk, "sheets/02-bo.JPG", &page(&string(&desk, "02-bo"), &mut Dice(1)).jpeg(80));
    let ran = desk.run(&format!("{CHECK} --share sheets")).expect(0);
    assert!(ran.err.contains("02-bo.txt: the same sheet"), "{}", ran.err);
    assert!(!ran.err.contains("warning:"), "{}", ran.err);
    let ran = desk.run(&format!("{CHECK} {SHEETS} --share sheets/02-bo.JPG")).expect(0);
    assert!(ran.err.contains("warning: 02-bo.JPG repeats sheet 2, held by Bo"), "{}", ran.err);
    sandbox.shutdown().await;
}

/// Bo's rows with two wrong characters in row 2, and the row as it should be.
fn slip(desk: &Desk) -> (String, String) {
    let sheet = sheet(desk, "02-bo");
    let rows: Vec<&str> =
        sheet.lines().map(str::trim).filter(|line| line.contains(": ") && line.contains(" = ")).take(4).collect();
    let groups: Vec<&str> = rows[1].split_whitespace().collect();
    let swapped: String = groups[2].chars().map(|symbol| if symbol == 'Q' { 'P' } else { 'Q' }).take(2).collect();
    let wrong = rows[1].replacen(groups[2], &format!("{swapped}{}", &groups[2][2..]), 1);
    (format!("{}\n{wrong}\n{}\n{}\n", rows[0], rows[2], rows[3]), groups[1..7].join(" "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_is_located_and_never_corrected_unasked() {
    let (sandbox, desk) = with_a_copy().await;
    let (wrong, right) = slip(&desk);
    save(&desk, "bo.txt", wrong.as_bytes());
    for json in ["", " --json"] {
        let ran =
            desk.run(&format!("{CHECK} --share bo.txt --share sheets/04-dee.txt --share sheets/05-eli.txt{json}"));
        let ran = ran.expect(5).says("typing or reading error in row 2");
        assert!(ran.err.contains("a correction is known for row 2 of bo.txt"), "{}", ran.err);
        let groups: Vec<&str> = right.split(' ').collect();
        assert!(!ran.err.contains(groups[1]) && !ran.out.contains(groups[1]), "{}", ran.err);
    }
    sandbox.shutdown().await;
}

/// Runs a command on a terminal of its own, answers its first question, and gives what the terminal showed.
const TERMINAL: &str = r#"
import os, pty, sys
answer, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)
shown = b""
asked = False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    if not asked and b"Type yes" in shown:
        asked = True
        os.write(terminal, answer.encode() + b"\n")
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_row_is_shown_and_yes_takes_it() {
    let (sandbox, desk) = with_a_copy().await;
    let (wrong, right) = slip(&desk);
    save(&desk, "bo.txt", wrong.as_bytes());
    for (answer, code) in [("yes", 0), ("no", 5), ("", 5)] {
        let mut command: Command = desk.command("python3");
        command.args(["-c", TERMINAL, answer]).arg(binary()).args(CHECK.split(' '));
        command.args(["--share", "bo.txt", "--share", "sheets/04-dee.txt", "--share", "sheets/05-eli.txt"]);
        let ran = desk.finish(&mut command).expect(code);
        assert!(ran.out.contains(&format!("Does row 2 of the paper say exactly {right}?")), "{}", ran.out);
        let rest = &string(&desk, "02-bo")[60..];
        assert!(!ran.out.contains(rest), "only the row is shown");
    }
    sandbox.shutdown().await;
}
