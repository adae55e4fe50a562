//! The printed sheet: one page, black on white, the same bytes for the same sheet.
//!
//! From top to bottom: whose it is, beside the code; the fingerprint; the rows to type; the instructions; the blanks,
//! beside the code again, in the opposite corner, so that one stain or fold does not spoil both. What the text needs is
//! measured first, and the space that is left is shared among the gaps.

use std::num::NonZeroU16;

use krilla::{
    Document, SerializeSettings,
    color::luma,
    geom::{PathBuilder, Rect},
    metadata::Metadata,
    page::PageSettings,
    paint::Fill,
    surface::Surface,
    tagging::{Artifact, ArtifactType, ContentTag, Tag, TagGroup, TagKind, TagTree},
};
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

use super::{
    Paper,
    fit::Part,
    rehearse::MARK,
    sheet::{BLANKS, Content, HOW_TO_COMPARE, HOW_TO_READ, Paragraph, Section},
};
use crate::paper::{Face, Line};

/// A text size with its leading, in points.
#[derive(Clone, Copy)]
struct Type {
    face: Face,
    size: f32,
    leading: f32,
}

const PROSE: Type = Type { face: Face::Prose, size: 8.8, leading: 12.2 };
const SMALL: Type = Type { face: Face::Prose, size: 7.6, leading: 10.2 };
const NOTE: Type = Type { face: Face::Prose, size: 7.6, leading: 10.0 };
const LABEL: Type = Type { face: Face::Prose, size: 8.4, leading: 14.5 };
const ROW: Type = Type { face: Face::Mono, size: 20.0, leading: 25.0 };
const COLUMN_GAP: f32 = 26.0;
/// What a fact's value stands to the right of its label.
const VALUE: f32 = 62.0;
/// The smallest sizes at which people still read whom to call, and type an address.
const SMALLEST_VALUE: f32 = 6.0;
const SMALLEST_CODE: Type = Type { face: Face::Mono, size: 6.0, leading: 8.0 };
/// Lines of an address; more would push the Letter page's second code off it.
const CODE_LINES: usize = 3;
const HEADER: f32 = 17.0;
const WORDS: f32 = 35.0;
/// A code needs four modules of white around it.
const SMALLEST_GAP: f32 = 11.0;
const ROWS: f32 = 4.0 * ROW.leading + 30.0;

/// The page being drawn: the part of it inside the margins.
struct Sheet<'a, 'b> {
    surface: Surface<'a>,
    content: &'b Content<'b>,
    code: QrCode,
    code_size: f32,
    left: f32,
    width: f32,
    /// What is on the page, in the order in which it is read aloud.
    tree: TagTree,
}

/// Text broken into lines, with its height.
struct Block {
    lines: Vec<(Line, Type)>,
}

/// The first character that no embedded font has, or that would turn the text around it.
pub(super) fn unprintable(part: Part, text: &str) -> Option<char> {
    let turns = |c: &char| matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let face = if part == Part::Copy { Face::Mono } else { Face::Bold };
    text.chars().find(turns).or_else(|| Line::new(face, text).missing())
}

/// Whether both papers have room for it in a size that can be read.
pub(super) fn has_room(part: Part, text: &str) -> bool {
    [Paper::A4, Paper::Letter].iter().all(|paper| match part {
        // In two lines any name of eighty characters fits.
        Part::Custodian => true,
        Part::Organisation | Part::Call => {
            Line::new(Face::Bold, text).width(SMALLEST_VALUE) <= paper.identity() - VALUE
        }
        Part::Copy => fold(text, SMALLEST_CODE, paper.column()).len() <= CODE_LINES,
    })
}

