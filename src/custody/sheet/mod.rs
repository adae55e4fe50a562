//! What a custodian's sheet says, and its rendering as plain text. The printed page says the same, from here.

mod words;

use zeroize::Zeroizing;

use super::Contact;
use crate::{
    repo::Epoch,
    share::{Share, ShareSetId},
};

pub(super) use words::words;

/// Columns of the text sheet.
const COLUMNS: usize = 96;

/// Everything one sheet says.
pub(super) struct Content<'a> {
    pub(super) custodian: &'a str,
    pub(super) epoch: &'a Epoch,
    pub(super) share: &'a Share,
    pub(super) contact: &'a Contact,
}

/// A heading and what is below it.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) paragraphs: Vec<Paragraph>,
}

/// A piece of a section, without line breaks.
pub(super) enum Paragraph {
    /// Wrapped at spaces.
    Prose(String),
    /// To be typed or read character by character; never broken at spaces.
    Code(String),
}

/// What is written in by hand. The last two are what `custody register` prints: a later repository never has a lower number.
pub(super) const BLANKS: [&str; 7] =
    ["Name", "Place", "Bag number", "Date", "Signature", "Newest snapshot: number", "of (date)"];

/// How to use the share, above the rows.
pub(super) const HOW_TO_READ: &str =
    "Scan a code, or type these rows. The two characters after = check the row; spaces and case do not matter.";

/// What the words are for.
pub(super) const HOW_TO_COMPARE: &str =
    "Fingerprint of the key. All sheets have the same words; read them aloud over the phone to compare. Not secret.";

