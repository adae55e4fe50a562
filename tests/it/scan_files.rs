//! Files that hold sheets, and files that do not.
#![expect(clippy::cast_precision_loss, reason = "pixels and parts of them")]

use std::time::{Duration, Instant};

use lifeboat::scan::{self, ScanFault};
use proptest::prelude::*;

use crate::scan_picture::{Dice, PAGE, Picture, code, page};

const TEXT: &str = "LB1ZQPS2PQPQGPSGZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFQ5ZS2PG9Q5HYVVJLCLEJFZ6";
const OTHER: &str = "LB1QQPS2PQPQGPSGZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFQ5ZS2PG9Q5HYVVJLCLEJFZ6";

#[track_caller]
fn reads(bytes: &[u8], texts: &[&str]) {
    let mut found: Vec<String> = scan::texts(bytes).unwrap().iter().map(|text| text.to_string()).collect();
    found.sort();
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    assert_eq!(found, texts);
}

#[track_caller]
fn refuses(bytes: &[u8], fault: ScanFault) {
    let start = Instant::now();
    assert_eq!(scan::texts(bytes).map(|texts| texts.len()), Err(fault));
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
    assert!(!fault.hint().is_empty());
}

fn sheet() -> Picture {
    page(TEXT, &mut Dice(1))
}

/// A code alone, small.
fn small(text: &str) -> Picture {
    let mut picture = Picture::plain(55 * 7, 55 * 7, 255);
    code(&mut picture, text, (5, 5));
    picture
}

