//! Finds QR codes in a picture, by ever more expensive looks at it.

use std::collections::HashSet;

use rxing::{
    BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source, RXingResult, Reader,
    common::HybridBinarizer,
    multi::MultipleBarcodeReader,
    qrcode::{QRCodeReader, cpp_port::QrReader},
};
use zeroize::Zeroizing;

use super::luma::Luma;

/// Where the text of a share begins; a code that does not is taken, and the search goes on.
const START: &str = "LB1";

/// A look at the picture.
type Look = fn(&Luma) -> Luma;

/// In order of cost and use.
const LOOKS: [Look; 12] = [
    |picture| picture.shrunk(1600),
    |picture| picture.shrunk(1000),
    |picture| picture.shrunk(1600).thresholded(24, 90),
    |picture| picture.shrunk(2600),
    |picture| picture.shrunk(1000).thresholded(16, 92),
    |picture| picture.shrunk(1600).sharpened(6),
    |picture| picture.shrunk(640).stretched(),
    |picture| picture.shrunk(1000).doubled().sharpened(8),
    |picture| picture.shrunk(2600).thresholded(40, 85),
    |picture| picture.shrunk(1300).stretched(),
    // White on black, as some apps and negatives show it.
    |picture| picture.shrunk(1600).inverted(),
    |picture| picture.shrunk(1000).inverted(),
];

/// Looks taken at every picture, so that a second sheet in it has more than one chance.
const ALWAYS: usize = 2;

/// The texts of the codes in `picture`, each once.
pub(super) fn find(picture: &Luma) -> Vec<Zeroizing<String>> {
    let mut found: Vec<Zeroizing<String>> = Vec::new();
    for (number, look) in LOOKS.iter().enumerate() {
        for text in detect(&look(picture)) {
            if !found.iter().any(|known| **known == *text) {
                found.push(text);
            }
        }
        let is_share =
            |text: &Zeroizing<String>| text.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START));
        if number + 1 >= ALWAYS && found.iter().any(is_share) {
            break;
        }
    }
    found
}

fn detect(picture: &Luma) -> Vec<Zeroizing<String>> {
    let (Ok(width), Ok(height)) = (u32::try_from(picture.size().0), u32::try_from(picture.size().1)) else {
        return Vec::new();
    };
    let hints = DecodeHints {
        PossibleFormats: Some(HashSet::from([BarcodeFormat::QR_CODE])),
        TryHarder: Some(true),
        ..DecodeHints::default()
    };
    let Ok(source) = Luma8Source::new_with_slice(picture.pixels(), width, height) else { return Vec::new() };
    let mut bitmap = BinaryBitmap::new(HybridBinarizer::new(source));
    let mut results = QrReader.decode_multiple_with_hints(&mut bitmap, &hints).unwrap_or_default();
    if results.is_empty() {
        results.extend(QRCodeReader.decode_with_hints(&mut bitmap, &hints));
    }
    results.iter().map(text).collect()
}

fn text(result: &RXingResult) -> Zeroizing<String> {
    Zeroizing::new(result.getText().to_owned())
}
