#[path = "it/repo_sample.rs"]
mod repo_sample;
#[path = "it/repo_recall.rs"]
mod repo_recall;
#[global_allocator]
static ALLOCATOR: lifeboat::crypto::WipingAllocator = lifeboat::crypto::WipingAllocator;
