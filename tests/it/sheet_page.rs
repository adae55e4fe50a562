//! The printed sheet, read back with tools that are not ours.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use lifeboat::{
    crypto::Signer,
    custody::{self, Ceremony, CeremonyError, CeremonyRequest, Contact, Paper, Successor},
    model::RepositoryId,
    repo::AllowedSigner,
    share::{Gathering, UntrustedShare},
};

use crate::command::{Desk, binary, files};

const INIT: &str = "init --repo repository --source aws:eu-central-1 --threshold 2 --yes";
const LONG: &str = "Maximiliane-Friederike Freifrau von Hohenstaufen-Wittelsbach und zu Habsburg PhD";

/// A ceremony for these custodians, on this paper; 2 sheets needed.
fn ceremony(custodians: &[&str], paper: Paper) -> Result<Ceremony, CeremonyError> {
    told(custodians, paper, Contact::default())
}

/// The same, where the sheets say whom to ask.
fn told(custodians: &[&str], paper: Paper, contact: Contact) -> Result<Ceremony, CeremonyError> {
    custody::hold(&CeremonyRequest {
        repository: RepositoryId::from_bytes([0x3a; 16]),
        threshold: 2,
        custodians: custodians.iter().map(ToString::to_string).collect(),
        signers: vec![AllowedSigner { name: "backup host".into(), key: Signer::generate().public() }],
        created: "2026-11-24T05:50:42Z".parse().unwrap(),
        paper,
        contact,
    })
}

