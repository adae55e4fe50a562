//! The print: the report on A4 pages. Everything is laid out first, page by page, then drawn.

use krilla::{
    Document, SerializeSettings,
    color::rgb,
    geom::{PathBuilder, Rect},
    page::PageSettings,
    paint::Fill,
    surface::Surface,
};

use super::{
    content::{Content, Objective, Row},
    plot::{self, Plot},
};
use crate::{
    paper::{Face, Line},
    text,
};

const WIDTH: f32 = 595.28;
const HEIGHT: f32 = 841.89;
const MARGIN: f32 = 52.0;
const ROOM: f32 = WIDTH - 2.0 * MARGIN;
const FOOT: f32 = HEIGHT - 46.0;
const LABEL_ROOM: f32 = 118.0;
const STATE_ROOM: f32 = 60.0;

/// Text: size and distance of lines, in points.
const TEXT: (f32, f32) = (8.6, 11.4);

type Color = [u8; 3];
const PAPER: Color = [0xff, 0xff, 0xff];
const INK: Color = [0x1d, 0x24, 0x29];
const SOFT: Color = [0x66, 0x70, 0x7a];
const LINE: Color = [0xdf, 0xe3, 0xe6];
const GOOD: Color = [0x17, 0x69, 0x3c];
const BAD: Color = [0xa3, 0x27, 0x1f];
const GOOD_BAR: Color = [0x8f, 0xb8, 0xa2];
const BAD_BAR: Color = [0xc9, 0x83, 0x7e];

enum Mark {
    Text { line: Line, x: f32, y: f32, size: f32, color: Color },
    Box { x: f32, y: f32, width: f32, height: f32, color: Color },
}

/// Pages being laid out; `y` is where the next thing begins.
struct Layout {
    pages: Vec<Vec<Mark>>,
    y: f32,
}

/// Lays out and draws.
///
/// # Errors
/// What the PDF library says.
pub(super) fn render(content: &Content) -> Result<Vec<u8>, String> {
    let mut layout = Layout { pages: vec![Vec::new()], y: MARGIN };
    layout.head(content);
    layout.objectives(&content.objectives);
    if !content.failures.is_empty() {
        layout.section("Deviations from the plan", &content.failures);
    }
    layout.trend(&plot::plot(&content.trend, content.rto_objective));
    for section in &content.sections {
        layout.section(section.title, &section.rows);
    }
    layout.section("Controls this is evidence for", &content.controls);
    layout.review(&content.review);
    layout.feet(&content.footer);
    draw(&layout.pages)
}

impl Layout {
    fn head(&mut self, content: &Content) {
        let color = tone(content.tone == "good");
        self.fill(MARGIN, self.y, ROOM, 3.5, color);
        self.y += 27.0;
        self.text(Face::Bold, 19.0, MARGIN, self.y, &content.title, INK);
        self.y += 6.0;
        self.prose(&content.scenario, 9.6, SOFT);
        self.y += 10.0;
        let verdict = content.verdict.to_uppercase();
        let word = Line::new(Face::Bold, &verdict);
        let width = word.width(11.5) + 8.0;
        self.text(Face::Bold, 11.5, MARGIN, self.y + 11.0, &verdict, color);
        for (position, line) in wrap(&content.sentence, 10.0, ROOM - width).iter().enumerate() {
            let y = self.y + 11.0 + 13.5 * lines(position);
            self.text(Face::Prose, 10.0, MARGIN + width, y, line, INK);
        }
        self.y += 13.5 * lines(wrap(&content.sentence, 10.0, ROOM - width).len()) + 12.0;
    }

    fn objectives(&mut self, objectives: &[Objective]) {
        let gap = 14.0;
        let count = objectives.len().max(2);
        let width = (ROOM - gap * lines(count - 1)) / lines(count);
        for (position, each) in objectives.iter().enumerate() {
            let x = MARGIN + lines(position) * (width + gap);
            self.frame(x, self.y, width, 66.0);
            // Three beside each other have no room for what they mean.
            let name = if count > 2 { each.name.to_owned() } else { format!("{}, {}", each.name, each.meaning) };
            self.text(Face::Prose, 8.2, x + 10.0, self.y + 15.0, &name, SOFT);
            self.text(Face::Bold, 18.0, x + 10.0, self.y + 36.0, &each.measured, INK);
            let (words, color) = match each.met {
                Some(true) => (format!("{}, met", each.against), GOOD),
                Some(false) => (format!("{}, missed", each.against), BAD),
                None => (each.against.clone(), SOFT),
            };
            self.text(Face::Prose, 8.6, x + 10.0, self.y + 50.0, &words, color);
            if let Some(share) = each.share {
                let whole = width - 20.0;
                self.fill(x + 10.0, self.y + 57.0, whole, 2.5, LINE);
                let color = tone(each.met != Some(false));
                self.fill(x + 10.0, self.y + 57.0, whole * narrow(share), 2.5, color);
            }
        }
        self.y += 66.0;
    }

