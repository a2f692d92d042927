//! The input's gradient: rows of the weight, added where the windows lie.

use super::RowGradients;
use super::sums::{Row, RowSums, Term};
use crate::kernels::pool::{FOUR, Grid};
use pulp::{Simd, WithSimd};

/// The input's gradient of an image.
pub(super) struct Input<'a> {
    pub of: &'a RowGradients<'a>,
    pub weights: &'a [f32],
    pub dy: &'a [f32],
    pub argmax: &'a [f32],
    /// Room for the terms of each choice: two floats for each, should all channels of a window have made it.
    pub terms: &'a mut [f32],
    /// With its padding, to be added to.
    pub dx: &'a mut [f32],
}

impl WithSimd for Input<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { of, weights, dy, argmax, terms, dx } = self;
        let (Grid { h, w, ch }, dx_row) = (of.grid, of.padding.row());
        let in_ch = of.shape.in_ch;
        let (terms, _) = terms.as_chunks_mut();
        let mut rows = Vec::with_capacity(terms.len() / ch);
        // Windows below each other follow each other: what a row of the kernel adds to are rows of their own.
        for (col, row) in (0..w / 2).flat_map(|col| (0..h / 2).map(move |row| (col, row))) {
            let window = row * (w / 2) + col;
            let maxima = window * ch..(window + 1) * ch;
            let first = window * FOUR * ch;
            let counts = sort(&dy[maxima.clone()], &argmax[maxima], of.row, &mut terms[first..]);
            for (choice, count) in counts.into_iter().enumerate() {
                let first = first + choice * ch;
                let (row, col) = (2 * row + choice / 2, 2 * col + choice % 2);
                rows.push(Row { terms: first..first + count, to: row * dx_row + col * in_ch });
            }
        }
        let sums = RowSums {
            rows: &rows,
            terms,
            last: (ch - 1) * of.row,
            lines: of.shape.kernel,
            from: weights,
            from_s: of.line(),
            to: dx,
            to_s: dx_row,
            len: of.shape.kernel * in_ch,
        };
        sums.run(simd);
    }
}

/// Sorts the gradients of a window's maxima by choice, each with the place of its channel's row. Returns how many
/// each choice has; it has room for all.
#[inline(always)]
fn sort(dy: &[f32], argmax: &[f32], row: usize, terms: &mut [Term]) -> [usize; FOUR] {
    let mut counts = [0; FOUR];
    let ch = dy.len();
    for (o, (dy, argmax)) in dy.iter().zip(argmax).enumerate() {
        let choice = *argmax as usize % FOUR;
        terms[choice * ch + counts[choice]] = [f32::from_bits((o * row) as u32), *dy];
        counts[choice] += 1;
    }
    counts
}