/// What a tool of the system says, given a file.
fn tool(package: &str, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; install it: apt-get install {package}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The share in one piece, from the text sheet.
fn share(text: &str) -> &str {
    text.split_whitespace().find(|word| word.starts_with("LB1") && word.len() == 90).unwrap()
}

/// Renders a page and reads every code on it.
fn codes(folder: &Path, pdf: &Path) -> Vec<String> {
    let stem = folder.join("page");
    tool(
        "poppler-utils",
        "pdftoppm",
        &["-r", "150", "-png", "-singlefile", pdf.to_str().unwrap(), stem.to_str().unwrap()],
    );
    let image = stem.with_extension("png");
    let read = tool("zbar-tools", "zbarimg", &["--quiet", "--raw", image.to_str().unwrap()]);
    read.lines().map(str::to_owned).collect()
}

#[test]
fn both_codes_and_the_typed_rows_are_the_share_on_both_papers() {
    let names =
        ["Ana Torres", "Đặng Thị Ánh", "Σοφία Παπαδοπούλου", "محمد رضا", "山田 太郎", "김민준", LONG, &"字".repeat(80)];
    for (paper, size) in [(Paper::A4, "595.28 x 841.89 pts (A4)"), (Paper::Letter, "612 x 792 pts (letter)")] {
        let folder = tempfile::tempdir().unwrap();
        let ceremony = ceremony(&names, paper).unwrap();
        let mut gathering = Gathering::new(Vec::new());
        for sheet in &ceremony.sheets {
            let pdf = folder.path().join("sheet.pdf");
            std::fs::write(&pdf, &*sheet.pdf).unwrap();
            let info = tool("poppler-utils", "pdfinfo", &[pdf.to_str().unwrap()]);
            assert!(info.contains("Pages:           1\n") && info.contains(size), "{info}");
            assert!(!info.contains("CreationDate") && !info.contains("Producer"), "{info}");
            let share = share(&sheet.text);
            assert_eq!(codes(folder.path(), &pdf), [share, share], "{}", sheet.custodian);
            let text = tool("poppler-utils", "pdftotext", &["-layout", pdf.to_str().unwrap(), "-"]);
            let typed = UntrustedShare::parse(&text).unwrap();
            assert_eq!(typed.digest(), UntrustedShare::parse(share).unwrap().digest());
            gathering.add(&sheet.custodian, &text).unwrap();
        }
        let key = gathering.quorum().unwrap().recover().unwrap();
        assert_eq!(key.recipient(), ceremony.epoch.recipient);
    }
}

#[test]
fn nothing_is_printed_outside_the_margins() {
    for paper in [Paper::A4, Paper::Letter] {
        let folder = tempfile::tempdir().unwrap();
        let pdf = folder.path().join("sheet.pdf");
        let ceremony = ceremony(&[LONG, "B"], paper).unwrap();
        std::fs::write(&pdf, &*ceremony.sheets[0].pdf).unwrap();
        let (width, height) = if paper == Paper::A4 { (595.28, 841.89) } else { (612.0, 792.0) };
        let words = words(&pdf);
        for (at, word) in &words {
            assert!(at[0] > 35.0 && at[2] < width - 35.0, "{word} {at:?}");
            assert!(at[1] > 30.0 && at[3] < height - 30.0, "{word} {at:?}");
        }
        assert!(words.len() > 200, "{}", words.len());
        let text = tool("poppler-utils", "pdftotext", &["-layout", pdf.to_str().unwrap(), "-"]);
        for said in ["Newest snapshot: number", "of (date)", "--expect-number N"] {
            assert!(text.contains(said) && ceremony.sheets[0].text.contains(said), "{said}: {text}");
        }
    }
}

/// As long as each part of it may be.
fn longest_contact() -> Contact {
    let eighty = "Group platform operations on call, day and night, all the year: +49 30 1234567-8";
    let copy = format!("s3://backup-west/lifeboat/{}?region=eu-west-1", "production/".repeat(12));
    Contact { organisation: Some(eighty.into()), call: Some(eighty.into()), copy: Some(copy) }
}

/// The boxes of the words on a page: left, top, right, bottom, and the word.
fn words(pdf: &Path) -> Vec<([f64; 4], String)> {
    let boxes = tool("poppler-utils", "pdftotext", &["-bbox", pdf.to_str().unwrap(), "-"]);
    let lines = boxes.lines().filter(|line| line.trim_start().starts_with("<word "));
    let word = |line: &str| {
        let at = |name: &str| -> f64 {
            line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
        };
        let text = line.split('>').nth(1).unwrap().split('<').next().unwrap();
        (["xMin", "yMin", "xMax", "yMax"].map(at), text.to_owned())
    };
    lines.map(word).collect()
}

#[test]
fn the_longest_names_and_contact_are_on_both_papers_and_cover_nothing() {
    for paper in [Paper::A4, Paper::Letter] {
        let folder = tempfile::tempdir().unwrap();
        let pdf = folder.path().join("sheet.pdf");
        let contact = longest_contact();
        let ceremony = told(&[LONG, "B"], paper, contact.clone()).unwrap();
        std::fs::write(&pdf, &*ceremony.sheets[0].pdf).unwrap();
        let share = share(&ceremony.sheets[0].text);
        assert_eq!(codes(folder.path(), &pdf), [share, share]);
        let words = words(&pdf);
        for (at, (one, word)) in words.iter().enumerate() {
            assert!(one[3] - one[1] > 5.9, "{word} is too small to be read: {one:?}");
            for (other, next) in &words[at + 1..] {
                // A box is as high as its font's tallest letter and deepest tail; letters fill the middle of it.
                let middle = |word: &[f64; 4]| f64::midpoint(word[1], word[3]);
                let height = (one[3] - one[1]).min(other[3] - other[1]);
                let apart = one[2] <= other[0] + 0.5
                    || other[2] <= one[0] + 0.5
                    || (middle(one) - middle(other)).abs() > height / 2.0;
                assert!(apart, "{word} {one:?} and {next} {other:?} cover each other");
            }
        }
        let said: String = words.iter().map(|(_, word)| word.as_str()).collect();
        for text in [contact.organisation, contact.call, contact.copy].into_iter().flatten() {
            assert!(said.contains(&text.replace(' ', "")), "{text} is missing: {said}");
        }
    }
}

#[test]
fn a_page_says_aloud_what_it_shows_in_the_order_in_which_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let pdf = folder.path().join("sheet.pdf");
    let ceremony = told(&["Ana Torres", "B"], Paper::A4, longest_contact()).unwrap();
    std::fs::write(&pdf, &*ceremony.sheets[0].pdf).unwrap();
    let info = tool("poppler-utils", "pdfinfo", &[pdf.to_str().unwrap()]);
    let has = |label: &str, value: &str| info.lines().any(|line| line.starts_with(label) && line.ends_with(value));
    assert!(has("Title:", "LIFEBOAT RECOVERY SHEET") && has("Tagged:", "yes"), "{info}");
    let tree = tool("poppler-utils", "pdfinfo", &["-struct-text", pdf.to_str().unwrap()]);
    let lines: Vec<&str> = tree.lines().map(str::trim).collect();
    let count = |kind: &str| lines.iter().filter(|line| **line == kind).count();
    assert_eq!((count("H1 (block)"), count("H2 (block)"), count("Figure")), (1, 6, 2), "{tree}");
    assert!(lines.iter().all(|line| !line.starts_with('"') || line.len() < 400), "a paragraph each: {tree}");
    let mut from = 0;
    for said in [
        "\"LIFEBOAT RECOVERY SHEET\"",
        "\"Held by Ana Torres\"",
        "\"Organisation Group platform operations",
        "\"Call Group platform operations",
        "\"Share set ",
        "\"1: ",
        "\"4: ",
        "\"What this is\"",
        "hold the key to a backup of production secrets. This sheet alone",
        "\"lifeboat restore --repo COPY",
        "\"COPY is\"",
        "\"Bag number\"",
    ] {
        from += tree[from..].find(said).unwrap_or_else(|| panic!("{said} is missing, or too early: {tree}"));
    }
    let read = ceremony.sheets[0].pdf.windows(5).filter(|window| window == b"/Alt(").count();
    assert_eq!(read, 2, "each code has words");
    assert!(ceremony.sheets[0].pdf.windows(9).any(|window| window == b"/Lang(en)"));
}

