//! Looks into the memory of another process, as far as the system lets this one.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
};

/// Whether some bytes are in the writable memory of a process; `None` where it may not be read.
pub fn holds(process: u32, wanted: &[u8]) -> Option<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{process}/mem")).ok()?;
    let mut looked = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|access| access.starts_with("rw"))) {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let (mut at, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        while at < end {
            let size = (end - at).min(4 << 20);
            let mut bytes = vec![0; usize::try_from(size).ok()?];
            if memory.seek(SeekFrom::Start(at)).is_err() || memory.read_exact(&mut bytes).is_err() {
                break;
            }
            looked += size;
            if bytes.windows(wanted.len()).any(|window| window == wanted) {
                return Some(true);
            }
            // A text may lie across two reads.
            at += size.saturating_sub(wanted.len() as u64).max(1);
            if end - at <= wanted.len() as u64 {
                break;
            }
        }
    }
    (looked > 0).then_some(false)
}
