//! Where the outputs that pooling chose find what they are multiplied by.

/// Offsets of patches, or of windows. Made for many outputs at a time, and used one by one.
pub(super) struct Places {
    /// Of the upper left output of the window of each maximum in a row of windows.
    first: Vec<u32>,
    /// From an output to its neighbors.
    right: u32,
    below: u32,
    /// The largest offset in a row of windows.
    pub last: usize,
}

impl Places {
    pub(super) fn new(first: impl Iterator<Item = usize>, right: usize, below: usize) -> Self {
        let first: Vec<u32> = first.map(|first| first as u32).collect();
        let last = first.iter().max().map_or(0, |last| *last as usize + right + below);
        Self { first, right: right as u32, below: below as u32, last }
    }

    /// Writes, as the bits of floats, the offsets of the maxima of a row of windows: behind `start` floats,
    /// and for what pixel of its window each maximum was, a float from 0 to 3.
    #[inline(always)]
    pub(super) fn write(&self, start: usize, argmax: &[f32], places: &mut [f32]) {
        let Self { first, right, below, .. } = self;
        for ((place, argmax), first) in places.iter_mut().zip(argmax).zip(first) {
            // Next to 2²³ the last bits of a float are those of its integer.
            let choice = (argmax + 8_388_608.0).to_bits();
            let column = if choice & 1 == 0 { 0 } else { *right };
            let row = if choice & 2 == 0 { 0 } else { *below };
            *place = f32::from_bits(start as u32 + first + column + row);
        }
    }
}