#[test]
fn nobody_takes_the_sheet_of_a_rehearsal_for_a_real_one() {
    for paper in [Paper::A4, Paper::Letter] {
        let folder = tempfile::tempdir().unwrap();
        let pdf = folder.path().join("sheet.pdf");
        let successor = Successor {
            threshold: 2,
            custodians: [LONG, "B"].map(String::from).into(),
            created: "2026-11-24T05:50:42Z".parse().unwrap(),
            paper,
            contact: longest_contact(),
        };
        let ceremony = custody::rehearse(&successor).unwrap();
        std::fs::write(&pdf, &*ceremony.sheets[0].pdf).unwrap();
        let share = share(&ceremony.sheets[0].text);
        assert_eq!(codes(folder.path(), &pdf), [share, share], "a mark behind the text covers no code");
        let text = tool("poppler-utils", "pdftotext", &["-layout", pdf.to_str().unwrap(), "-"]);
        assert_eq!(UntrustedShare::parse(&text).unwrap().digest(), UntrustedShare::parse(share).unwrap().digest());
        let mark = words(&pdf).into_iter().find(|(at, word)| word == "REHEARSAL" && at[2] - at[0] > 400.0);
        assert!(mark.is_some(), "the mark is as wide as the page: {text}");
        for form in [&text, &*ceremony.sheets[0].text] {
            for real in ["open the backup", "production secrets", "RECOVERY SHEET"] {
                assert!(!form.contains(real), "{real}: {form}");
            }
            assert!(form.contains("REHEARSAL SHEET: OPENS NOTHING") && form.contains("a key that opens nothing"));
        }
    }
}

#[test]
fn init_writes_private_files_and_a_script_without_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::offline("111111111111");
    let made =
        desk.run(&format!("{INIT} --custodian Ana --custodian Bo --paper letter --sheets sheets --json")).expect(0);
    assert_eq!(made.json()["pdfs"].as_array().unwrap().len(), 2);
    assert!(made.err.contains("shred -u -- sheets/*.pdf sheets/*.txt && rmdir -- sheets"), "{}", made.err);
    let sheets = files(&desk.path("sheets"));
    let names: Vec<_> = sheets.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["01-ana.pdf", "01-ana.txt", "02-bo.pdf", "02-bo.txt"]);
    let script = std::fs::read_to_string(desk.path("ceremony.txt")).unwrap();
    for (path, content) in &sheets {
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        if let Ok(text) = std::str::from_utf8(content).map(share) {
            assert!(!script.contains(&text[20..60]));
            let digest = UntrustedShare::parse(text).unwrap().digest().to_string();
            assert!(script.contains(&digest[..32]) && script.contains(&digest[32..]));
        }
    }
    let epochs = std::fs::read_dir(desk.path("repository/epochs")).unwrap().map(|entry| entry.unwrap().path());
    let epoch = epochs.into_iter().find(|path| path.extension().is_some_and(|it| it == "json")).unwrap();
    let digest = tool("coreutils", "sha256sum", &[epoch.to_str().unwrap()]);
    assert!(script.contains(&digest[..64]) && epoch.to_str().unwrap().contains(&digest[..64]), "{script}");
    assert!(UntrustedShare::parse(&script).is_err());
}

#[test]
fn init_gives_each_page_to_a_printer_and_keeps_no_file() {
    let desk = Desk::offline("111111111111");
    let custodians = "--custodian Ana --custodian Bo";
    let printer = |command: &str| {
        let mut process = desk.command(binary());
        process.args(INIT.split_whitespace()).args(custodians.split_whitespace()).args(["--print", command]);
        desk.finish(&mut process)
    };
    printer("no-such-printer").expect(1).says("sheet 1 was not printed");
    printer("false").expect(1).says("sheet 1 was not printed");
    assert!(!desk.path("repository").exists() && !desk.path("lifeboat.toml").exists() && !desk.path("keys").exists());
    printer("tee -a printed").expect(0);
    let printed = std::fs::read(desk.path("printed")).unwrap();
    assert_eq!(printed.windows(5).filter(|window| window == b"%PDF-").count(), 2);
    assert!(!desk.path("sheets").exists());
    desk.run(&format!("{INIT} {custodians} --config c/o.toml")).expect(2);
    desk.run(&format!("{INIT} {custodians} --config c/o.toml --sheets s --print cat")).expect(2);
}

