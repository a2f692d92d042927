//! Outputs: inner products of rows of the input with rows of the weight.

use super::TASK;
use crate::kernels::dots::{self, Dots};
use crate::kernels::tiles::tiles;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Floats of the weight that stay in the second-level cache while rows are computed.
const KEPT: usize = 1 << 16;

/// `y = x Wᵀ + init`.
pub(super) struct Outputs<'a> {
    pub in_features: usize,
    pub out_features: usize,
    pub x: &'a [f32],
    pub weight: &'a [f32],
    /// What the sums of the first `biased` rows begin with, and those of the others.
    pub init: [&'a [f32]; 2],
    pub biased: usize,
    pub y: &'a mut [f32],
}

impl WithSimd for Outputs<'_> {
    type Output = ();

    fn with_simd<S: Simd>(self, simd: S) {
        let Self { in_features, out_features, x, weight, init, biased, y } = self;
        let tasks = y.par_chunks_mut(TASK * out_features).zip(x.par_chunks(TASK * in_features));
        tasks.enumerate().for_each(|(task, (y, x))| {
            let biased = biased.saturating_sub(task * TASK).min(y.len() / out_features);
            let (x_biased, x_rest) = x.split_at(biased * in_features);
            let (y_biased, y_rest) = y.split_at_mut(biased * out_features);
            for (x, init, y) in [(x_biased, init[0], y_biased), (x_rest, init[1], y_rest)] {
                simd.vectorize(Rows { in_features, out_features, x, weight, init, y });
            }
        });
    }
}

/// The outputs of some rows.
struct Rows<'a> {
    in_features: usize,
    out_features: usize,
    x: &'a [f32],
    weight: &'a [f32],
    init: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { in_features, out_features, x, weight, init, y } = self;
        let best_width = dots::best_width::<S>();
        for (first, outputs) in tiles(out_features, (KEPT / in_features).max(best_width)) {
            // The rows of a tile stay in the first-level cache while these outputs are computed.
            let max_height = dots::max_height::<S>(best_width);
            for (row, height) in tiles(y.len() / out_features, max_height) {
                for (output, width) in tiles(outputs, best_width) {
                    let output = first + output;
                    let dots = Dots {
                        rows: 1,
                        len: in_features,
                        a: &x[row * in_features..],
                        a_r: 0,
                        a_i: in_features,
                        b: &weight[output * in_features..],
                        b_r: 0,
                        b_l: S::F32_LANES,
                        b_v: in_features,
                        init: &init[output..output + width],
                        c: &mut y[row * out_features + output..],
                        c_i: out_features,
                    };
                    dots.run(simd, height, width);
                }
            }
        }
    }
}