/// Draws a sheet.
///
/// # Errors
/// What the PDF library says; with the embedded fonts it has no reason to.
pub(super) fn page(content: &Content<'_>, paper: Paper) -> Result<Zeroizing<Vec<u8>>, String> {
    let (page_width, height) = paper.points();
    let margin = paper.margin();
    let code = QrCode::with_error_correction_level(content.share.text().as_bytes(), EcLevel::H)
        .map_err(|error| error.to_string())?;
    let mut document =
        Document::new_with(SerializeSettings { xmp_metadata: false, enable_tagging: true, ..Default::default() });
    document.set_metadata(Metadata::new().title(content.title().to_owned()).language("en".into()));
    let settings = PageSettings::from_wh(page_width, height).ok_or("the page has no size")?;
    let mut page = document.start_page_with(settings);
    let mut sheet = Sheet {
        surface: page.surface(),
        content,
        code,
        code_size: paper.code_size(),
        left: margin,
        width: paper.width(),
        tree: TagTree::new().with_lang(Some("en".into())),
    };
    let drawn = sheet.draw(margin, height - 2.0 * margin);
    let tree = std::mem::replace(&mut sheet.tree, TagTree::new());
    drop(sheet);
    page.finish();
    drawn?;
    document.set_tag_tree(tree);
    document.finish().map(Zeroizing::new).map_err(|error| format!("{error:?}"))
}

impl Paper {
    /// Width and height in points.
    fn points(self) -> (f32, f32) {
        match self {
            Self::A4 => (595.28, 841.89),
            Self::Letter => (612.0, 792.0),
        }
    }

    /// The margin on all sides; every printer reaches half an inch.
    fn margin(self) -> f32 {
        match self {
            Self::A4 => 44.0,
            Self::Letter => 36.0,
        }
    }

    /// The width inside the margins.
    fn width(self) -> f32 {
        self.points().0 - 2.0 * self.margin()
    }

    /// The width of one of two columns.
    fn column(self) -> f32 {
        (self.width() - COLUMN_GAP) / 2.0
    }

    /// The width beside a code.
    fn identity(self) -> f32 {
        self.width() - self.code_size() - COLUMN_GAP
    }

    /// The side of a code: 45 modules of nearly a millimetre.
    fn code_size(self) -> f32 {
        match self {
            Self::A4 => 126.0,
            Self::Letter => 114.0,
        }
    }
}

impl Sheet<'_, '_> {
    fn draw(&mut self, mut y: f32, height: f32) -> Result<(), String> {
        let column = (self.width - COLUMN_GAP) / 2.0;
        let left = Block::new(&self.content.instructions(), PROSE, column);
        let right: Vec<Section> = [Content::without_tool()].into_iter().chain(self.content.copy()).collect();
        let right = Block::new(&right, SMALL, column);
        let body = left.height().max(right.height());
        let gap = (height - HEADER - WORDS - ROWS - body - 2.0 * self.code_size) / 5.0;
        if gap < SMALLEST_GAP {
            return Err("the text is longer than the page".into());
        }
        self.header(y);
        y += HEADER + gap;
        self.identity(y);
        y += self.code_size + gap;
        self.rows(y);
        y += ROWS + gap;
        self.words(y);
        y += WORDS + gap;
        if self.content.is_rehearsal() {
            self.mark(y + body / 2.0);
        }
        self.column(&left, self.left, y);
        self.column(&right, self.left + column + COLUMN_GAP, y);
        y += body + gap;
        self.blanks(y);
        Ok(())
    }

    /// Draws something that is one thing to whoever listens.
    fn tagged(&mut self, tag: impl Into<TagKind>, draw: impl FnOnce(&mut Self)) {
        let mut group = TagGroup::new(tag);
        group.push(self.surface.start_tagged(ContentTag::Other));
        draw(self);
        self.surface.end_tagged();
        self.tree.push(group);
    }