    fn trend(&mut self, plot: &Plot) {
        let height = 84.0;
        self.heading("RTO of the last drills of this plan", height + 34.0);
        let base = self.y + height;
        if let Some(objective) = plot.objective {
            let y = base - narrow(objective) * height;
            let mut x = MARGIN;
            while x < MARGIN + ROOM {
                self.fill(x, y, 2.5, 0.5, SOFT);
                x += 6.0;
            }
            let word = Line::new(Face::Prose, "objective");
            self.text(Face::Prose, 6.6, MARGIN + ROOM - word.width(6.6), y - 3.0, "objective", SOFT);
        }
        for bar in &plot.bars {
            let (x, width, tall) =
                (MARGIN + narrow(bar.x) * ROOM, narrow(bar.width) * ROOM, narrow(bar.height) * height);
            self.fill(x, base - tall, width, tall, if bar.passed { GOOD_BAR } else { BAD_BAR });
            // So that a line behind it does not strike it through.
            let label = Line::new(Face::Prose, &bar.text).width(6.6) + 3.0;
            self.fill(x + (width - label) / 2.0, base - tall - 9.0, label, 8.0, PAPER);
            self.centred(6.6, x + width / 2.0, base - tall - 3.0, &bar.text, SOFT);
            self.centred(6.6, x + width / 2.0, base + 9.0, bar.label.get(2..).unwrap_or_default(), SOFT);
            if !bar.passed {
                self.centred(6.6, x + width / 2.0, base + 17.5, "not passed", BAD);
            }
        }
        self.fill(MARGIN, base, ROOM, 0.6, SOFT);
        self.y = base + 20.0;
    }

    fn section(&mut self, title: &str, rows: &[Row]) {
        self.heading(title, 2.0 * TEXT.1 + 8.0);
        self.fill(MARGIN, self.y, ROOM, 0.5, LINE);
        for row in rows {
            self.row(row);
        }
    }

    fn row(&mut self, row: &Row) {
        let room = ROOM - LABEL_ROOM - STATE_ROOM;
        let label = wrap(&row.label, TEXT.0, LABEL_ROOM - 10.0);
        let text = wrap(&row.text, TEXT.0, room);
        let tall = TEXT.1 * lines(label.len().max(text.len())) + 4.6;
        self.need(tall);
        let color = if row.state == "failed" { INK } else { SOFT };
        for (position, line) in label.iter().enumerate() {
            self.text(Face::Prose, TEXT.0, MARGIN, self.y + 10.6 + TEXT.1 * lines(position), line, color);
        }
        for (position, line) in text.iter().enumerate() {
            self.text(Face::Prose, TEXT.0, MARGIN + LABEL_ROOM, self.y + 10.6 + TEXT.1 * lines(position), line, INK);
        }
        let (face, color) = match row.state {
            "passed" => (Face::Prose, GOOD),
            "failed" => (Face::Bold, BAD),
            _ => (Face::Prose, SOFT),
        };
        let state = Line::new(face, row.state);
        self.text(face, 8.2, MARGIN + ROOM - state.width(8.2), self.y + 10.6, row.state, color);
        self.y += tall;
        self.fill(MARGIN, self.y - 0.5, ROOM, 0.5, LINE);
    }

    fn review(&mut self, blanks: &[&str]) {
        self.need(64.0);
        self.y += 52.0;
        let widths = [0.4, 0.2, 0.4];
        let mut x = MARGIN;
        for (blank, share) in blanks.iter().zip(widths) {
            let width = ROOM * share;
            self.fill(x, self.y, width - 14.0, 0.6, INK);
            self.text(Face::Prose, 7.8, x, self.y + 11.0, blank, SOFT);
            x += width;
        }
    }

    /// A line at the foot of every page.
    fn feet(&mut self, footer: &str) {
        let count = self.pages.len();
        for page in 0..count {
            let number = format!("{} of {count}", page + 1);
            let right = MARGIN + ROOM - Line::new(Face::Prose, &number).width(7.0);
            for (text, x) in [(footer, MARGIN), (&number, right)] {
                let line = Line::new(Face::Prose, text);
                self.pages[page].push(Mark::Text { line, x, y: HEIGHT - 28.0, size: 7.0, color: SOFT });
            }
        }
    }

