//! The printed sheet: one page, black on white, the same bytes for the same sheet.
//!
//! From top to bottom: whose it is, beside the code; the fingerprint; the rows to type; the instructions; the blanks,
//! beside the code again, in the opposite corner, so that one stain or fold does not spoil both. What the text needs is
//! measured first, and the space that is left is shared among the gaps.

mod face;

use krilla::{
    Document, SerializeSettings,
    geom::{PathBuilder, Rect},
    page::PageSettings,
    surface::Surface,
};
use qrcode::{Color, EcLevel, QrCode};
use zeroize::Zeroizing;

use self::face::{Face, Line};
use super::sheet::{BLANKS, Content, HOW_TO_COMPARE, HOW_TO_READ, Paragraph, Section};

/// A paper size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paper {
    /// 210 × 297 mm.
    #[default]
    A4,
    /// 8.5 × 11 in.
    Letter,
}

/// A text size with its leading, in points.
#[derive(Clone, Copy)]
struct Type {
    face: Face,
    size: f32,
    leading: f32,
}

const PROSE: Type = Type { face: Face::Prose, size: 8.8, leading: 12.2 };
const SMALL: Type = Type { face: Face::Prose, size: 7.0, leading: 9.3 };
const NOTE: Type = Type { face: Face::Prose, size: 7.6, leading: 10.0 };
const LABEL: Type = Type { face: Face::Prose, size: 8.4, leading: 14.5 };
const ROW: Type = Type { face: Face::Mono, size: 17.0, leading: 25.0 };
const MARGIN: f32 = 44.0;
const COLUMN_GAP: f32 = 26.0;
const HEADER: f32 = 17.0;
const WORDS: f32 = 35.0;
const ROWS: f32 = 4.0 * ROW.leading + 30.0;

/// The page being drawn: the part of it inside the margins.
struct Sheet<'a, 'b> {
    surface: Surface<'a>,
    content: &'b Content<'b>,
    code: QrCode,
    code_size: f32,
    left: f32,
    width: f32,
}

/// Text broken into lines, with its height.
struct Block {
    lines: Vec<(Line, Type)>,
}

