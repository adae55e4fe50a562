//! A picture as brightness, and the cheap ways to make a code in it easier to see.

use zeroize::Zeroizing;

/// Brightness, row by row; wiped when it goes.
pub(super) struct Luma {
    width: usize,
    height: usize,
    pixels: Zeroizing<Vec<u8>>,
}

impl Luma {
    /// `None` unless there is exactly one byte a pixel, and at least one pixel.
    pub(super) fn new(width: usize, height: usize, pixels: Zeroizing<Vec<u8>>) -> Option<Self> {
        (!pixels.is_empty() && width.checked_mul(height) == Some(pixels.len())).then_some(Self {
            width,
            height,
            pixels,
        })
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    pub(super) fn longer_side(&self) -> usize {
        self.width.max(self.height)
    }

    pub(super) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The same, its longer side at most `side`: every new pixel is the mean of the old ones it covers.
    pub(super) fn shrunk(&self, side: usize) -> Self {
        let longer = self.longer_side();
        if longer <= side {
            return Self { pixels: self.pixels.clone(), ..*self };
        }
        let scaled = |length: usize| (length * side / longer).max(1);
        let (width, height) = (scaled(self.width), scaled(self.height));
        let columns: Vec<(usize, usize)> = (0..width).map(|x| span(x, width, self.width)).collect();
        let mut pixels = Zeroizing::new(Vec::with_capacity(width * height));
        let mut sums = Zeroizing::new(vec![0_u32; self.width]);
        for y in 0..height {
            let (top, bottom) = span(y, height, self.height);
            sums.fill(0);
            for row in self.pixels[top * self.width..bottom * self.width].chunks_exact(self.width) {
                sums.iter_mut().zip(row).for_each(|(sum, pixel)| *sum += u32::from(*pixel));
            }
            pixels.extend(columns.iter().map(|&(left, right)| {
                let sum: u32 = sums[left..right].iter().sum();
                byte(sum as usize / ((right - left) * (bottom - top)))
            }));
        }
        Self { width, height, pixels }
    }

    /// Twice as large, neighbours blended: for codes whose modules are hardly larger than pixels.
    pub(super) fn doubled(&self) -> Self {
        let (width, height) = (2 * self.width, 2 * self.height);
        let mut pixels = Zeroizing::new(Vec::with_capacity(width * height));
        for y in 0..height {
            let rows = [y / 2, y.div_ceil(2).min(self.height - 1)].map(|row| row * self.width);
            for x in 0..width {
                let columns = [x / 2, x.div_ceil(2).min(self.width - 1)];
                let at = |row: usize, column: usize| usize::from(self.pixels[rows[row] + columns[column]]);
                pixels.push(byte((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4));
            }
        }
        Self { width, height, pixels }
    }

    /// Black or white, by the mean brightness of a square around each pixel whose half side is `reach`: evens out
    /// shadows. A pixel is black when it is darker than `percent` of that mean.
    pub(super) fn thresholded(&self, reach: usize, percent: usize) -> Self {
        let mut pixels = Zeroizing::new(Vec::with_capacity(self.pixels.len()));
        self.around(reach, |pixel, sum, count| {
            pixels.push(if usize::from(pixel) * count * 100 < sum * percent { 0 } else { 255 });
        });
        Self { pixels, ..*self }
    }

    /// Each pixel relative to the mean of its surroundings, edges made steeper: undoes blur and uneven light.
    pub(super) fn sharpened(&self, reach: usize) -> Self {
        let mut pixels = Zeroizing::new(Vec::with_capacity(self.pixels.len()));
        self.around(reach, |pixel, sum, count| {
            let (pixel, mean) = (i32::from(pixel), i32::from(byte(sum / count)));
            pixels.push((pixel + 2 * (pixel - mean)).clamp(0, 255).to_le_bytes()[0]);
        });
        Self { pixels, ..*self }
    }

    /// Black for white.
    pub(super) fn inverted(&self) -> Self {
        let mut pixels = Zeroizing::new(Vec::with_capacity(self.pixels.len()));
        pixels.extend(self.pixels.iter().map(|pixel| u8::MAX - pixel));
        Self { pixels, ..*self }
    }

    /// The darkest and the brightest hundredth become black and white.
    pub(super) fn stretched(&self) -> Self {
        let mut counts = [0_usize; 256];
        for pixel in self.pixels.iter() {
            counts[usize::from(*pixel)] += 1;
        }
        let hundredth = self.pixels.len() / 100;
        let low = level_after(hundredth, counts.iter());
        let high = 255 - level_after(hundredth, counts.iter().rev());
        let range = high.saturating_sub(low).max(1);
        let map: Vec<u8> = (0..256_usize).map(|level| byte(level.saturating_sub(low) * 255 / range)).collect();
        let mut pixels = Zeroizing::new(Vec::with_capacity(self.pixels.len()));
        pixels.extend(self.pixels.iter().map(|pixel| map[usize::from(*pixel)]));
        Self { pixels, ..*self }
    }

    /// Calls `each` with every pixel, and sum and number of the pixels in the square around it.
    fn around(&self, reach: usize, mut each: impl FnMut(u8, usize, usize)) {
        let mut columns = Zeroizing::new(vec![0_usize; self.width]);
        let row = |y: usize| &self.pixels[y * self.width..(y + 1) * self.width];
        let add = |columns: &mut [usize], y: usize| {
            columns.iter_mut().zip(row(y)).for_each(|(sum, pixel)| *sum += usize::from(*pixel));
        };
        (0..reach.min(self.height)).for_each(|y| add(&mut columns, y));
        for y in 0..self.height {
            if y + reach < self.height {
                add(&mut columns, y + reach);
            }
            if y > reach {
                columns.iter_mut().zip(row(y - reach - 1)).for_each(|(sum, pixel)| *sum -= usize::from(*pixel));
            }
            let rows = (y + reach).min(self.height - 1) - y.saturating_sub(reach) + 1;
            let mut sum: usize = columns[..reach.min(self.width)].iter().sum();
            for (x, pixel) in row(y).iter().enumerate() {
                if x + reach < self.width {
                    sum += columns[x + reach];
                }
                if x > reach {
                    sum -= columns[x - reach - 1];
                }
                let wide = (x + reach).min(self.width - 1) - x.saturating_sub(reach) + 1;
                each(*pixel, sum, rows * wide);
            }
        }
    }
}

/// Brightness of grey, grey with alpha, RGB or RGBA pixels (ITU-R BT.601), on white paper.
pub(super) fn of_colours(width: usize, height: usize, pixels: &[u8], channels: usize) -> Option<Luma> {
    let mut luma = Zeroizing::new(Vec::with_capacity(pixels.len() / channels));
    luma.extend(pixels.chunks_exact(channels).map(|pixel| {
        let (grey, alpha) = match *pixel {
            [grey] => (usize::from(grey), 255),
            [grey, alpha] => (usize::from(grey), usize::from(alpha)),
            [red, green, blue] => (weigh(red, green, blue), 255),
            [red, green, blue, alpha, ..] => (weigh(red, green, blue), usize::from(alpha)),
            [] => (0, 0),
        };
        byte((grey * alpha + 255 * (255 - alpha)) / 255)
    }));
    Luma::new(width, height, luma)
}

fn weigh(red: u8, green: u8, blue: u8) -> usize {
    (usize::from(red) * 77 + usize::from(green) * 150 + usize::from(blue) * 29) / 256
}

/// How many levels pass before more than `enough` pixels are seen.
fn level_after<'a>(enough: usize, counts: impl Iterator<Item = &'a usize>) -> usize {
    let mut seen = 0;
    counts
        .take_while(|count| {
            seen += **count;
            seen <= enough
        })
        .count()
}

/// The old pixels that new pixel `at` of `new` covers, at least one.
fn span(at: usize, new: usize, old: usize) -> (usize, usize) {
    let (from, to) = (at * old / new, (at + 1) * old / new);
    (from, to.max(from + 1))
}

fn byte(value: usize) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}
