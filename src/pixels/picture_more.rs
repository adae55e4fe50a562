//! WebP and TIFF to brightness.

use std::io::Cursor;

use image_webp::WebPDecoder;
use tiff::{
    ColorType,
    decoder::{Decoder, DecodingResult, Limits},
};
use zeroize::Zeroizing;

use super::{
    Fault, MOST_BYTES, MOST_PAGES, MOST_PIXELS, Read,
    luma::{Luma, of_colours},
    of_picture,
};

/// The texts of a WebP picture.
///
/// # Errors
/// See [`Fault`].
pub fn webp(bytes: &[u8]) -> Read {
    let damaged = Fault::Damaged("WebP");
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|_| damaged)?;
    decoder.set_memory_limit(MOST_BYTES);
    let (width, height) = fitting(decoder.dimensions())?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let length = decoder.output_buffer_size().filter(|length| *length <= MOST_BYTES).ok_or(Fault::TooLarge)?;
    let mut pixels = Zeroizing::new(vec![0; length]);
    decoder.read_image(&mut pixels).map_err(|_| damaged)?;
    of_picture(&of_colours(width, height, &pixels, channels).ok_or(damaged)?)
}

/// The texts of every page of a TIFF.
///
/// # Errors
/// See [`Fault`].
pub fn tiff(bytes: &[u8]) -> Read {
    let damaged = Fault::Damaged("TIFF");
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MOST_BYTES;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(|_| damaged)?.with_limits(limits);
    let mut texts: Vec<Zeroizing<String>> = Vec::new();
    for _ in 0..MOST_PAGES {
        match of_picture(&page(&mut decoder)?) {
            Ok(found) => texts.extend(found),
            Err(Fault::NoCode) => {}
            Err(fault) => return Err(fault),
        }
        if !decoder.more_images() {
            return if texts.is_empty() { Err(Fault::NoCode) } else { Ok(texts) };
        }
        decoder.next_image().map_err(|_| damaged)?;
    }
    Err(Fault::TooLarge)
}

fn page(decoder: &mut Decoder<Cursor<&[u8]>>) -> Result<Luma, Fault> {
    let damaged = Fault::Damaged("TIFF");
    let (width, height) = fitting(decoder.dimensions().map_err(|_| damaged)?)?;
    let kind = decoder.colortype().map_err(|_| damaged)?;
    let pixels = match decoder.read_image().map_err(|_| damaged)? {
        DecodingResult::U8(bytes) => Zeroizing::new(bytes),
        DecodingResult::U16(words) => {
            let words = Zeroizing::new(words);
            Zeroizing::new(words.iter().map(|word| word.to_be_bytes()[0]).collect())
        }
        _ => return Err(damaged),
    };
    let picture = match kind {
        ColorType::Gray(bits @ (1 | 2 | 4)) => Luma::new(width, height, unpacked(&pixels, width, height, bits)),
        ColorType::Gray(8 | 16) => of_colours(width, height, &pixels, 1),
        ColorType::GrayA(8 | 16) => of_colours(width, height, &pixels, 2),
        ColorType::RGB(8 | 16) | ColorType::YCbCr(8) => of_colours(width, height, &pixels, 3),
        ColorType::RGBA(8 | 16) => of_colours(width, height, &pixels, 4),
        _ => None,
    };
    picture.ok_or(damaged)
}

/// One byte a pixel; rows begin at whole bytes.
fn unpacked(packed: &[u8], width: usize, height: usize, bits: u8) -> Zeroizing<Vec<u8>> {
    let (bits, most) = (usize::from(bits), (1_u16 << bits) - 1);
    let row = (width * bits).div_ceil(8);
    let mut pixels = Zeroizing::new(Vec::with_capacity(width * height));
    for line in packed.chunks_exact(row).take(height) {
        pixels.extend((0..width).map(|x| {
            let at = x * bits;
            let level = u16::from(line[at / 8]) >> (8 - bits - at % 8) & most;
            u8::try_from(level * 255 / most).unwrap_or(u8::MAX)
        }));
    }
    pixels
}

fn fitting((width, height): (u32, u32)) -> Result<(usize, usize), Fault> {
    let (width, height) = (width as usize, height as usize);
    match width.checked_mul(height) {
        Some(1..=MOST_PIXELS) => Ok((width, height)),
        Some(0) => Err(Fault::NoCode),
        _ => Err(Fault::TooLarge),
    }
}
