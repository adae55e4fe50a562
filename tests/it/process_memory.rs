//! Looks into the memory of another process, as far as the system lets this one.

use std::{fs::File, os::unix::fs::FileExt as _};

use crate::search;

const PAGE: u64 = 4096;
/// Pages that are read in one go.
const MOST: u64 = 1024;

/// Whether some bytes are in the writable memory of a process that is really there; `None` where it may not be read.
pub fn holds(process: u32, wanted: &[u8]) -> Option<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let memory = File::open(format!("/proc/{process}/mem")).ok()?;
    let pages = File::open(format!("/proc/{process}/pagemap")).ok()?;
    let mut looked = 0_u64;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|access| access.starts_with("rw"))) {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let (mut at, end) = (u64::from_str_radix(start, 16).ok()? / PAGE, u64::from_str_radix(end, 16).ok()? / PAGE);
        while at < end {
            let (absent, count) = runs(&pages, at, (end - at).min(MOST));
            at += absent;
            if count == 0 {
                continue;
            }
            let mut bytes = vec![0; usize::try_from(count * PAGE).ok()?];
            if memory.read_exact_at(&mut bytes, at * PAGE).is_ok() {
                looked += count;
                if search::holds(&bytes, wanted) {
                    return Some(true);
                }
            }
            at += count;
        }
    }
    (looked > 0).then_some(false)
}

/// From `first` on: how many pages are not in memory, and how many after those are.
fn runs(pages: &File, first: u64, most: u64) -> (u64, u64) {
    let mut entries = vec![0; usize::try_from(most * 8).unwrap_or(0)];
    if pages.read_exact_at(&mut entries, first * 8).is_err() {
        return (most, 0);
    }
    let there: Vec<bool> = entries.chunks_exact(8).map(|entry| entry[7] & 0x80 != 0).collect();
    let absent = there.iter().take_while(|is_there| !**is_there).count();
    let present = there[absent..].iter().take_while(|is_there| **is_there).count();
    (absent as u64, present as u64)
}
