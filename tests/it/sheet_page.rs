//! The printed sheet, read back with tools that are not ours.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use lifeboat::{
    crypto::Signer,
    custody::{self, Ceremony, CeremonyError, CeremonyRequest, Paper},
    model::RepositoryId,
    repo::AllowedSigner,
    share::{Gathering, UntrustedShare},
};

use crate::command::{Desk, binary, files};

const INIT: &str = "init --repo repository --source aws:eu-central-1 --threshold 2 --yes";
const LONG: &str = "Maximiliane-Friederike Freifrau von Hohenstaufen-Wittelsbach und zu Habsburg PhD";

/// A ceremony for these custodians, on this paper; 2 sheets needed.
fn ceremony(custodians: &[&str], paper: Paper) -> Result<Ceremony, CeremonyError> {
    custody::hold(&CeremonyRequest {
        repository: RepositoryId::from_bytes([0x3a; 16]),
        threshold: 2,
        custodians: custodians.iter().map(ToString::to_string).collect(),
        signers: vec![AllowedSigner { name: "backup host".into(), key: Signer::generate().public() }],
        created: "2026-11-24T05:50:42Z".parse().unwrap(),
        paper,
        contact: custody::Contact::default(),
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
        let boxes = tool("poppler-utils", "pdftotext", &["-bbox", pdf.to_str().unwrap(), "-"]);
        let (width, height) = if paper == Paper::A4 { (595.28, 841.89) } else { (612.0, 792.0) };
        let mut words = 0;
        for word in boxes.lines().filter(|line| line.trim_start().starts_with("<word ")) {
            let at = |name: &str| -> f64 {
                word.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
            };
            assert!(at("xMin") > 35.0 && at("xMax") < width - 35.0, "{word}");
            assert!(at("yMin") > 30.0 && at("yMax") < height - 30.0, "{word}");
            words += 1;
        }
        assert!(words > 200, "{words}");
        let text = tool("poppler-utils", "pdftotext", &["-layout", pdf.to_str().unwrap(), "-"]);
        for said in ["Newest snapshot: number", "of (date)", "--expect-number N"] {
            assert!(text.contains(said) && ceremony.sheets[0].text.contains(said), "{said}: {text}");
        }
    }
}

#[test]
fn init_writes_private_files_and_a_script_without_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new("http://127.0.0.1:9", "111111111111");
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
    let desk = Desk::new("http://127.0.0.1:9", "111111111111");
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
fn a_name_that_cannot_be_printed_is_refused_before_there_is_a_key() {
    let desk = Desk::new("http://127.0.0.1:9", "111111111111");
    desk.run(&format!("{INIT} --custodian Ana --custodian Bo🚀 --sheets sheets")).expect(2).says("U+1F680");
    for name in ["sheets", "repository", "keys", "lifeboat.toml", "ceremony.txt"] {
        assert!(!desk.path(name).exists(), "{name}");
    }
}
