//! The gradients of a convolution of many channels.
//!
//! The terms of an output's sum are, in each row of its window, neighbors: the weight's gradient adds up
//! such rows of the input, and the input's gradient adds up such rows of the weight.

mod input;
mod sums;
mod weight;

use super::places::Places;
use crate::kernels::Images;
use crate::kernels::aligned::Aligned;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::padding::Padding;
use crate::kernels::pool::{FOUR, Grid};
use crate::kernels::scratch::with_scratch;
use input::Input;
use pulp::Simd;
use sums::Row;
use weight::Weight;

/// Vectors in the narrowest row whose additions do not wait for each other for longer than the products
/// take that are left out.
const LEAST: usize = 2;

/// Computes the gradients of one image at a time.
pub(super) struct RowGradients<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    padding: Padding,
    /// Floats of a row of a window, up to whole vectors.
    row: usize,
    /// Where in the padded image the windows of maxima begin.
    of_input: Places,
    /// The terms of each output channel's rows of the weight: its maxima.
    of_weight: Vec<Row>,
    /// In the order (kernel row, output channel, float), if the input's gradient is wanted.
    weights: Option<Aligned>,
}

impl<'a> RowGradients<'a> {
    /// Whether a shape is for us.
    pub(super) fn fit(shape: &ConvShape, registers: Registers) -> bool {
        shape.stride == 1
            && LEAST * registers.lanes <= shape.kernel * shape.in_ch
            && 2 <= shape.out_h().min(shape.out_w())
    }

    /// For a shape that [fits](Self::fit), and a weight in OIHW order if the input's gradient is wanted.
    pub(super) fn new(shape: &'a ConvShape, registers: Registers, weight: Option<&[f32]>) -> Self {
        let (grid, len) = (shape.pooled(), shape.kernel * shape.in_ch);
        let row = len.next_multiple_of(registers.lanes);
        let padding = Padding::of_input(shape);
        let windows = (grid.h / 2) * (grid.w / 2);
        let first = (0..grid.w / 2 * grid.ch).map(|at| at / grid.ch * 2 * shape.in_ch);
        let of_channel = |o| Row { terms: o * windows..(o + 1) * windows, to: o * row };
        Self {
            shape,
            grid,
            padding,
            row,
            of_input: Places::new(first, shape.in_ch, padding.row()),
            of_weight: (0..grid.ch).map(of_channel).collect(),
            weights: weight.map(|weight| rows_of(shape, row, weight)),
        }
    }

    /// Floats of a sum of the weight's gradient, in the order of `weights`.
    pub(super) fn sum_len(&self) -> usize {
        self.shape.kernel * self.line()
    }

    /// Floats of a row of all output channels.
    fn line(&self) -> usize {
        self.shape.out_ch * self.row
    }

    /// Adds to `sum` the products of image `index` of `x` with the gradient `dy` of its maxima.
    #[inline(always)]
    pub(super) fn add_weight<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        dy: &[f32],
        argmax: &[f32],
        sum: &mut [f32],
    ) {
        // The last vector of the last row reads past the end.
        let padding = self.padding.with_slack(self.row - self.shape.kernel * self.shape.in_ch);
        padding.with(simd, x, index, |x| {
            with_scratch(3 * dy.len(), |floats| {
                let (places, terms) = floats.split_at_mut(dy.len());
                simd.vectorize(Weight { of: self, x, dy, argmax, places, terms, sum });
            });
        });
    }

    /// The gradient of the weight from a sum of rows.
    pub(super) fn finish(&self, sum: &[f32], dw: &mut [f32]) {
        let ConvShape { in_ch, kernel, .. } = *self.shape;
        for (o, dw) in dw.chunks_exact_mut(in_ch * kernel * kernel).enumerate() {
            for row in 0..kernel {
                let sum = &sum[row * self.line() + o * self.row..];
                for (col, sum) in sum.chunks(in_ch).take(kernel).enumerate() {
                    let to = dw[row * kernel + col..].iter_mut().step_by(kernel * kernel);
                    to.zip(sum).for_each(|(dw, sum)| *dw = *sum);
                }
            }
        }
    }

    /// Writes into `dx`, or adds to it, the gradient of the image with these maxima, if it is wanted.
    #[inline(always)]
    pub(super) fn input<S: Simd>(
        &self,
        simd: S,
        dy: &[f32],
        argmax: &[f32],
        dx: &mut [f32],
        add: bool,
    ) {
        let Some(weights) = &self.weights else { return };
        with_scratch(2 * FOUR * dy.len(), |terms| {
            self.padding.unpad(dx, add, |dx| {
                simd.vectorize(Input { of: self, weights, dy, argmax, terms, dx });
            });
        });
    }
}

/// The weight in the order (kernel row, output channel, column and input channel), each row up to `row` floats.
fn rows_of(shape: &ConvShape, row: usize, weight: &[f32]) -> Aligned {
    let ConvShape { in_ch, out_ch, kernel, .. } = *shape;
    let mut rows = Aligned::zeros(kernel * out_ch * row);
    for (at, to) in rows.chunks_exact_mut(row).enumerate() {
        let (i, o) = (at / out_ch, at % out_ch);
        let from = &weight[o * in_ch * kernel * kernel..][..in_ch * kernel * kernel];
        for (col, to) in to.chunks_exact_mut(in_ch).take(kernel).enumerate() {
            let from = from[i * kernel + col..].iter().step_by(kernel * kernel);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }
    rows
}