impl Content<'_> {
    /// Only the epoch of a rehearsal has nobody who may sign.
    pub(super) fn is_rehearsal(&self) -> bool {
        self.epoch.signers.is_empty()
    }

    /// What it is, in capitals.
    pub(super) fn title(&self) -> &'static str {
        if self.is_rehearsal() { "LIFEBOAT REHEARSAL SHEET: OPENS NOTHING" } else { "LIFEBOAT RECOVERY SHEET" }
    }

    /// `2 of 5`.
    pub(super) fn number(&self) -> String {
        format!("{} of {}", self.share.index(), self.epoch.total)
    }

    /// The sentence about the threshold.
    pub(super) fn threshold(&self) -> String {
        let Epoch { threshold, total, .. } = self.epoch;
        if self.is_rehearsal() {
            return format!("Rehearsal: any {threshold} of the {total} sheets give a key that opens nothing.");
        }
        format!("Any {threshold} of the {total} sheets open the backup. This one alone opens nothing.")
    }

    /// What identifies the sheet; nothing secret.
    pub(super) fn facts(&self) -> [(&'static str, String); 3] {
        let ShareSetId(set) = self.share.set();
        let set = hex::encode_upper(set);
        [
            (
                "Share set",
                format!("{}-{}, key epoch {}, made {}", &set[..4], &set[4..], self.epoch.number, self.epoch.created),
            ),
            ("Repository", self.epoch.repository.to_string()),
            ("Key", hex::encode_upper(self.share.fingerprint().0)),
        ]
    }

    /// Whose backup it is and whom to call, where the ceremony was told.
    pub(super) fn whom(&self) -> Vec<(&'static str, &str)> {
        let parts = [("Organisation", &self.contact.organisation), ("Call", &self.contact.call)];
        parts.into_iter().filter_map(|(label, text)| Some((label, text.as_deref()?))).collect()
    }

    /// The fingerprint in words.
    pub(super) fn words(&self) -> String {
        words(self.share.fingerprint())
    }

    /// For the custodian.
    pub(super) fn instructions(&self) -> [Section; 4] {
        let Epoch { threshold, total, .. } = self.epoch;
        let prose = |text: &str| vec![Paragraph::Prose(text.into())];
        [
            Section {
                title: "What this is",
                paragraphs: prose(&if self.is_rehearsal() {
                    format!(
                        "One of {total} sheets of a rehearsal. Their key was made for it and opens no backup. Treat the \
                         sheet as the real one will be treated, and destroy it when the rehearsal is over."
                    )
                } else {
                    format!(
                        "One of {total} sheets that together hold the key to a backup of production secrets. This sheet \
                         alone opens nothing and tells nothing. Any {threshold} of the {total} sheets open everything."
                    )
                }),
            },
            Section {
                title: "What to do",
                paragraphs: prose(
                    "Keep it where only you can reach it: a safe, a sealed numbered bag. Look twice a year that it is \
                     there and readable. Bring it when you are asked to, in person.",
                ),
            },
            Section {
                title: "What never to do",
                paragraphs: prose(
                    "Never photograph, scan, copy, e-mail or type it, except at a recovery or a check that you came \
                     to. Never keep it beside another sheet. If it is lost, or somebody may have seen it, say so the \
                     same day.",
                ),
            },
            Section {
                title: "At a recovery",
                paragraphs: vec![
                    Paragraph::Code("lifeboat restore --repo COPY --to aws:REGION --expect-number N".into()),
                    Paragraph::Prose(
                        "asks for one sheet after the other. N is the highest snapshot number on any sheet or bag. \
                         Without the tool: RECOVER.md and recover.py lie in every copy; they need Python, age and zstd."
                            .into(),
                    ),
                ],
            },
        ]
    }

    /// Where a copy is, for whoever has only the sheet.
    pub(super) fn copy(&self) -> Option<Section> {
        let copy = self.contact.copy.clone()?;
        Some(Section { title: "COPY is", paragraphs: vec![Paragraph::Code(copy)] })
    }

    /// For whoever has the sheets and a copy, and nothing of ours. The long form is docs/format.md.
    pub(super) fn without_tool() -> Section {
        let prose = |text: &str| Paragraph::Prose(text.into());
        Section {
            title: "Without any tool of ours",
            paragraphs: vec![
                prose(
                    "Text. Drop the row numbers and the two characters after each =; 87 characters remain: 74 of data, \
                     13 of checksum (codex32, BIP-93; a code reads LB1 before them). Each is 5 bits, highest first, by \
                     its place in the alphabet",
                ),
                Paragraph::Code("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".into()),
                prose(
                    "Data, 46 bytes: version and kind (0x10), k, n, x, 4 bytes of set id, 32 bytes y, 6 bytes of \
                     SHA-256(root public key, recipient).",
                ),
                prose(
                    "Field. Bytes are elements of GF(2^8), modulo x^8+x^4+x^3+x^2+1 (0x11d); + is xor. From k sheets \
                     of one set, for each of the 32 bytes:",
                ),
                Paragraph::Code("key = SUM_i  y_i * PRODUCT_(j != i)  x_j / (x_i + x_j)".into()),
                prose(
                    "Key. The 32 bytes, in bech32 with the prefix AGE-SECRET-KEY-, are an age X25519 identity \
                     (age-encryption.org). A wrong sheet gives a wrong key, which opens nothing.",
                ),
                prose(
                    "Files. packs/*/*.age and indexes/*.age are age, in it zstd, in it JSON lines. An index has a line \
                     for each secret and says in which pack and line each version's value is; snapshots/*/*.json names \
                     the packs and indexes of one snapshot.",
                ),
                Paragraph::Code("age -d -i KEY FILE | zstd -d".into()),
            ],
        }
    }

    /// The sheet as text; the buffer is large enough that no copy of the share is left behind by growing.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let mut page = Zeroizing::new(String::with_capacity(16384));
        line(&mut page, self.title());
        line(&mut page, &"=".repeat(self.title().len()));
        line(&mut page, "");
        fact(&mut page, "Held by", self.custodian);
        fact(&mut page, "Sheet", &self.number());
        for (label, value) in self.whom() {
            fact(&mut page, label, value);
        }
        for (label, value) in self.facts() {
            fact(&mut page, label, &value);
        }
        fact(&mut page, "In words", &self.words());
        line(&mut page, "");
        wrap(&mut page, &self.threshold());
        wrap(&mut page, HOW_TO_COMPARE);
        line(&mut page, "");
        wrap(&mut page, HOW_TO_READ);
        line(&mut page, "");
        for row in self.share.rows() {
            page.push_str("      ");
            line(&mut page, &row);
        }
        line(&mut page, "");
        wrap(&mut page, "The same in one piece, as a code holds it:");
        line(&mut page, "");
        page.push_str("      ");
        line(&mut page, &self.share.text());
        for part in self.instructions().into_iter().chain(self.copy()).chain([Self::without_tool()]) {
            section(&mut page, &part);
        }
        for blank in BLANKS {
            line(&mut page, "");
            line(&mut page, &format!("  {blank:<24} ______________________________________________"));
        }
        page
    }
}

fn fact(page: &mut String, label: &str, value: &str) {
    line(page, &format!("  {label:<12} {value}"));
}

fn section(page: &mut String, section: &Section) {
    line(page, "");
    line(page, &section.title.to_uppercase());
    for paragraph in &section.paragraphs {
        match paragraph {
            Paragraph::Prose(text) => wrap(page, text),
            Paragraph::Code(text) => line(page, &format!("      {text}")),
        }
    }
}

fn wrap(page: &mut String, text: &str) {
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used == 0 || used + 1 + length > COLUMNS {
            page.push_str(if used == 0 { "  " } else { "\n  " });
            used = 2 + length;
        } else {
            page.push(' ');
            used += 1 + length;
        }
        page.push_str(word);
    }
    page.push('\n');
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}
