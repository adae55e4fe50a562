//! Pictures of sheets as phones and scanners make them: a page drawn here, then bent, lit, soiled and compressed.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::many_single_char_names,
    reason = "pixels and parts of them"
)]

use qrcode::{Color, EcLevel, QrCode};

/// Numbers that look random and are the same every time (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    /// From `low` to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed ^ (mixed >> 31)) >> 40) as f32) / (1_u32 << 24) as f32
    }

    /// About normal, deviation 1.
    fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.between(-0.866, 0.866)).sum()
    }
}

/// A grey picture.
#[derive(Clone)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Brightness, row by row.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// One brightness everywhere.
    pub fn plain(width: usize, height: usize, level: u8) -> Self {
        Self { width, height, pixels: vec![level; width * height] }
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, level: u8) {
        for row in y..(y + height).min(self.height) {
            let end = (x + width).min(self.width);
            self.pixels[row * self.width + x.min(end)..row * self.width + end].fill(level);
        }
    }

    /// Blended between the four pixels around; `None` outside.
    fn sample(&self, x: f32, y: f32) -> Option<f32> {
        if !(x >= 0.0 && y >= 0.0) || x >= (self.width - 1) as f32 || y >= (self.height - 1) as f32 {
            return None;
        }
        let at = y as usize * self.width + x as usize;
        let (right, down) = (x.fract(), y.fract());
        let row = |at: usize| f32::from(self.pixels[at]) * (1.0 - right) + f32::from(self.pixels[at + 1]) * right;
        Some(row(at) * (1.0 - down) + row(at + self.width) * down)
    }

    /// Multiplies every pixel by a number that depends on where it is (0 to 1 each way).
    pub fn light(&mut self, light: impl Fn(f32, f32) -> f32) {
        for y in 0..self.height {
            for x in 0..self.width {
                let pixel = &mut self.pixels[y * self.width + x];
                let factor = light(x as f32 / self.width as f32, y as f32 / self.height as f32);
                *pixel = (f32::from(*pixel) * factor) as u8;
            }
        }
    }

    /// Grain, as a sensor in the dark makes.
    pub fn grain(&mut self, deviation: f32, dice: &mut Dice) {
        for pixel in &mut self.pixels {
            *pixel = (f32::from(*pixel) + deviation * dice.normal()) as u8;
        }
    }

    /// Out of focus by about `radius` pixels, or shaken along the rows by `shake`.
    pub fn blur(&mut self, radius: usize, shake: usize) {
        for _ in 0..2 {
            self.pixels = means(&self.pixels, self.width, radius);
            self.turn();
            self.pixels = means(&self.pixels, self.width, radius);
            self.turn();
        }
        self.pixels = means(&self.pixels, self.width, shake);
    }

    fn turn(&mut self) {
        let mut turned = Vec::with_capacity(self.pixels.len());
        for x in 0..self.width {
            turned.extend((0..self.height).map(|y| self.pixels[y * self.width + x]));
        }
        *self = Self { width: self.height, height: self.width, pixels: turned };
    }

    /// As a JPEG of `quality` 1 to 100.
    pub fn jpeg(&self, quality: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
        let (width, height) = (self.width.try_into().unwrap(), self.height.try_into().unwrap());
        encoder.encode(&self.pixels, width, height, jpeg_encoder::ColorType::Luma).unwrap();
        bytes
    }

    /// As a PNG.
    pub fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder =
            png::Encoder::new(&mut bytes, self.width.try_into().unwrap(), self.height.try_into().unwrap());
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&self.pixels).unwrap();
        bytes
    }
}

/// The means of `2 * radius + 1` neighbours in each row.
fn means(pixels: &[u8], width: usize, radius: usize) -> Vec<u8> {
    if radius == 0 {
        return pixels.to_vec();
    }
    let mut blurred = Vec::with_capacity(pixels.len());
    for row in pixels.chunks(width) {
        let at = |x: usize| u32::from(row[x.saturating_sub(radius).min(width - 1)]);
        let mut sum: u32 = (0..=2 * radius).map(at).sum();
        for x in 0..width {
            blurred.push((sum / (2 * radius as u32 + 1)) as u8);
            sum = sum + at(x + 2 * radius + 1) - at(x);
        }
    }
    blurred
}

/// Pixels a millimetre of [`page`].
const MM: usize = 7;
/// The page, A4.
pub const PAGE: (usize, usize) = (210 * MM, 297 * MM);

/// A sheet: a heading, the same code twice at 45 mm, rows of text, a frame.
pub fn page(text: &str, dice: &mut Dice) -> Picture {
    let mut page = Picture::plain(PAGE.0, PAGE.1, 250);
    words(&mut page, dice, (20, 15), (170, 4), 5);
    code(&mut page, text, (25, 50));
    code(&mut page, text, (140, 50));
    words(&mut page, dice, (20, 110), (170, 30), 6);
    words(&mut page, dice, (20, 150), (170, 110), 3);
    page
}

