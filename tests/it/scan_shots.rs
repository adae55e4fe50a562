//! The kinds of photo people take of a sheet, each from easy to hard.
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels and parts of them")]

use crate::scan_picture::{Dice, Picture, blot, corners, lay, page};

/// Makes one photo, as a JPEG.
pub type Shot = fn(&mut Scene) -> Vec<u8>;

/// One photo about to be made.
pub struct Scene {
    dice: Dice,
    pages: [Picture; 2],
    level: f32,
}

impl Scene {
    /// Of these two sheets; `level`, 0 to 1, is how bad it gets.
    pub fn new(texts: [&str; 2], level: f32, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let pages = texts.map(|text| page(text, &mut dice));
        Self { dice, pages, level }
    }

    /// The first page on a table, in a photo of this size.
    fn photo(&mut self, size: (usize, usize), fill: f32, degrees: f32, tilt: f32) -> Picture {
        self.bent(size, fill, degrees, tilt, 0.0, 0.0)
    }

    fn bent(&mut self, size: (usize, usize), fill: f32, degrees: f32, tilt: f32, curl: f32, crease: f32) -> Picture {
        let mut photo = table(size, &mut self.dice);
        let corners = corners(size, fill, degrees, tilt, &mut self.dice);
        lay(&mut photo, &self.pages[0], &corners, curl, crease);
        photo
    }

    fn turn(&mut self) -> f32 {
        self.dice.between(-12.0, 12.0)
    }

    /// Where the left code is, about, in a photo without turn that the page fills.
    fn near_code(&mut self) -> (f32, f32) {
        (self.dice.between(0.36, 0.44), self.dice.between(0.2, 0.3))
    }
}

const LARGE: (usize, usize) = (2000, 1500);

/// The kinds of photo, each from easy to hard.
pub const SHOTS: [(&str, Shot); 16] = [
    ("straight", |s| {
        let turn = s.turn();
        s.photo(LARGE, 0.95, turn, 0.02).jpeg(90)
    }),
    ("turned", |s| {
        let turn = s.dice.between(0.0, 360.0);
        s.photo(LARGE, 0.8, turn, 0.02).jpeg(85)
    }),
    ("at an angle", |s| {
        let turn = s.turn();
        s.photo(LARGE, 0.95, turn, 0.1 + 0.25 * s.level).jpeg(85)
    }),
    ("out of focus", |s| {
        let turn = s.turn();
        let mut photo = s.photo(LARGE, 0.95, turn, 0.05);
        photo.blur(1 + (s.level * 1.6) as usize, 0);
        photo.jpeg(80)
    }),
    ("shaken", |s| {
        let turn = s.turn();
        let mut photo = s.photo(LARGE, 0.95, turn, 0.05);
        photo.blur(0, 1 + (s.level * 2.5) as usize);
        photo.jpeg(80)
    }),
    ("in the dark", |s| {
        let turn = s.turn();
        let mut photo = s.photo(LARGE, 0.9, turn, 0.05);
        let light = 0.45 - 0.3 * s.level;
        photo.light(|_, _| light);
        photo.grain(4.0 + 8.0 * s.level, &mut s.dice);
        photo.jpeg(85)
    }),
    ("grainy", |s| {
        let turn = s.turn();
        let mut photo = s.photo(LARGE, 0.9, turn, 0.05);
        photo.grain(15.0 + 45.0 * s.level, &mut s.dice);
        photo.jpeg(80)
    }),
    ("badly compressed", |s| {
        let turn = s.turn();
        s.photo(LARGE, 0.9, turn, 0.05).jpeg(30 - (22.0 * s.level) as u8)
    }),
    ("uneven light", |s| {
        let turn = s.turn();
        let mut photo = s.photo(LARGE, 0.9, turn, 0.05);
        let (depth, slope) = (0.4 + 0.5 * s.level, s.dice.between(-1.0, 1.0));
        photo.light(|x, y| 1.0 - depth * (x + slope * y).clamp(0.0, 1.0));
        photo.grain(4.0, &mut s.dice);
        photo.jpeg(85)
    }),
    ("shadow", |s| {
        let turn = s.turn();
        let mut photo = s.photo(LARGE, 0.9, turn, 0.05);
        let (depth, at, slope) = (0.4 + 0.4 * s.level, s.dice.between(0.3, 0.7), s.dice.between(-0.6, 0.6));
        photo.light(|x, y| 1.0 - depth * ((x - at + slope * (y - 0.5)) * 60.0).clamp(0.0, 1.0));
        photo.jpeg(85)
    }),
    ("curled", |s| {
        let turn = s.turn();
        s.bent(LARGE, 0.9, turn, 0.05, 20.0 + 50.0 * s.level, 0.0).jpeg(85)
    }),
    ("folded", |s| {
        let turn = s.turn();
        s.bent(LARGE, 0.9, turn, 0.05, 0.0, 60.0 + 200.0 * s.level).jpeg(85)
    }),
    ("stained", |s| {
        let turn = s.turn() / 4.0;
        let mut photo = s.photo(LARGE, 0.95, turn, 0.02);
        for _ in 0..3 {
            let (at, radius, level) = (s.near_code(), s.dice.between(0.01, 0.05), 0.8 - 0.5 * s.level);
            blot(&mut photo, at, radius, level, 0.01);
        }
        photo.jpeg(85)
    }),
    ("thumb on it", |s| {
        let turn = s.turn() / 4.0;
        let mut photo = s.photo(LARGE, 0.95, turn, 0.02);
        let at = s.near_code();
        blot(&mut photo, (at.0 - 0.06, at.1), 0.04 + 0.04 * s.level, 0.45, 0.004);
        photo.jpeg(85)
    }),
    ("low resolution", |s| {
        let turn = s.turn();
        let width = 1280 - (400.0 * s.level) as usize;
        s.photo((width, width * 3 / 4), 0.97, turn, 0.03).jpeg(80)
    }),
    ("two sheets", |s| {
        let mut photo = table(LARGE, &mut s.dice);
        for (number, side) in [(0, -1.0), (1, 1.0)] {
            let turn = s.turn() / 2.0;
            let shift = 480.0 * side;
            let corners = corners(LARGE, 0.85, turn, 0.03, &mut s.dice).map(|(x, y)| (x + shift, y));
            lay(&mut photo, &s.pages[number], &corners, 0.0, 0.0);
        }
        photo.jpeg(85)
    }),
];

/// A table, darker than paper and not even.
fn table(size: (usize, usize), dice: &mut Dice) -> Picture {
    let mut table = Picture::plain(size.0, size.1, 140);
    let (slope, level) = (dice.between(-0.3, 0.3), dice.between(0.6, 1.0));
    table.light(|x, y| level + slope * (x - y) + 0.05 * (x * 90.0 + (y * 7.0).sin() * 3.0).sin());
    table
}
