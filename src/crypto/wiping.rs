//! An allocator that forgets: memory is wiped when it is given back.
//!
//! Our own types wipe what they hold. The libraries in between do not: the code reader copies a share's text, the PDF
//! writer a page, serde a value with escapes. Only the allocator sees all of them.

#![expect(unsafe_code, reason = "an allocator is unsafe by contract; each call goes on to the system's unchanged")]

use std::{
    alloc::{GlobalAlloc, Layout},
    hint::black_box,
    ptr,
};

use mimalloc::MiMalloc;

/// The program's allocator, every block wiped before it is freed. A block that grows is copied and the old one wiped.
pub struct WipingAllocator;

// SAFETY: every block comes from and goes back to `MiMalloc` with the layout it was asked for. `realloc` is the trait's
// own: a new block, a copy, and `dealloc` of the old one; the system's would leave the old bytes where they were.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe {
            ptr::write_bytes(block, 0, layout.size());
            // Or the compiler would see that nobody reads what it wrote.
            MiMalloc.dealloc(black_box(block), layout);
        }
    }
}