#[test]
fn what_cannot_be_printed_is_refused_before_there_is_a_key() {
    let desk = Desk::offline("111111111111");
    let init = |more: &[&str]| {
        let mut command = desk.command(binary());
        desk.finish(command.args(INIT.split(' ')).args(["--custodian", "Ana", "--sheets", "sheets"]).args(more))
    };
    let (long, deep) = ("字".repeat(300), format!("/srv/{}", "deep/".repeat(60)));
    for (option, text, reason) in [
        ("--custodian", "", "it is empty"),
        ("--custodian", &*long, "longer than 80 characters"),
        ("--custodian", "Bo🚀", "U+1F680"),
        ("--custodian", "B\u{7}o", "U+0007"),
        ("--custodian", "B\u{202e}o", "U+202E"),
        ("--organisation", "Example\nLtd", "U+000A"),
        ("--call", "📞 112", "U+1F4DE"),
        ("--call", &*"W".repeat(80), "wider than its place"),
        ("--copy", "/srv/🚀", "U+1F680"),
        ("--copy", &*deep, "wider than its place"),
    ] {
        let bo: &[&str] = if option == "--custodian" { &[] } else { &["--custodian", "Bo"] };
        init(&[bo, &[&format!("{option}={text}")]].concat()).expect(2).says(reason);
        for name in ["sheets", "repository", "keys", "lifeboat.toml", "ceremony.txt"] {
            assert!(!desk.path(name).exists(), "{name} after {option}={text}");
        }
    }
    init(&["--custodian", "Владимир", "--custodian", "../علی", "--custodian", &"字".repeat(80)]).expect(0);
    let sheets = files(&desk.path("sheets"));
    let names: Vec<_> = sheets.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    let last = format!("04-{}.txt", "字".repeat(66));
    assert_eq!((names[2], names[5], names[7]), ("02-владимир.pdf", "03----علی.txt", &*last), "{names:?}");
}

#[test]
fn later_ceremonies_and_the_runbook_say_what_init_was_told() {
    let desk = Desk::offline("111111111111");
    let people = ["--threshold", "2", "--custodian", "Ana", "--custodian", "Bo", "--custodian", "Cy"];
    let mut init = desk.command(binary());
    init.args(["init", "--repo", "repository", "--source", "aws:eu-central-1", "--yes", "--sheets", "sheets"])
        .args(people);
    init.args(["--organisation", "Example Ltd", "--call", "On call: +49 30 1234567", "--copy", "/srv/🚀"]);
    desk.finish(init.args(["--copy", "s3://west/lifeboat?region=eu-west-1&profile=own"])).expect(0);
    desk.run("custody rehearse --threshold 2 --custodian Ana --custodian Bo --sheets rehearsal").expect(0);
    desk.run("custody rotate --yes --threshold 2 --custodian Ana --custodian Bo --custodian Fay --sheets new")
        .expect(0);
    for sheet in ["sheets/01-ana.txt", "rehearsal/01-rehearsal-ana.txt", "new/03-fay.txt"] {
        let text = std::fs::read_to_string(desk.path(sheet)).unwrap();
        for said in [
            "Organisation Example Ltd\n",
            "Call         On call: +49 30 1234567\n",
            "  s3://west/lifeboat?region=eu-west-1\n",
        ] {
            assert!(text.contains(said), "{said} is missing in {sheet}: {text}");
        }
    }
    let runbook = desk.run("runbook --to aws:eu-central-1").expect(0).out;
    assert!(runbook.contains("On call: +49 30 1234567"), "{runbook}");

    desk.run("custody rotate --abort").expect(0);
    for command in ["custody reshare", "custody rotate"] {
        for name in ["Bo🚀", &"W".repeat(81)] {
            let asked = format!("{command} --yes --threshold 2 --custodian Ana --custodian {name} --sheets next");
            desk.run(&asked).expect(2).says("custodian name");
        }
    }
    let config = desk.path("lifeboat.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("+49 30", "📞")).unwrap();
    let asked = "--yes --threshold 2 --custodian Ana --custodian Bo --sheets next";
    for command in ["custody reshare", "custody rotate"] {
        desk.run(&format!("{command} {asked}")).expect(2).says("call \"On call: 📞 1234567\" cannot be printed");
    }
    assert!(!desk.path("next").exists() && !desk.path("ceremony-epoch-3.txt").exists());
    desk.run("custody rotate --abort").expect(2).says("no new set");
}