    fn header(&mut self, y: f32) {
        self.tagged(heading(1), |sheet| {
            sheet.text(Face::Bold, 10.5, sheet.left, y + 9.0, sheet.content.title());
        });
        self.tagged(Tag::P, |sheet| {
            let number = Line::new(Face::Bold, &format!("Sheet {}", sheet.content.number()));
            let x = sheet.left + sheet.width - number.width(10.5);
            number.draw(&mut sheet.surface, x, y + 9.0, 10.5);
            sheet.rule(sheet.left, y + HEADER - 1.0, sheet.width, 1.0);
        });
    }

    /// The mark of a rehearsal across the page, in grey, behind the text: nobody takes the sheet for a real one.
    fn mark(&mut self, middle: f32) {
        let line = Line::new(Face::Bold, MARK);
        let size = self.width / line.width(1.0);
        self.surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Watermark)));
        self.surface.set_fill(Some(Fill { paint: luma::Color::new(222).into(), ..Fill::default() }));
        line.draw(&mut self.surface, self.left, middle + size * 0.36, size);
        self.surface.set_fill(None);
        self.surface.end_tagged();
    }

    /// Sections below one another: headings, paragraphs and what is to be typed, each one thing to whoever listens.
    fn column(&mut self, block: &Block, x: f32, mut y: f32) {
        // A line with less below it than the next one has is a gap, which belongs to what follows.
        let belongs = |(one, before): &(Line, Type), (_, next): &(Line, Type)| {
            before.face == next.face && (one.is_empty() || before.leading <= next.leading)
        };
        for lines in block.lines.chunk_by(belongs) {
            if lines.iter().all(|(line, _)| line.is_empty()) {
                y += lines.iter().map(|(_, kind)| kind.leading).sum::<f32>();
                continue;
            }
            let tag = if lines[0].1.face == Face::Bold { heading(2) } else { Tag::P.into() };
            self.tagged(tag, |sheet| {
                for (line, kind) in lines {
                    line.draw(&mut sheet.surface, x, y + kind.size, kind.size);
                    y += kind.leading;
                }
            });
        }
    }

    /// Whose it is and what it belongs to, beside the first code.
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    fn identity(&mut self, y: f32) {
        let room = self.width - self.code_size - COLUMN_GAP;
        self.tagged(figure(), |sheet| sheet.code(sheet.left + sheet.width - sheet.code_size, y));
        self.tagged(Tag::P, |sheet| sheet.whose(y, room));
        self.tagged(Tag::P, |sheet| sheet.text(Face::Prose, 9.4, sheet.left, y + 54.0, &sheet.content.threshold()));
        let (whom, facts) = (self.content.whom(), self.content.facts());
        let rows = (whom.len() + facts.len() - 1) as f32;
        // The smaller code of the Letter page leaves room for five rows only closer together.
        let leading = LABEL.leading.min((self.code_size - 66.0) / rows);
        let mut baseline = y + self.code_size - rows * leading;
        for (label, value) in whom {
            let line = Line::new(Face::Bold, value);
            let size = 9.4_f32.min((room - VALUE) / line.width(1.0));
            self.fact(label, &line, size, baseline);
            baseline += leading;
        }
        for (label, value) in facts {
            self.fact(label, &Line::new(Face::Mono, &value), 8.4, baseline);
            baseline += leading;
        }
    }

    fn whose(&mut self, y: f32, room: f32) {
        self.text(LABEL.face, LABEL.size, self.left, y + 7.5, "Held by ");
        let name = fit(self.content.custodian, 23.0, room);
        let mut baseline = if name.len() == 1 { y + 32.0 } else { y + 25.0 };
        for (line, size) in &name {
            line.draw(&mut self.surface, self.left, baseline, *size);
            baseline += size * 1.25;
        }
    }

    fn fact(&mut self, label: &str, value: &Line, size: f32, baseline: f32) {
        self.tagged(Tag::P, |sheet| {
            sheet.text(LABEL.face, LABEL.size, sheet.left, baseline, &format!("{label} "));
            value.draw(&mut sheet.surface, sheet.left + VALUE, baseline, size);
        });
    }

    /// The typed form, in a frame.
    fn rows(&mut self, y: f32) {
        self.tagged(Tag::P, |sheet| {
            sheet.frame(y, ROWS);
            sheet.text(NOTE.face, NOTE.size, sheet.left + 14.0, y + 15.0, HOW_TO_READ);
        });
        let mut baseline = y + 18.0 + ROW.leading;
        for row in self.content.share.rows() {
            self.tagged(Tag::P, |sheet| sheet.text(ROW.face, ROW.size, sheet.left + 14.0, baseline, &row));
            baseline += ROW.leading;
        }
    }

    fn words(&mut self, y: f32) {
        self.tagged(Tag::P, |sheet| {
            let words = Line::new(Face::Bold, &sheet.content.words());
            let size = 14.0_f32.min(14.0 * sheet.width / words.width(14.0));
            words.draw(&mut sheet.surface, sheet.left, y + 11.0, size);
        });
        self.tagged(Tag::P, |sheet| {
            sheet.text(NOTE.face, NOTE.size, sheet.left, y + 26.0, HOW_TO_COMPARE);
        });
    }

    /// What is written in by hand, beside the second code.
    fn blanks(&mut self, y: f32) {
        let room = self.width - self.code_size - COLUMN_GAP;
        self.tagged(figure(), |sheet| sheet.code(sheet.left + sheet.width - sheet.code_size, y));
        let step = self.code_size / 4.0;
        let half = (room - 14.0) / 2.0;
        let places = [
            (0.0, room, 1.0),
            (0.0, half, 2.0),
            (half + 14.0, half, 2.0),
            (0.0, half, 3.0),
            (half + 14.0, half, 3.0),
            (0.0, half, 4.0),
            (half + 14.0, half, 4.0),
        ];
        for (label, (x, width, row)) in BLANKS.into_iter().zip(places) {
            let baseline = y + row * step;
            self.tagged(Tag::P, |sheet| {
                sheet.rule(sheet.left + x, baseline - 10.5, width, 0.5);
                sheet.text(NOTE.face, NOTE.size, sheet.left + x, baseline - 1.5, label);
            });
        }
    }

    fn text(&mut self, face: Face, size: f32, x: f32, baseline: f32, text: &str) {
        Line::new(face, text).draw(&mut self.surface, x, baseline, size);
    }

    fn rule(&mut self, x: f32, y: f32, width: f32, thickness: f32) {
        self.fill([[x, y, width, thickness]]);
    }

    fn frame(&mut self, y: f32, height: f32) {
        let (x, width, line) = (self.left, self.width, 0.7);
        self.fill([
            [x, y, width, line],
            [x, y + height - line, width, line],
            [x, y, line, height],
            [x + width - line, y, line, height],
        ]);
    }

    /// The code as one path of horizontal bars, without seams.
    #[expect(clippy::cast_precision_loss, reason = "a code has at most 177 modules a side")]
    fn code(&mut self, x: f32, y: f32) {
        let side = self.code.width();
        let module = self.code_size / side as f32;
        let colors =
            Zeroizing::new(self.code.to_colors().iter().map(|color| *color == Color::Dark).collect::<Vec<_>>());
        let mut bars = Vec::new();
        for (row, modules) in colors.chunks(side).enumerate() {
            let mut column = 0;
            for run in modules.chunk_by(|one, next| one == next) {
                if run[0] {
                    bars.push([x + column as f32 * module, y + row as f32 * module, run.len() as f32 * module, module]);
                }
                column += run.len();
            }
        }
        self.fill(bars);
    }

    /// Fills rectangles of x, y, width and height in black.
    fn fill(&mut self, rectangles: impl IntoIterator<Item = [f32; 4]>) {
        let mut path = PathBuilder::new();
        for [x, y, width, height] in rectangles {
            if let Some(rectangle) = Rect::from_xywh(x, y, width, height) {
                path.push_rect(rectangle);
            }
        }
        if let Some(path) = path.finish() {
            self.surface.draw_path(&path);
        }
    }
}

