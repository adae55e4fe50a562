//! PDF pages to brightness.

use std::sync::Arc;

use hayro::{
    PixmapSettings, RenderCache, RenderSettings,
    hayro_interpret::InterpreterSettings,
    hayro_syntax::{LoadPdfError, Pdf, page::Page},
    render,
    vello_cpu::color::palette::css::WHITE,
};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Fault, MOST_PAGES, Read, codes,
    luma::{Luma, of_colours},
};

/// Pixels per point: 200 per inch.
const SCALE: f32 = 200.0 / 72.0;
/// The longer side of a page at most.
const LONGEST_SIDE: f32 = 4000.0;
const RGBA: usize = 4;

/// The texts of a PDF, of all its pages.
///
/// # Errors
/// See [`Fault`].
pub fn read(bytes: &Arc<Zeroizing<Vec<u8>>>) -> Read {
    let pdf = Pdf::new(bytes.clone()).map_err(|error| match error {
        LoadPdfError::Decryption(_) => Fault::Locked,
        LoadPdfError::Invalid => Fault::Damaged("PDF"),
    })?;
    let pages = pdf.pages();
    if pages.len() > MOST_PAGES {
        return Err(Fault::TooLarge);
    }
    if pages.is_empty() {
        return Err(Fault::Damaged("PDF"));
    }
    let cache = RenderCache::new();
    let mut found: Vec<Zeroizing<String>> = Vec::new();
    for page in pages.iter() {
        let Some(picture) = rasterise(page, &cache) else { continue };
        for text in codes::find(&picture) {
            if !found.iter().any(|known| **known == *text) {
                found.push(text);
            }
        }
    }
    if found.is_empty() { Err(Fault::NoCode) } else { Ok(found) }
}

/// `None` for a page without area.
fn rasterise<'a>(page: &'a Page<'a>, cache: &RenderCache<'a>) -> Option<Luma> {
    let (width, height) = page.render_dimensions();
    let scale = SCALE.min(LONGEST_SIDE / width.max(height));
    if !(width * scale >= 1.0 && height * scale >= 1.0) {
        return None;
    }
    let settings = PixmapSettings { x_scale: scale, y_scale: scale, bg_color: WHITE };
    let mut pixmap = render(page, cache, &InterpreterSettings::default(), &RenderSettings::default(), &settings);
    let (width, height) = (usize::from(pixmap.width()), usize::from(pixmap.height()));
    let picture = of_colours(width, height, pixmap.data_as_u8_slice(), RGBA);
    pixmap.data_as_u8_slice_mut().zeroize();
    picture
}