/// The first character of a name that no embedded font has, or that would turn the text around it.
pub(super) fn unprintable(name: &str) -> Option<char> {
    let turns = |c: &char| matches!(c, '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    name.chars().find(turns).or_else(|| Line::new(Face::Bold, name).missing())
}

/// Draws a sheet.
///
/// # Errors
/// What the PDF library says; with the embedded fonts it has no reason to.
pub(super) fn page(content: &Content<'_>, paper: Paper) -> Result<Zeroizing<Vec<u8>>, String> {
    let (width, height) = paper.points();
    let code = QrCode::with_error_correction_level(content.share.text().as_bytes(), EcLevel::H)
        .map_err(|error| error.to_string())?;
    let mut document =
        Document::new_with(SerializeSettings { xmp_metadata: false, enable_tagging: false, ..Default::default() });
    let settings = PageSettings::from_wh(width, height).ok_or("the page has no size")?;
    let mut page = document.start_page_with(settings);
    Sheet {
        surface: page.surface(),
        content,
        code,
        code_size: paper.code_size(),
        left: MARGIN,
        width: width - 2.0 * MARGIN,
    }
    .draw(height - 2.0 * MARGIN);
    page.finish();
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

    /// The side of a code: 45 modules of nearly a millimetre.
    fn code_size(self) -> f32 {
        match self {
            Self::A4 => 126.0,
            Self::Letter => 117.0,
        }
    }
}

impl Sheet<'_, '_> {
    fn draw(&mut self, height: f32) {
        let column = (self.width - COLUMN_GAP) / 2.0;
        let [what, to_do, never, recovery] = self.content.instructions();
        let left = Block::new(&[what, to_do, never], PROSE, column);
        let right = Block::new(&[recovery], PROSE, column).and(Block::new(&[Content::without_tool()], SMALL, column));
        let body = left.height().max(right.height());
        let gap = (height - HEADER - WORDS - ROWS - body - 2.0 * self.code_size) / 5.0;
        let mut y = MARGIN;
        self.header(y);
        y += HEADER + gap;
        self.identity(y);
        y += self.code_size + gap;
        self.rows(y);
        y += ROWS + gap;
        self.words(y);
        y += WORDS + gap;
        left.draw(&mut self.surface, self.left, y);
        right.draw(&mut self.surface, self.left + column + COLUMN_GAP, y);
        y += body + gap;
        self.blanks(y);
    }

    fn header(&mut self, y: f32) {
        self.text(Face::Bold, 10.5, self.left, y + 9.0, "LIFEBOAT RECOVERY SHEET");
        let number = Line::new(Face::Bold, &format!("Sheet {}", self.content.number()));
        let x = self.left + self.width - number.width(10.5);
        number.draw(&mut self.surface, x, y + 9.0, 10.5);
        self.rule(self.left, y + HEADER - 1.0, self.width, 1.0);
    }

    /// Whose it is and what it belongs to, beside the first code.
    fn identity(&mut self, y: f32) {
        let room = self.width - self.code_size - COLUMN_GAP;
        self.code(self.left + self.width - self.code_size, y);
        self.text(LABEL.face, LABEL.size, self.left, y + 7.5, "Held by");
        let name = fit(self.content.custodian, 23.0, room);
        let mut baseline = y + 32.0;
        for (line, size) in &name {
            line.draw(&mut self.surface, self.left, baseline, *size);
            baseline += size * 1.25;
        }
        self.text(Face::Prose, 9.4, self.left, y + 58.0, &self.content.threshold());
        let mut baseline = y + self.code_size - 3.0 * LABEL.leading;
        for (label, value) in self.content.facts() {
            self.text(LABEL.face, LABEL.size, self.left, baseline, label);
            self.text(Face::Mono, 8.6, self.left + 62.0, baseline, &value);
            baseline += LABEL.leading;
        }
    }

    /// The typed form, in a frame.
    fn rows(&mut self, y: f32) {
        self.frame(y, ROWS);
        self.text(NOTE.face, NOTE.size, self.left + 14.0, y + 15.0, HOW_TO_READ);
        let mut baseline = y + 15.0 + ROW.leading;
        for row in self.content.share.rows() {
            self.text(ROW.face, ROW.size, self.left + 14.0, baseline, &row);
            baseline += ROW.leading;
        }
    }

    fn words(&mut self, y: f32) {
        let words = Line::new(Face::Bold, &self.content.words());
        let size = 14.0_f32.min(14.0 * self.width / words.width(14.0));
        words.draw(&mut self.surface, self.left, y + 11.0, size);
        self.text(NOTE.face, NOTE.size, self.left, y + 26.0, HOW_TO_COMPARE);
    }

    /// What is written in by hand, beside the second code.
    fn blanks(&mut self, y: f32) {
        let room = self.width - self.code_size - COLUMN_GAP;
        self.code(self.left + self.width - self.code_size, y);
        let step = self.code_size / 3.0;
        let half = (room - 14.0) / 2.0;
        let places =
            [(0.0, room, 1.0), (0.0, half, 2.0), (half + 14.0, half, 2.0), (0.0, half, 3.0), (half + 14.0, half, 3.0)];
        for (label, (x, width, row)) in BLANKS.into_iter().zip(places) {
            let baseline = y + row * step;
            self.rule(self.left + x, baseline - 10.5, width, 0.5);
            self.text(NOTE.face, NOTE.size, self.left + x, baseline - 1.5, label);
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
            for paragraph in &section.paragraphs {
                match paragraph {
                    Paragraph::Prose(text) => lines.extend(wrap(text, kind, width)),
                    Paragraph::Code(text) => {
                        let code = Type { face: Face::Mono, size: kind.size * 0.9, leading: kind.leading * 1.1 };
                        lines.push((Line::new(code.face, text), code));
                    }
                }
            }
        }
        Self { lines }
    }

    fn and(mut self, other: Self) -> Self {
        self.lines.push((Line::new(PROSE.face, ""), Type { leading: PROSE.leading * 0.5, ..PROSE }));
        self.lines.extend(other.lines);
        self
    }

    fn height(&self) -> f32 {
        self.lines.iter().map(|(_, kind)| kind.leading).sum()
    }

    fn draw(&self, surface: &mut Surface<'_>, x: f32, mut y: f32) {
        for (line, kind) in &self.lines {
            line.draw(surface, x, y + kind.size, kind.size);
            y += kind.leading;
        }
    }
}

/// Breaks prose at spaces.
fn wrap(text: &str, kind: Type, width: f32) -> Vec<(Line, Type)> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in text.split(' ') {
        let longer = if current.is_empty() { word.to_owned() } else { format!("{current} {word}") };
        if !current.is_empty() && Line::new(kind.face, &longer).width(kind.size) > width {
            lines.push((Line::new(kind.face, &current), kind));
            current = word.to_owned();
        } else {
            current = longer;
        }
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
        None => name.split_at((middle..).find(|at| name.is_char_boundary(*at)).expect("the end is a boundary")),
    }
}
