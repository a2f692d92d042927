//! Fetching ahead.
#![allow(unsafe_code, reason = "a prefetch takes a pointer, though it reads nothing")]

/// Floats in a line of the cache.
const LINE: usize = 64 / size_of::<f32>();

/// Numbers that are to come to the second-level cache while other work goes on, a small part at a time: fetches
/// wait for each other, and then for the work that waits behind them. Activations of a batch do not fit into a
/// cache, and rows of an image come too seldom for the hardware to guess.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead<'a> {
    /// One after the other, what is empty last: there is but one to look at.
    data: [&'a [f32]; 3],
    /// Floats of a part: whole lines.
    part: usize,
}

impl<'a> Ahead<'a> {
    pub(super) const NOTHING: Self = Self { data: [&[]; 3], part: LINE };

    /// All of `data`, in so many parts.
    pub(super) fn new(mut data: [&'a [f32]; 3], parts: usize) -> Self {
        data.sort_by_key(|data| data.is_empty());
        let all: usize = data.iter().map(|data| data.len()).sum();
        // The last part of each may be a short one.
        let whole = parts.saturating_sub(data.len()).max(1);
        Self { data, part: all.div_ceil(whole).next_multiple_of(LINE).max(LINE) }
    }

    /// The next `parts`, which are left to somebody else.
    pub(super) fn take(&mut self, parts: usize) -> Self {
        let mut taken = Self { data: [&[]; 3], ..*self };
        let mut left = parts;
        for (data, taken) in self.data.iter_mut().zip(&mut taken.data) {
            (*taken, *data) = data.split_at((left * self.part).min(data.len()));
            left -= taken.len().div_ceil(self.part);
        }
        self.data.sort_by_key(|data| data.is_empty());
        taken
    }

    /// Asks for the next part.
    #[inline(always)]
    pub(super) fn fetch(&mut self) {
        let [now, next, last] = self.data;
        if !now.is_empty() {
            let (part, rest) = now.split_at(self.part.min(now.len()));
            prefetch(part);
            self.data = if rest.is_empty() { [next, last, rest] } else { [rest, next, last] };
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
        let mut ahead = Ahead::new([&[], &long, &short], 9);
        let mut taken = ahead.take(3);
        assert_eq!(taken.data.map(<[f32]>::len), [3 * 176, 0, 0], "whole lines");
        assert_eq!(ahead.data.map(<[f32]>::len), [1000 - 3 * 176, 40, 0]);
        (0..3).for_each(|_| taken.fetch());
        assert_eq!(ahead.take(4).data.map(<[f32]>::len), [1000 - 3 * 176, 40, 0]);
        assert_eq!([taken.data, ahead.data], [[&[] as &[f32]; 3]; 2]);
        let mut ahead = Ahead::new([&long, &[], &short], 9);
        (0..9).for_each(|_| ahead.fetch());
        assert_eq!(ahead.data, [&[] as &[f32]; 3]);
    }
}
