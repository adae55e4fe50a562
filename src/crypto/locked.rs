//! Thirty-two bytes that do not move, are not swapped out where the system allows it, and are wiped on drop.

use zeroize::Zeroize;

/// A 32-byte secret in its own heap block. No Debug, Clone or Serialize.
///
/// The page stays locked after drop: locks do not nest, so unlocking could unlock a neighbour's secret on
/// the same page. The cost is one page per process for as long as the allocator keeps it.
pub(super) struct Locked {
    bytes: Box<[u8; 32]>,
    locked: bool,
}

impl Locked {
    /// Zeros, to be filled in place so that no other copy is ever made.
    pub(super) fn zeroed() -> Self {
        let mut bytes = Box::new([0; 32]);
        let locked = lock(&mut bytes);
        Self { bytes, locked }
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        &mut self.bytes
    }

    pub(super) fn is_locked(&self) -> bool {
        self.locked
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.bytes.zeroize();
        scrub_stack();
    }
}

/// Overwrites the stack below the caller, where functions that used the secret (derivations, the age identity) left
/// copies when they moved it.
#[inline(never)]
fn scrub_stack() {
    #[expect(clippy::large_stack_arrays, reason = "it is the stack that is to be covered")]
    let mut below = [0_u8; 128 << 10];
    std::hint::black_box(&mut below);
}

#[cfg(unix)]
fn lock(bytes: &mut [u8; 32]) -> bool {
    #[expect(unsafe_code, reason = "mlock takes an address; it changes no memory, and the block outlives the call")]
    unsafe {
        rustix::mm::mlock(bytes.as_mut_ptr().cast(), bytes.len()).is_ok()
    }
}

#[cfg(not(unix))]
fn lock(_bytes: &mut [u8; 32]) -> bool {
    false
}
