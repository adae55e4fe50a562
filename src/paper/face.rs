//! Faces: embedded fonts, and text shaped into glyphs with the first of them that has each character.
//!
//! The fonts lie under `fonts/`, zstd-compressed and otherwise as their makers publish them, with their licences.

use std::sync::OnceLock;

use krilla::{
    geom::Point,
    surface::Surface,
    text::{Font, GlyphId, KrillaGlyph},
};
use rustybuzz::UnicodeBuffer;
use zeroize::Zeroizing;

/// The three voices of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Noto Sans.
    Prose,
    /// Noto Sans Bold.
    Bold,
    /// DejaVu Sans Mono: 0 has a stroke, and no two characters of the alphabet look alike.
    Mono,
}

/// One line of text, shaped. The characters are wiped when this goes; the glyph numbers are not.
pub struct Line {
    runs: Vec<Run>,
}

struct Run {
    font: &'static Loaded,
    text: Zeroizing<String>,
    glyphs: Vec<KrillaGlyph>,
}

struct Embedded {
    compressed: &'static [u8],
    loaded: OnceLock<Loaded>,
}

struct Loaded {
    font: Font,
    shaper: rustybuzz::Face<'static>,
}

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        [$(Embedded {
            compressed: include_bytes!(concat!("fonts/", $name, ".ttf.zst")),
            loaded: OnceLock::new(),
        }),*]
    };
}

static FONTS: [Embedded; 23] = embedded![
    "NotoSans-Regular",
    "NotoSans-Bold",
    "DejaVuSansMono",
    "NotoSansArabic-Regular",
    "NotoSansArmenian-Regular",
    "NotoSansBengali-Regular",
    "NotoSansDevanagari-Regular",
    "NotoSansEthiopic-Regular",
    "NotoSansGeorgian-Regular",
    "NotoSansGujarati-Regular",
    "NotoSansGurmukhi-Regular",
    "NotoSansHebrew-Regular",
    "NotoSansKannada-Regular",
    "NotoSansKhmer-Regular",
    "NotoSansLao-Regular",
    "NotoSansMalayalam-Regular",
    "NotoSansMyanmar-Regular",
    "NotoSansSinhala-Regular",
    "NotoSansTamil-Regular",
    "NotoSansTelugu-Regular",
    "NotoSansThai-Regular",
    "NanumGothic",
    "DroidSansFallbackFull",
];
/// The first font that is asked only when the face itself lacks a character.
const FIRST_FALLBACK: usize = 3;

impl Face {
    fn fonts(self) -> impl Iterator<Item = &'static Embedded> {
        let first = match self {
            Self::Prose => 0,
            Self::Bold => 1,
            Self::Mono => 2,
        };
        std::iter::once(&FONTS[first]).chain(&FONTS[FIRST_FALLBACK..])
    }
}