/// Draws a code, its corner at `at` millimetres, 45 mm wide without its margin.
pub fn code(page: &mut Picture, text: &str, at: (usize, usize)) {
    let code = QrCode::with_error_correction_level(text.as_bytes(), EcLevel::H).unwrap();
    let modules = code.width();
    let side = 45 * MM;
    let edge = |module: usize| module * side / modules;
    for (number, colour) in code.to_colors().into_iter().enumerate() {
        if colour == Color::Dark {
            let (x, y) = (number % modules, number / modules);
            let (left, top) = (edge(x), edge(y));
            page.fill(at.0 * MM + left, at.1 * MM + top, edge(x + 1) - left, edge(y + 1) - top, 20);
        }
    }
}

/// Marks that look like lines of print.
fn words(page: &mut Picture, dice: &mut Dice, at: (usize, usize), size: (usize, usize), line: usize) {
    for y in (at.1..at.1 + size.1).step_by(line) {
        let mut x = at.0 * MM;
        while x < (at.0 + size.0) * MM {
            let width = dice.between(4.0, 14.0) as usize;
            page.fill(x, y * MM, width, line * MM / 3, 40);
            x += width + dice.between(4.0, 12.0) as usize;
        }
    }
}

/// Where the corners of a page come to lie in a photo, clockwise from its top left.
pub type Corners = [(f32, f32); 4];

/// Lays `page` into `photo` with its corners there, its paper curved by `curl` and creased by `crease` pixels.
pub fn lay(photo: &mut Picture, page: &Picture, corners: &Corners, curl: f32, crease: f32) {
    let from_page = square_to(corners);
    let to_page = inverse(&from_page);
    let (wide, high) = (page.width as f32, page.height as f32);
    for y in 0..photo.height {
        for x in 0..photo.width {
            let mut sum = 0.0;
            let mut inside = 0.0;
            // Four rays a pixel, so that fine modules blend as on a sensor.
            for (right, down) in [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)] {
                let (u, v) = apply(&to_page, x as f32 + right, y as f32 + down);
                let bend = curl * (u * 5.0).sin() / high;
                let fold = if v > 0.27 { (v - 0.27) * crease / high } else { 0.0 };
                if let Some(level) = page.sample((u + fold) * wide, (v + bend) * high) {
                    let shade = 1.0 - (crease / 400.0) * (-((v - 0.27) * 60.0).powi(2)).exp();
                    sum += level * shade.min(1.0);
                    inside += 1.0;
                }
            }
            if inside > 0.0 {
                let pixel = &mut photo.pixels[y * photo.width + x];
                *pixel = ((sum + f32::from(*pixel) * (4.0 - inside)) / 4.0) as u8;
            }
        }
    }
}

type Matrix = [f32; 9];

/// The projection that takes the unit square's corners to these (Heckbert 1989).
fn square_to(corners: &Corners) -> Matrix {
    let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = *corners;
    let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
    let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
    let divisor = dx1 * dy2 - dx2 * dy1;
    let (g, h) = ((sx * dy2 - dx2 * sy) / divisor, (dx1 * sy - sx * dy1) / divisor);
    [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, 1.0]
}

/// The inverse, up to a factor.
fn inverse(m: &Matrix) -> Matrix {
    let [a, b, c, d, e, f, g, h, i] = *m;
    [
        e * i - f * h,
        c * h - b * i,
        b * f - c * e,
        f * g - d * i,
        a * i - c * g,
        c * d - a * f,
        d * h - e * g,
        b * g - a * h,
        a * e - b * d,
    ]
}

fn apply(m: &Matrix, x: f32, y: f32) -> (f32, f32) {
    let divisor = m[6] * x + m[7] * y + m[8];
    ((m[0] * x + m[1] * y + m[2]) / divisor, (m[3] * x + m[4] * y + m[5]) / divisor)
}

/// The corners of a page in the middle of a photo, `fill` of its height high, turned by `degrees` and seen at an
/// angle of up to `tilt` (0 to 0.4 of its size).
pub fn corners(photo: (usize, usize), fill: f32, degrees: f32, tilt: f32, dice: &mut Dice) -> Corners {
    let high = photo.1 as f32 * fill;
    let wide = high * PAGE.0 as f32 / PAGE.1 as f32;
    let (sin, cos) = degrees.to_radians().sin_cos();
    [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)].map(|(x, y)| {
        let (x, y) = (x * (1.0 - dice.between(0.0, tilt)) * wide, y * (1.0 - dice.between(0.0, tilt)) * high);
        (photo.0 as f32 / 2.0 + x * cos - y * sin, photo.1 as f32 / 2.0 + x * sin + y * cos)
    })
}

/// A soft-edged blot, darkening to `level` of the light; `at` and `radius` in parts of the photo.
pub fn blot(photo: &mut Picture, at: (f32, f32), radius: f32, level: f32, softness: f32) {
    let ratio = photo.height as f32 / photo.width as f32;
    photo.light(|x, y| {
        let distance = ((x - at.0).powi(2) + ((y - at.1) * ratio).powi(2)).sqrt();
        let inside = ((radius - distance) / softness + 0.5).clamp(0.0, 1.0);
        1.0 - inside * (1.0 - level)
    });
}
