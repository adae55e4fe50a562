//! How many photos of sheets are read, beside `zbarimg` (Debian's zbar-tools) on the same photos.
//!
//! `scripts/gallery` runs all of them, optimised; the ordinary tests a part.
#![expect(clippy::cast_precision_loss, reason = "pixels and parts of them")]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use lifeboat::{crypto::RecoveryKey, scan, share};

use crate::scan_shots::{SHOTS, Scene, Shot};

/// Photos of each kind in the full gallery: 320 in all.
const EACH: usize = 20;
/// And in the ordinary tests: 64 in all, some of the easiest and the hardest of each kind.
const FEW: [usize; 4] = [0, 7, 13, 18];

/// What became of one photo.
struct Seen {
    took: Duration,
    read: bool,
    peer: bool,
}

#[test]
fn photos_are_read() {
    exhibit(&FEW);
}

#[test]
#[ignore = "minutes without optimisation; scripts/gallery runs it"]
fn the_whole_gallery_is_read() {
    exhibit(&(0..EACH).collect::<Vec<_>>());
}

/// Makes and reads these photos of every kind: 99 of 100 must be read, and none wrongly.
fn exhibit(numbers: &[usize]) {
    let folder = tempfile::tempdir().unwrap();
    let key = RecoveryKey::generate();
    let shares: Vec<_> = share::split(&key, 2, 5).ok().unwrap().iter().map(share::Share::text).collect();
    let mut all = Vec::new();
    for (kind, (name, shot)) in SHOTS.iter().enumerate() {
        let seen: Vec<Seen> = numbers
            .iter()
            .map(|&number| {
                let texts = [&*shares[number % 5], &*shares[(number + 1) % 5]].map(String::as_str);
                let wanted = if *name == "two sheets" { 2 } else { 1 };
                look(*shot, texts, wanted, (kind, number), folder.path())
            })
            .collect();
        println!("{name:>18}: {}", summary(&seen));
        all.extend(seen);
    }
    println!("{:>18}: {}", "all", summary(&all));
    let missed = all.iter().filter(|seen| !seen.read).count();
    assert!(missed * 100 <= all.len(), "{missed} of {} photos were not read", all.len());
}

fn look(shot: Shot, texts: [&str; 2], wanted: usize, place: (usize, usize), folder: &std::path::Path) -> Seen {
    let level = place.1 as f32 / (EACH - 1) as f32;
    let photo = shot(&mut Scene::new(texts, level, (place.0 * 1000 + place.1) as u64));
    let path = folder.join(format!("{:02}-{:02}.jpg", place.0, place.1));
    std::fs::write(&path, &photo).unwrap();
    let start = Instant::now();
    let found = scan::texts(&photo).unwrap_or_default();
    let took = start.elapsed();
    for text in &found {
        assert!(texts[..wanted].contains(&text.as_str()), "{} was read wrongly", path.display());
    }
    let peer = Command::new("zbarimg").args(["-q", "--raw"]).arg(&path).output();
    let peer = peer.expect("zbarimg is missing: apt-get install zbar-tools").stdout;
    let peer = String::from_utf8_lossy(&peer);
    Seen { took, read: found.len() == wanted, peer: texts[..wanted].iter().all(|text| peer.contains(text)) }
}

fn summary(seen: &[Seen]) -> String {
    let mut times: Vec<Duration> = seen.iter().map(|seen| seen.took).collect();
    times.sort();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let count = |ours: bool| seen.iter().filter(|seen| if ours { seen.read } else { seen.peer }).count();
    format!(
        "{} of {} read, zbarimg {}; median {} ms, longest {} ms",
        count(true),
        seen.len(),
        count(false),
        median.as_millis(),
        longest.as_millis()
    )
}
