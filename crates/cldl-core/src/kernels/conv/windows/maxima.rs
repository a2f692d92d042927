//! What is left of the outputs of a window.

use super::tile::FOUR;
use crate::kernels::pool::wins;
use crate::kernels::tile::{read, store};
use pulp::Simd;

/// Where the maxima of a tile go.
pub(super) struct Maxima<'a> {
    /// Where the first vector of them begins.
    pub first: usize,
    /// From one vector to the next.
    pub step: usize,
    /// Floats of a vector.
    pub len: usize,
    pub is_tangent: bool,
    pub y: &'a mut [f32],
    pub argmax: &'a mut [f32],
}

impl Maxima<'_> {
    /// Stores what is left of the four outputs of vector `v`.
    #[inline(always)]
    pub(super) fn put<S: Simd>(&mut self, simd: S, v: usize, outputs: [S::f32s; FOUR]) {
        let first = self.first + v * self.step;
        let place = first..first + self.len;
        let [mut chosen, rest @ ..] = outputs;
        if self.is_tangent {
            let at = read(simd, &self.argmax[place.clone()]);
            for (i, output) in [1.0, 2.0, 3.0].into_iter().zip(rest) {
                let here = simd.equal_f32s(at, simd.splat_f32s(i));
                chosen = simd.select_f32s(here, output, chosen);
            }
        } else {
            let mut at = simd.splat_f32s(0.0);
            for (i, output) in [1.0, 2.0, 3.0].into_iter().zip(rest) {
                let wins = wins(simd, output, chosen);
                chosen = simd.select_f32s(wins, output, chosen);
                at = simd.select_f32s(wins, simd.splat_f32s(i), at);
            }
            store(simd, at, &mut self.argmax[place.clone()]);
        }
        store(simd, chosen, &mut self.y[place]);
    }
}
