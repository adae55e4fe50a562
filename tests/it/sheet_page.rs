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

const LONG: &str = "Maximiliane-Friederike Freifrau von Hohenstaufen-Wittelsbach und zu Habsburg, PhD";

/// A ceremony for these custodians, on this paper; 2 sheets needed.
fn ceremony(custodians: &[&str], paper: Paper) -> Result<Ceremony, CeremonyError> {
    custody::hold(&CeremonyRequest {
        repository: RepositoryId::from_bytes([0x3a; 16]),
        threshold: 2,
        custodians: custodians.iter().map(ToString::to_string).collect(),
        signers: vec![AllowedSigner { name: "backup host".into(), key: Signer::generate().public() }],
        created: "2026-11-24T05:50:42Z".parse().unwrap(),
        paper,
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
            if let Ok(keep) = std::env::var("LIFEBOAT_KEEP_PAGES") {
                std::fs::write(format!("{keep}/{paper:?}-{}.pdf", sheet.index), &*sheet.pdf).unwrap();
            }
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
