//! Fetching ahead.
#![allow(unsafe_code, reason = "a prefetch takes a pointer, though it reads nothing")]

/// Floats in a line of the cache.
const LINE: usize = 64 / size_of::<f32>();

/// Numbers that are to come to the second-level cache while other work goes on, a small part at a time: fetches
/// wait for each other, and then for the work that waits behind them. Activations of a batch do not fit into a
/// cache, and rows of an image come too seldom for the hardware to guess.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead<'a> {
    data: [&'a [f32]; 3],
    /// Floats of each in a part: whole lines.
    parts: [usize; 3],
}

impl<'a> Ahead<'a> {
    pub(super) const NOTHING: Self = Self { data: [&[]; 3], parts: [0; 3] };

    /// All of `data`, in so many parts.
    pub(super) fn new(data: [&'a [f32]; 3], parts: usize) -> Self {
        let part = |data: &[f32]| data.len().div_ceil(parts.max(1)).next_multiple_of(LINE);
        Self { data, parts: data.map(part) }
    }

    /// The next `parts`, which are left to somebody else.
    pub(super) fn take(&mut self, parts: usize) -> Self {
        let mut taken = *self;
        for ((data, taken), part) in self.data.iter_mut().zip(&mut taken.data).zip(self.parts) {
            (*taken, *data) = data.split_at((parts * part).min(data.len()));
        }
        taken
    }

    /// Asks for the next part.
    #[inline(always)]
    pub(super) fn fetch(&mut self) {
        for (data, part) in self.data.iter_mut().zip(self.parts) {
            let (next, rest) = data.split_at(part.min(data.len()));
            prefetch(next);
            *data = rest;
        }
    }
}

#[inline(always)]
fn prefetch(data: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in data.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it has no effect on memory.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// Asks for the line at `address`, if there is one, to come to the first-level cache.
#[inline(always)]
pub(super) fn fetch_near(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has the instruction, and it has no effect on memory, nor on an address
        // where there is none.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::Ahead;

    #[test]
    fn all_parts_are_all_there_is() {
        let (long, short) = (vec![0.0; 1000], vec![0.0; 40]);
        let mut ahead = Ahead::new([&long, &short, &[]], 7);
        let mut taken = ahead.take(3);
        assert_eq!(taken.data.map(<[f32]>::len), [3 * 144, 40, 0], "whole lines");
        assert_eq!(ahead.data.map(<[f32]>::len), [1000 - 3 * 144, 0, 0]);
        (0..3).for_each(|_| taken.fetch());
        (0..4).for_each(|_| ahead.fetch());
        assert_eq!([taken.data, ahead.data], [[&[] as &[f32]; 3]; 2]);
    }
}
