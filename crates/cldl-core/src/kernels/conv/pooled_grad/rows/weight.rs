//! The weight's gradient: rows of the input, added up for each output channel.

use super::RowGradients;
use super::sums::RowSums;
use crate::kernels::pool::Grid;
use pulp::{Simd, WithSimd};

/// An image's part of the weight's gradient.
pub(super) struct Weight<'a> {
    pub of: &'a RowGradients<'a>,
    /// The padded image.
    pub x: &'a [f32],
    pub dy: &'a [f32],
    pub argmax: &'a [f32],
    /// As many as `dy` has floats, and twice as many.
    pub places: &'a mut [f32],
    pub terms: &'a mut [f32],
    pub sum: &'a mut [f32],
}

impl WithSimd for Weight<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, x, dy, argmax, places, terms, sum } = self;
        let (Grid { h, w, ch }, x_row) = (of.grid, of.padding.row());
        let rows = argmax.chunks_exact(w / 2 * ch).zip(places.chunks_exact_mut(w / 2 * ch));
        for (row, (argmax, places)) in rows.enumerate() {
            of.of_input.write(2 * row * x_row, argmax, places);
        }
        // Those of an output channel lie together.
        let (terms, _) = terms.as_chunks_mut();
        let windows = (h / 2) * (w / 2);
        for (window, (dy, places)) in dy.chunks_exact(ch).zip(places.chunks_exact(ch)).enumerate() {
            let to = terms[window..].iter_mut().step_by(windows);
            for (to, (dy, place)) in to.zip(dy.iter().zip(places)) {
                *to = [*place, *dy];
            }
        }
        let sums = RowSums {
            rows: &of.of_weight,
            terms,
            last: 2 * (h / 2 - 1) * x_row + of.of_input.last,
            lines: of.shape.kernel,
            from: x,
            from_s: x_row,
            to: sum,
            to_s: of.line(),
            len: of.shape.kernel * of.shape.in_ch,
        };
        sums.run(simd);
    }
}