impl Block {
    fn new(sections: &[Section], kind: Type, width: f32) -> Self {
        let mut lines = Vec::new();
        for (position, section) in sections.iter().enumerate() {
            if position > 0 {
                lines.push((Line::new(kind.face, ""), Type { leading: kind.leading * 0.5, ..kind }));
            }
            lines.push((Line::new(Face::Bold, section.title), Type { face: Face::Bold, ..PROSE }));
            for (position, paragraph) in section.paragraphs.iter().enumerate() {
                match paragraph {
                    Paragraph::Prose(text) => {
                        if position > 0 {
                            lines.push((Line::new(kind.face, ""), Type { leading: kind.leading * 0.2, ..kind }));
                        }
                        lines.extend(wrap(text, kind, width));
                    }
                    Paragraph::Code(text) => lines.extend(code(text, kind, width)),
                }
            }
        }
        Self { lines }
    }

    fn height(&self) -> f32 {
        self.lines.iter().map(|(_, kind)| kind.leading).sum()
    }
}

fn heading(level: u16) -> TagKind {
    Tag::Hn(NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN), None).into()
}

/// What is said of a code to whoever cannot see it.
fn figure() -> TagKind {
    Tag::Figure(Some("A QR code that holds the same as the four rows".into())).into()
}

/// Code in one line, smaller if need be; in several lines rather than too small to be typed.
fn code(text: &str, kind: Type, width: f32) -> Vec<(Line, Type)> {
    let line = Line::new(Face::Mono, text);
    let size = (kind.size * 0.94).min(width / line.width(1.0));
    if size < SMALLEST_CODE.size {
        return fold(text, SMALLEST_CODE, width);
    }
    vec![(line, Type { face: Face::Mono, size, leading: kind.leading * 1.15 })]
}