/// A PDF of these pages, each a size in points, a content stream, and an image named `I` if it has one.
fn pdf(pages: &[((usize, usize), Vec<u8>, Option<String>, Vec<u8>)]) -> Vec<u8> {
    let mut objects: Vec<Vec<u8>> = vec![b"<< /Type /Catalog /Pages 2 0 R >>".to_vec()];
    let kids: String = (0..pages.len()).map(|at| format!("{} 0 R ", 3 + 3 * at)).collect::<Vec<_>>().concat();
    objects.push(format!("<< /Type /Pages /Count {} /Kids [{kids}] >>", pages.len()).into_bytes());
    for (at, ((width, height), content, image, data)) in pages.iter().enumerate() {
        let (own, image_number) = (4 + 3 * at, 5 + 3 * at);
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width} {height}] /Contents {own} 0 R \
                 /Resources << /XObject << /I {image_number} 0 R >> >> >>"
            )
            .into_bytes(),
        );
        objects.push(stream("", content));
        objects.push(stream(image.as_deref().unwrap_or_default(), data));
    }
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        places.push(file.len());
        file.extend(format!("{number} 0 obj\n").bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let table = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for place in &places {
        file.extend(format!("{place:010} 00000 n \n").bytes());
    }
    file.extend(format!("trailer << /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1).bytes());
    file
}

fn stream(entries: &str, data: &[u8]) -> Vec<u8> {
    let mut object = format!("<< {entries} /Length {} >>\nstream\n", data.len()).into_bytes();
    object.extend(data);
    object.extend(b"\nendstream");
    object
}

/// A page that is one scanned picture.
fn scanned(picture: &Picture) -> ((usize, usize), Vec<u8>, Option<String>, Vec<u8>) {
    let entries = format!(
        "/Type /XObject /Subtype /Image /Width {} /Height {} /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /DCTDecode",
        picture.width, picture.height
    );
    ((595, 842), b"q 595 0 0 842 0 0 cm /I Do Q".to_vec(), Some(entries), picture.jpeg(70))
}

/// A page whose code is drawn, 45 mm wide.
fn drawn(text: &str) -> ((usize, usize), Vec<u8>, Option<String>, Vec<u8>) {
    let code = qrcode::QrCode::with_error_correction_level(text.as_bytes(), qrcode::EcLevel::H).unwrap();
    let module = 127.6 / code.width() as f32;
    let mut content = String::new();
    for (number, colour) in code.to_colors().into_iter().enumerate() {
        if colour == qrcode::Color::Dark {
            let (x, y) = ((number % code.width()) as f32 * module, (number / code.width()) as f32 * module);
            content.push_str(&format!("{:.3} {:.3} {module:.3} {module:.3} re f\n", 80.0 + x, 700.0 - y));
        }
    }
    ((595, 842), content.into_bytes(), None, Vec::new())
}

#[test]
fn sheets_are_read_from_every_kind_of_file() {
    reads(&sheet().jpeg(80), &[TEXT]);
    reads(&sheet().png(), &[TEXT]);
    reads(&small(TEXT).png(), &[TEXT]);
    reads(TEXT.as_bytes(), &[TEXT]);
    reads("1: Ümlaut\r\n".as_bytes(), &["1: Ümlaut\n"]);
    reads(&pdf(&[scanned(&sheet())]), &[TEXT]);
    reads(&pdf(&[drawn(TEXT)]), &[TEXT]);
    reads(&pdf(&[drawn(TEXT), scanned(&page(OTHER, &mut Dice(2))), drawn(TEXT)]), &[TEXT, OTHER]);
}

#[test]
fn every_code_on_a_page_is_found() {
    let mut both = Picture::plain(PAGE.0, PAGE.1, 250);
    code(&mut both, TEXT, (20, 40));
    code(&mut both, OTHER, (120, 200));
    code(&mut both, "https://example.com/", (120, 40));
    reads(&both.jpeg(85), &[TEXT, OTHER, "https://example.com/"]);
}

#[test]
fn a_foreign_code_is_given_as_it_is() {
    reads(&small("https://example.com/?q=LB1").png(), &["https://example.com/?q=LB1"]);
}

#[test]
fn what_was_cut_off_is_read_as_far_as_it_goes_or_called_damaged() {
    let (jpeg, png, pdf) = (sheet().jpeg(80), sheet().png(), pdf(&[scanned(&sheet())]));
    for (bytes, name) in [(&jpeg, "JPEG"), (&png, "PNG"), (&pdf, "PDF")] {
        reads(bytes, &[TEXT]);
        for part in [30, bytes.len() / 20, bytes.len() / 10] {
            match scan::texts(&bytes[..part]) {
                Err(ScanFault::Damaged(kind)) => assert_eq!(kind, name),
                Err(ScanFault::NoCode) if name == "PDF" => (),
                other => panic!("{name} of {part} bytes: {:?}", other.map(|texts| texts.len())),
            }
        }
    }
    reads(&jpeg[..jpeg.len() * 2 / 3], &[TEXT]);
    reads(&png[..png.len() * 2 / 3], &[TEXT]);
}

#[test]
fn what_is_no_sheet_is_refused() {
    refuses(&Picture::plain(800, 600, 200).jpeg(80), ScanFault::NoCode);
    refuses(&Picture::plain(1, 1, 0).png(), ScanFault::NoCode);
    refuses(&Picture::plain(3000, 2, 0).png(), ScanFault::NoCode);
    refuses(&pdf(&[((595, 842), Vec::new(), None, Vec::new())]), ScanFault::NoCode);
    refuses(&[0xff, 0xfe, 0x00, 0x80, 0x81], ScanFault::Unknown);
    refuses(b"text with \0 inside", ScanFault::Unknown);
    refuses(b"\xff\xd8\xff", ScanFault::Damaged("JPEG"));
    refuses(b"\x89PNG\r\n\x1a\n", ScanFault::Damaged("PNG"));
    refuses(b"%PDF-1.7\n%%EOF", ScanFault::Damaged("PDF"));
    refuses(b"\0\0\0\x18ftypheic\0\0\0\0", ScanFault::Heic);
    refuses(b"RIFF\0\0\0\0WEBPVP8 \xff", ScanFault::Damaged("WebP"));
    refuses(b"II*\0\x08\0\0\0", ScanFault::Damaged("TIFF"));
    refuses(b"GIF89a\x01\0\x01\0", ScanFault::Unsupported("GIF"));
    refuses(b"BM\x46\0\0\0\0\0\0\0\x36", ScanFault::Unsupported("BMP"));
    refuses(b"age-encryption.org/v1\n-> X25519 x\n", ScanFault::Sealed);
}

fn small_number(number: usize) -> u32 {
    u32::try_from(number).unwrap()
}

/// A picture as WebP, without loss.
fn webp(picture: &Picture) -> Vec<u8> {
    let mut file = Vec::new();
    let (width, height) = (small_number(picture.width), small_number(picture.height));
    image_webp::WebPEncoder::new(&mut file).encode(&picture.pixels, width, height, image_webp::ColorType::L8).unwrap();
    file
}

/// Pictures as pages of a TIFF; with one bit a pixel as office scanners send it.
fn tiff(pictures: &[&Picture], is_bilevel: bool) -> Vec<u8> {
    use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, colortype::Gray8};
    let mut file = std::io::Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).unwrap().with_compression(Compression::Deflate(DeflateLevel::Fast));
    for picture in pictures {
        let (width, height) = (small_number(picture.width), small_number(picture.height));
        if is_bilevel {
            return bilevel(picture);
        }
        encoder.write_image::<Gray8>(width, height, &picture.pixels).unwrap();
    }
    file.into_inner()
}