impl Line {
    /// Shapes `text`. Runs follow each other from left to right, which is right for a name in one direction and for
    /// one with a part in the other.
    pub fn new(face: Face, text: &str) -> Self {
        let mut runs: Vec<(&'static Loaded, Zeroizing<String>)> = Vec::new();
        for character in text.chars() {
            let font = match runs.last() {
                Some((last, _)) if !character.is_alphanumeric() && has(last, character) => *last,
                _ => font_for(face, character),
            };
            match runs.last_mut() {
                Some((last, run)) if std::ptr::eq(*last, font) => run.push(character),
                last => {
                    let mut run = Zeroizing::new(String::with_capacity(text.len()));
                    if last.is_some_and(|(_, before)| give_space(before)) {
                        run.push(' ');
                    }
                    run.push(character);
                    runs.push((font, run));
                }
            }
        }
        Self { runs: runs.into_iter().map(|(font, text)| Run { font, glyphs: shape(font, &text), text }).collect() }
    }

    /// The first character that no font could draw.
    pub fn missing(&self) -> Option<char> {
        self.runs.iter().find_map(|run| {
            let glyph = run.glyphs.iter().find(|glyph| glyph.glyph_id.to_u32() == 0)?;
            run.text[glyph.text_range.start..].chars().next()
        })
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The width at a font size, in points.
    pub fn width(&self, size: f32) -> f32 {
        self.runs.iter().map(|run| run.width(size)).sum()
    }

    /// Draws the line with its baseline beginning at `(x, y)`.
    pub fn draw(&self, surface: &mut Surface<'_>, mut x: f32, y: f32, size: f32) {
        for run in &self.runs {
            surface.draw_glyphs(Point::from_xy(x, y), &run.glyphs, run.font.font.clone(), &run.text, size, false);
            x += run.width(size);
        }
    }
}

impl Run {
    fn width(&self, size: f32) -> f32 {
        self.glyphs.iter().map(|glyph| glyph.x_advance * size).sum()
    }
}

impl Embedded {
    fn get(&'static self) -> &'static Loaded {
        self.loaded.get_or_init(|| {
            let bytes: &'static [u8] =
                Box::leak(zstd::decode_all(self.compressed).expect("an embedded font decompresses").into_boxed_slice());
            Loaded {
                font: Font::new(bytes.into(), 0).expect("an embedded font is one"),
                shaper: rustybuzz::Face::from_slice(bytes, 0).expect("an embedded font is one"),
            }
        })
    }
}

/// Takes the space that ends a run from right to left: there it would stand on the wrong side.
fn give_space(run: &mut String) -> bool {
    let gives = run.ends_with(' ') && run.starts_with(|first| matches!(first, '\u{0590}'..='\u{08ff}'));
    if gives {
        run.pop();
    }
    gives
}

/// The joiners have no glyph and need none.
fn has(font: &Loaded, character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}') || font.shaper.glyph_index(character).is_some()
}

/// The font for a character; the face's own where none has it, so that it shows as missing.
fn font_for(face: Face, character: char) -> &'static Loaded {
    let mut fonts = face.fonts().map(Embedded::get);
    let own = fonts.next().expect("every face has a font");
    if has(own, character) { own } else { fonts.find(|font| has(font, character)).unwrap_or(own) }
}

#[expect(clippy::cast_precision_loss, reason = "font units are far below 2^24")]
fn shape(font: &Loaded, text: &str) -> Vec<KrillaGlyph> {
    let mut buffer = UnicodeBuffer::new();
    buffer.push_str(text);
    buffer.guess_segment_properties();
    let shaped = rustybuzz::shape(&font.shaper, &[], buffer);
    let em = font.font.units_per_em();
    let mut starts: Vec<usize> = shaped.glyph_infos().iter().map(|info| info.cluster as usize).collect();
    starts.sort_unstable();
    shaped
        .glyph_infos()
        .iter()
        .zip(shaped.glyph_positions())
        .map(|(info, position)| {
            let start = info.cluster as usize;
            let end = starts.iter().copied().find(|next| *next > start).unwrap_or(text.len());
            KrillaGlyph::new(
                GlyphId::new(info.glyph_id),
                position.x_advance as f32 / em,
                position.x_offset as f32 / em,
                position.y_offset as f32 / em,
                position.y_advance as f32 / em,
                start..end,
                None,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_many_scripts_have_glyphs() {
        for name in [
            "Đặng Thị Ánh",
            "Wałęsa",
            "Ελένη Παπαδοπούλου",
            "Ольга Їжак",
            "محمد علی\u{200c}زاده",
            "דוד כהן",
            "Արամ",
            "გიორგი",
            "अनुष्का शर्मा",
            "রবীন্দ্রনাথ",
            "ਗੁਰਪ੍ਰੀਤ",
            "નર્મદા",
            "முருகன்",
            "తెలుగు",
            "ಕನ್ನಡ",
            "മലയാളം",
            "සිංහල",
            "สมชาย",
            "ລາວ",
            "ខ្មែរ",
            "မြန်မာ",
            "ኢትዮጵያ",
            "山田 太郎",
            "やまだ",
            "김민준",
            "王小明",
            "O’Brien-Núñez (ops)",
        ] {
            let line = Line::new(Face::Bold, name);
            assert_eq!(line.missing(), None, "{name}");
            assert!(line.width(10.0) > 10.0, "{name}");
        }
    }

    #[test]
    fn what_no_font_has_is_named() {
        assert_eq!(Line::new(Face::Bold, "Ana 🚀 Torres").missing(), Some('🚀'));
        assert_eq!(Line::new(Face::Bold, "山田\u{12000}").missing(), Some('\u{12000}'));
    }

    #[test]
    fn mixed_scripts_keep_their_order_and_right_to_left_is_one_run() {
        let line = Line::new(Face::Prose, "Ana דוד כהן Bo");
        let texts: Vec<&str> = line.runs.iter().map(|run| run.text.as_str()).collect();
        assert_eq!(texts, ["Ana ", "דוד כהן", " Bo"]);
        assert!(line.runs[1].glyphs[0].text_range.start > 0, "drawn from its end");
    }
}