    /// A heading that is never the last thing of a page.
    fn heading(&mut self, text: &str, with: f32) {
        self.need(34.0 + with);
        self.y += 24.0;
        self.text(Face::Bold, 10.0, MARGIN, self.y, text, INK);
        self.y += 6.0;
    }

    fn prose(&mut self, text: &str, size: f32, color: Color) {
        for line in wrap(text, size, ROOM) {
            self.y += size * 1.4;
            self.text(Face::Prose, size, MARGIN, self.y, &line, color);
        }
    }

    /// Begins a page when there is no room for `height` more.
    fn need(&mut self, height: f32) {
        if self.y + height > FOOT {
            self.pages.push(Vec::new());
            self.y = MARGIN;
        }
    }

    fn text(&mut self, face: Face, size: f32, x: f32, y: f32, text: &str, color: Color) {
        self.mark(Mark::Text { line: Line::new(face, &text::line(text)), x, y, size, color });
    }

    fn centred(&mut self, size: f32, x: f32, y: f32, text: &str, color: Color) {
        let line = Line::new(Face::Prose, text);
        let x = x - line.width(size) / 2.0;
        self.mark(Mark::Text { line, x, y, size, color });
    }

    fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        self.mark(Mark::Box { x, y, width, height, color });
    }

    fn frame(&mut self, x: f32, y: f32, width: f32, height: f32) {
        self.fill(x, y, width, 0.5, LINE);
        self.fill(x, y + height - 0.5, width, 0.5, LINE);
        self.fill(x, y, 0.5, height, LINE);
        self.fill(x + width - 0.5, y, 0.5, height, LINE);
    }

    fn mark(&mut self, mark: Mark) {
        self.pages.last_mut().expect("there is always a page").push(mark);
    }
}

fn tone(good: bool) -> Color {
    if good { GOOD } else { BAD }
}

/// Breaks text at spaces, and words that are longer than a line anywhere.
fn wrap(text: &str, size: f32, room: f32) -> Vec<String> {
    let width = |text: &str| Line::new(Face::Prose, text).width(size);
    let mut broken = Vec::new();
    let mut current = String::new();
    for word in text::line(&text.split_whitespace().collect::<Vec<_>>().join(" ")).split(' ') {
        let longer = if current.is_empty() { word.to_owned() } else { format!("{current} {word}") };
        if width(&longer) <= room {
            current = longer;
            continue;
        }
        if !current.is_empty() {
            broken.push(std::mem::take(&mut current));
        }
        for character in word.chars() {
            current.push(character);
            if width(&current) > room && current.chars().count() > 1 {
                current.pop();
                broken.push(std::mem::replace(&mut current, character.to_string()));
            }
        }
    }
    broken.push(current);
    broken
}

#[expect(clippy::cast_precision_loss, reason = "a report has few lines")]
fn lines(count: usize) -> f32 {
    count as f32
}

#[expect(clippy::cast_possible_truncation, reason = "a share of a page")]
fn narrow(share: f64) -> f32 {
    share as f32
}

fn draw(pages: &[Vec<Mark>]) -> Result<Vec<u8>, String> {
    let mut document =
        Document::new_with(SerializeSettings { xmp_metadata: false, enable_tagging: false, ..Default::default() });
    for marks in pages {
        let settings = PageSettings::from_wh(WIDTH, HEIGHT).ok_or("the page has no size")?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        for mark in marks {
            mark.draw(&mut surface);
        }
        surface.finish();
        page.finish();
    }
    document.finish().map_err(|error| format!("{error:?}"))
}

impl Mark {
    fn draw(&self, surface: &mut Surface<'_>) {
        let (Self::Text { color, .. } | Self::Box { color, .. }) = self;
        let [red, green, blue] = *color;
        surface.set_fill(Some(Fill { paint: rgb::Color::new(red, green, blue).into(), ..Fill::default() }));
        match self {
            Self::Text { line, x, y, size, .. } => line.draw(surface, *x, *y, *size),
            Self::Box { x, y, width, height, .. } => {
                let Some(rectangle) = Rect::from_xywh(*x, *y, *width, *height) else { return };
                let mut path = PathBuilder::new();
                path.push_rect(rectangle);
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
            }
        }
    }
}
