//! What all targets share: besides what they promise, they allocate in proportion to what comes in.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs a target and counts what it allocates in all, whether or not it gives it back: at most `base` bytes, and
/// `per_byte` for each that came in.
///
/// # Panics
/// When it is more, or when the target does.
pub fn bounded(run: fn(&[u8]), bytes: &[u8], base: usize, per_byte: usize) {
    let region = Region::new(ALLOCATOR);
    run(bytes);
    let change = region.change();
    let (all, most) = (change.bytes_allocated, base + per_byte * bytes.len());
    assert!(all <= most, "{all} bytes were allocated for {} that came in, more than {most}", bytes.len());
}
