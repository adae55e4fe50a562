//! The `lifeboat` command.

use lifeboat::crypto::WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

fn main() -> std::process::ExitCode {
    lifeboat::cli::main()
}