/// Breaks after any character: an address has no spaces.
fn fold(text: &str, kind: Type, width: f32) -> Vec<(Line, Type)> {
    let (mut lines, mut current) = (Vec::new(), String::new());
    let mut used = 0.0;
    for character in text.chars() {
        let length = Line::new(kind.face, character.encode_utf8(&mut [0; 4])).width(kind.size);
        if !current.is_empty() && used + length > width {
            lines.push((Line::new(kind.face, &current), kind));
            (current, used) = (String::new(), 0.0);
        }
        current.push(character);
        used += length;
    }
    lines.push((Line::new(kind.face, &current), kind));
    lines
}

/// Breaks prose at spaces; a broken line keeps its space, so that whoever listens hears two words.
fn wrap(text: &str, kind: Type, width: f32) -> Vec<(Line, Type)> {
    let space = Line::new(kind.face, " ").width(kind.size);
    let mut lines = Vec::new();
    let (mut current, mut used) = (String::new(), 0.0);
    for word in text.split(' ') {
        let length = Line::new(kind.face, word).width(kind.size);
        if !current.is_empty() && used + space + length > width {
            current.push(' ');
            lines.push((Line::new(kind.face, &current), kind));
            (current, used) = (String::new(), 0.0);
        }
        if !current.is_empty() {
            current.push(' ');
            used += space;
        }
        current.push_str(word);
        used += length;
    }
    lines.push((Line::new(kind.face, &current), kind));
    lines
}

/// A name in one line, smaller if need be; in two lines rather than very small.
fn fit(name: &str, largest: f32, room: f32) -> Vec<(Line, f32)> {
    let size = |line: &Line, largest: f32| largest.min(room / line.width(1.0).max(1.0));
    let whole = Line::new(Face::Bold, name);
    let one = size(&whole, largest);
    if one >= 13.0 {
        return vec![(whole, one)];
    }
    let (first, second) = halves(name);
    let (first, second) = (Line::new(Face::Bold, first), Line::new(Face::Bold, second));
    let two = size(&first, 13.0).min(size(&second, 13.0));
    vec![(first, two), (second, two)]
}

