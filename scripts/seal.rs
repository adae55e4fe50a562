//! Seals a file of pack lines as a snapshot does, for scripts/bench: packs of 4 MiB, line by line, in the shipped allocator.
//! scripts/bench compiles it against the library of the release build.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
};

use lifeboat::crypto::{RecoveryKey, Sealer, WipingAllocator};

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

const PACK: usize = 4 << 20;

fn main() {
    let file = std::env::args().nth(1).expect("usage: seal FILE");
    let mut plain = BufReader::with_capacity(1 << 20, File::open(file).expect("the file can be read"));
    let mut line = Vec::new();
    let recipients = [RecoveryKey::generate().recipient()];
    let (mut sealed, mut held) = (0, 0);
    let mut sealer = Sealer::new(&recipients, Vec::new()).expect("there is a recipient");
    while plain.read_until(b'\n', &mut line).expect("the file can be read") > 0 {
        sealer.write_all(&line).expect("memory does not fail");
        held += line.len();
        line.clear();
        if held >= PACK {
            held = 0;
            let next = Sealer::new(&recipients, Vec::new()).expect("there is a recipient");
            sealed += std::mem::replace(&mut sealer, next).finish().expect("memory does not fail").len();
        }
    }
    sealed += sealer.finish().expect("memory does not fail").len();
    println!("{sealed}");
}