/// One strip, uncompressed, one bit a pixel, white is zero (TIFF 6.0, section 3).
fn bilevel(picture: &Picture) -> Vec<u8> {
    let mut strip = Vec::new();
    for row in picture.pixels.chunks(picture.width) {
        let bits = |pixels: &[u8]| {
            pixels.iter().enumerate().fold(0, |byte, (n, &level)| byte | u8::from(level < 128) << (7 - n))
        };
        strip.extend(row.chunks(8).map(bits));
    }
    let (width, height) = (small_number(picture.width), small_number(picture.height));
    let entries = [
        (256_u16, 4_u16, width),
        (257, 4, height),
        (258, 3, 1),
        (259, 3, 1),
        (262, 3, 0),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, height),
        (279, 4, small_number(strip.len())),
    ];
    let mut file = b"II*\0".to_vec();
    file.extend((8 + small_number(strip.len())).to_le_bytes());
    file.extend(&strip);
    file.extend(u16::try_from(entries.len()).unwrap().to_le_bytes());
    for (tag, kind, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

#[test]
fn webp_tiff_and_white_on_black_are_read() {
    let mut inverted = sheet();
    inverted.pixels.iter_mut().for_each(|level| *level = 255 - *level);
    reads(&inverted.jpeg(85), &[TEXT]);
    reads(&webp(&sheet()), &[TEXT]);
    reads(&tiff(&[&sheet()], false), &[TEXT]);
    reads(&tiff(&[&sheet()], true), &[TEXT]);
    reads(&tiff(&[&sheet(), &page(OTHER, &mut Dice(2))], false), &[TEXT, OTHER]);
    refuses(&webp(&Picture::plain(400, 300, 200)), ScanFault::NoCode);
    refuses(&tiff(&[&Picture::plain(400, 300, 200)], true), ScanFault::NoCode);
    for file in [webp(&sheet()), tiff(&[&sheet()], false), tiff(&[&sheet()], true)] {
        for part in [5, 13, 40, file.len() / 3, file.len() - 20] {
            assert!(scan::texts(&file[..part]).is_err(), "cut at {part}");
        }
    }
}

#[test]
fn a_photo_of_two_hundred_million_pixels_is_read() {
    let page = sheet();
    let (width, height) = (16_320, 12_240);
    let mut photo = Picture::plain(width, height, 190);
    for (y, row) in page.pixels.chunks(page.width).enumerate() {
        let scale = 5;
        for dy in 0..scale {
            let at = (500 + y * scale + dy) * width + 1_000;
            for (x, level) in row.iter().enumerate() {
                photo.pixels[at + x * scale..at + (x + 1) * scale].fill(*level);
            }
        }
        if 500 + (y + 2) * scale >= height {
            break;
        }
    }
    reads(&photo.jpeg(60), &[TEXT]);
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    refuses(&vec![b' '; scan::LARGEST + 1], ScanFault::TooLarge);
    let mut png = Picture::plain(8, 8, 255).png();
    png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let checksum = crc(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&checksum);
    refuses(&png, ScanFault::TooLarge);
    let mut jpeg = Picture::plain(8, 8, 255).jpeg(80);
    let frame = jpeg.windows(2).position(|mark| mark == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    refuses(&jpeg, ScanFault::TooLarge);
    let blank = || ((595, 842), Vec::new(), None, Vec::new());
    refuses(&pdf(&(0..33).map(|_| blank()).collect::<Vec<_>>()), ScanFault::TooLarge);
    let huge = ((20_000_000, 20_000_000), Vec::new(), None, Vec::new());
    assert!(scan::texts(&pdf(&[huge])).is_err());
}

/// CRC-32 as in PNG.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

/// A file with some of its bytes replaced, cut or doubled.
fn mutated(seed: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..12);
    edits.prop_map(move |edits| {
        let mut bytes = seed.clone();
        for (at, value, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 | 1 => bytes[at] = value,
                2 => bytes.insert(at, value),
                _ => bytes.truncate((at + bytes.len() + 1).div_ceil(2)),
            }
        }
        bytes
    })
}

fn seeds() -> impl Strategy<Value = Vec<u8>> {
    let mut tiny = Picture::plain(120, 120, 255);
    tiny.fill(20, 20, 40, 40, 0);
    prop_oneof![
        mutated(tiny.jpeg(60)),
        mutated(tiny.png()),
        mutated(pdf(&[drawn("LB1")])),
        mutated(pdf(&[scanned(&tiny)])),
        prop::collection::vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_it_fail_or_hang(bytes in seeds()) {
        let start = Instant::now();
        let _ = scan::texts(&bytes);
        prop_assert!(start.elapsed() < Duration::from_secs(20));
    }
}
