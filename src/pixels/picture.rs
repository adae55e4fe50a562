//! JPEG and PNG to brightness.
//!
//! A file that was cut off is read as far as it goes: the code may be in the part that is there.

use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};
use zeroize::Zeroizing;
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use super::{
    Fault, MOST_BYTES, MOST_PIXELS, Read,
    luma::{Luma, of_colours},
    of_picture,
};

const WHITE: u8 = 255;

/// The texts of a JPEG.
///
/// # Errors
/// See [`Fault`].
pub fn jpeg(bytes: &[u8]) -> Read {
    let damaged = Fault::Damaged("JPEG");
    let (picture, whole) = decode_jpeg(bytes, false)?;
    match of_picture(&picture) {
        Err(Fault::NoCode) if !whole || decode_jpeg(bytes, true).is_err() => Err(damaged),
        read => read,
    }
}

/// The texts of a PNG.
///
/// # Errors
/// See [`Fault`].
pub fn png(bytes: &[u8]) -> Read {
    let (picture, whole) = decode_png(bytes)?;
    match of_picture(&picture) {
        Err(Fault::NoCode) if !whole => Err(Fault::Damaged("PNG")),
        read => read,
    }
}

/// The picture and whether all of it was there.
fn decode_jpeg(bytes: &[u8], strict: bool) -> Result<(Luma, bool), Fault> {
    let damaged = Fault::Damaged("JPEG");
    let options = DecoderOptions::default().set_strict_mode(strict).set_max_width(65_535).set_max_height(65_535);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|_| damaged)?;
    let info = decoder.info().ok_or(damaged)?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    if width * height > MOST_PIXELS {
        return Err(Fault::TooLarge);
    }
    let grey = matches!(decoder.input_colorspace(), Some(ColorSpace::YCbCr | ColorSpace::Luma));
    let space = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let channels = if grey { 1 } else { 3 };
    if width * height * channels > MOST_BYTES {
        return Err(Fault::TooLarge);
    }
    let mut pixels = Zeroizing::new(vec![WHITE; width * height * channels]);
    if decoder.output_buffer_size() != Some(pixels.len()) {
        return Err(damaged);
    }
    let whole = decoder.decode_into(&mut pixels).is_ok();
    let picture = if grey { Luma::new(width, height, pixels) } else { of_colours(width, height, &pixels, channels) };
    if strict && !whole { Err(damaged) } else { Ok((picture.ok_or(damaged)?, whole)) }
}

/// The picture and whether all of it was there.
fn decode_png(bytes: &[u8]) -> Result<(Luma, bool), Fault> {
    let damaged = Fault::Damaged("PNG");
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MOST_BYTES });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    let mut reader = decoder.read_info().map_err(|_| damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    if width.checked_mul(height).is_none_or(|pixels| pixels > MOST_PIXELS) {
        return Err(Fault::TooLarge);
    }
    let channels = match reader.output_color_type().0 {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return Err(damaged),
    };
    if width * height * channels > MOST_BYTES {
        return Err(Fault::TooLarge);
    }
    let mut pixels = Zeroizing::new(vec![WHITE; width * height * channels]);
    if reader.output_buffer_size() != Some(pixels.len()) {
        return Err(damaged);
    }
    let whole = reader.next_frame(&mut pixels).is_ok();
    let picture = of_colours(width, height, &pixels, channels).ok_or(damaged)?;
    Ok((picture, whole))
}