/// Splits at the space nearest to the middle, or in the middle.
fn halves(name: &str) -> (&str, &str) {
    let middle = name.len() / 2;
    let spaces = name.match_indices(' ').map(|(at, _)| at);
    match spaces.min_by_key(|at| at.abs_diff(middle)).filter(|at| at.abs_diff(middle) < name.len() / 4) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => name.split_at(name.floor_char_boundary(middle)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::{RecoveryKey, Signer},
        custody::Contact,
        repo::Epoch,
        share::{self, UntrustedShare},
    };

    fn epoch(key: &RecoveryKey, set: &str) -> Epoch {
        Epoch {
            version: 1,
            repository: crate::model::RepositoryId::from_bytes([7; 16]),
            number: 1,
            created: "2026-11-24T05:50:42Z".parse().unwrap(),
            recipient: key.recipient(),
            root: Signer::generate().public(),
            threshold: 2,
            total: 3,
            share_set: set.into(),
            custodians: Vec::new(),
            signers: Vec::new(),
            previous: None,
            closing: None,
        }
    }

    #[test]
    fn the_same_sheet_is_the_same_bytes_and_another_is_not() {
        let key = RecoveryKey::generate();
        let shares = share::split(&key, 2, 3).unwrap();
        let epoch = epoch(&key, &hex::encode(shares[0].set().0));
        let make = |custodian: &str, share: usize, paper| {
            page(&Content { custodian, epoch: &epoch, share: &shares[share], contact: &Contact::default() }, paper)
                .unwrap()
        };
        let first = make("Đặng 山田 An", 0, Paper::A4);
        assert!(*first == *make("Đặng 山田 An", 0, Paper::A4));
        for other in
            [make("Ana", 0, Paper::A4), make("Đặng 山田 An", 1, Paper::A4), make("Đặng 山田 An", 0, Paper::Letter)]
        {
            assert!(*first != *other);
        }
        let holds = |needle: &[u8]| first.windows(needle.len()).any(|window| window == needle);
        assert!(holds(b"/StructTreeRoot") && holds(b"/Marked true"), "what is a heading says so");
        assert!(holds(b"/Lang"), "a reader that speaks knows the language");
        for volatile in [&b"/CreationDate"[..], b"/ModDate", b"/Producer"] {
            assert!(!holds(volatile), "{}", String::from_utf8_lossy(volatile));
        }
    }

    #[test]
    fn a_code_is_version_seven_with_a_third_to_spare() {
        let shares = share::split(&RecoveryKey::generate(), 2, 3).unwrap();
        let text = shares[0].text();
        assert!(UntrustedShare::parse(&text).is_ok());
        let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::H).unwrap();
        assert_eq!((code.width(), code.error_correction_level()), (45, EcLevel::H), "alphanumeric, not bytes");
    }

    #[test]
    fn a_name_fits_whatever_its_length() {
        for name in ["Li", &"W".repeat(80), &"字".repeat(80), &"Anna-Maria ".repeat(7), "a b", "é"] {
            let lines = fit(name, 23.0, 355.0);
            assert!(lines.iter().all(|(line, size)| line.width(*size) <= 355.1 && *size > 4.0), "{name}");
            assert!(lines.iter().map(|(_, size)| size * 1.25).sum::<f32>() < 34.0, "{name}");
        }
    }

    #[test]
    fn names_that_would_deceive_or_show_holes_are_unprintable() {
        for (name, character) in [("Ana\u{202e}seroT", '\u{202e}'), ("A\u{200b}na", '\u{200b}'), ("Ana 🚀", '🚀')] {
            assert_eq!(unprintable(Part::Custodian, name), Some(character), "{name:?}");
        }
        assert_eq!(unprintable(Part::Custodian, "علی\u{200c}رضا"), None);
    }
}
