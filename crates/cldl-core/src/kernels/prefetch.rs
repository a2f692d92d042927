//! Fetching ahead.
#![allow(unsafe_code, reason = "a prefetch takes a pointer, though it reads nothing")]

/// Asks for `data` to come to the second-level cache while other work goes on. Activations of a
/// batch do not fit into a cache, and rows of an image come too seldom for the hardware to guess.
#[inline(always)]
pub(super) fn prefetch(data: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in data.chunks(64 / size_of::<f32>()) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it has no effect on memory.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}
