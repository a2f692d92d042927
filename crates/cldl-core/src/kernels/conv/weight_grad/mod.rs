//! The gradients of the convolution for its weight and its bias.

mod add;
mod layout;

use super::ConvShape;
use super::padding::Padding;
use super::pointwise::{self, PointwiseWeights};
use super::weight_rows::WeightRows;
use super::winograd::{self, WinogradWeights};
use crate::kernels::Images;
use crate::kernels::arch::Registers;
use crate::kernels::scratch::with_scratch;
use add::AddImage;
use layout::{ByBlock, Layout};
use pulp::Simd;
use rayon::prelude::*;
use tracing::instrument;

/// At most so many chunks of images, whose partial sums are added in order at the end. A constant,
/// not the number of threads: the order of the additions must depend on the shapes alone.
const CHUNKS: usize = 16;

/// Positions that a chunk has at least: less work would not pay for its partial sum.
const CHUNK_POSITIONS: usize = 256;

/// Gradient of a bias: `db[o] = Σ_rows dy[row, o]`.
///
/// # Shapes
/// - `dy`: `[rows, channels]`; `db`: `[channels]`, overwritten
///
/// # Panics
/// If `dy` is not whole rows.
#[instrument(level = "trace", skip_all, fields(moved = dy.len()))]
pub fn bias_grad(channels: usize, dy: &[f32], db: &mut [f32]) {
    assert_eq!(db.len(), channels);
    assert_eq!(dy.len() % channels, 0);
    let rows = (dy.len() / channels).div_ceil(CHUNKS).max(1);
    // Neighboring rows have sums of their own, so that an addition does not wait for the last one.
    let stripe = 8 * channels;
    let partial = |chunk: &[f32]| {
        let mut sum = vec![0.0; stripe];
        chunk.chunks(stripe).for_each(|rows| add(&mut sum, rows));
        sum
    };
    let partials: Vec<_> = dy.par_chunks(rows * channels).map(partial).collect();
    db.fill(0.0);
    partials.iter().flat_map(|sum| sum.chunks_exact(channels)).for_each(|row| add(db, row));
}

fn add(sum: &mut [f32], terms: &[f32]) {
    for (sum, term) in sum.iter_mut().zip(terms) {
        *sum += term;
    }
}

/// Images whose products one task adds up.
pub(super) fn chunk_images(shape: &ConvShape) -> usize {
    let least = CHUNK_POSITIONS.div_ceil(shape.out_h() * shape.out_w());
    shape.batch.div_ceil(CHUNKS).max(least)
}

/// Adds up the products of one image at a time.
pub(super) struct WeightGradients<'a> {
    shape: &'a ConvShape,
    padding: Padding,
    way: Way<'a>,
}

/// How the products come about.
enum Way<'a> {
    Winograd(WinogradWeights<'a>),
    Pointwise(PointwiseWeights<'a>),
    Windows {
        layout: Layout,
        /// A row of zeros for [`WeightRows`].
        zeros: Vec<f32>,
    },
}

impl<'a> WeightGradients<'a> {
    /// For the registers that will be used.
    pub(super) fn new(shape: &'a ConvShape, registers: Registers) -> Self {
        let padding = Padding::of_input(shape);
        if winograd::fit(shape) {
            return Self { shape, padding, way: Way::Winograd(WinogradWeights::new(shape)) };
        }
        if pointwise::fit(shape) {
            return Self { shape, padding, way: Way::Pointwise(PointwiseWeights::new(shape)) };
        }
        let layout = Layout::new(shape, registers);
        // The last vector of the last position reads past the end.
        let slack = if 0 < layout.inner { layout.padded_row - layout.row } else { 0 };
        let zeros = vec![0.0; shape.out_w() * shape.out_ch + registers.lanes];
        Self { shape, padding: padding.with_slack(slack), way: Way::Windows { layout, zeros } }
    }

    /// Floats that [`Self::image`] reads of `dy` past its end.
    pub(super) fn dy_slack(&self) -> usize {
        match &self.way {
            Way::Winograd(_) | Way::Pointwise(_) => 0,
            Way::Windows { layout, .. } => layout.padded_outer - layout.outer,
        }
    }

    /// Floats of a sum.
    pub(super) fn sum_len(&self) -> usize {
        match &self.way {
            Way::Winograd(winograd) => winograd.sum_len(),
            Way::Pointwise(_) => self.shape.weight_len(),
            Way::Windows { layout, .. } => layout.len(),
        }
    }

    /// Adds the products of image `index` of `x` with its output's gradient `dy`; fetches `next`.
    #[inline(always)]
    pub(super) fn image<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        dy: &[f32],
        next: [&[f32]; 3],
        sum: &mut [f32],
    ) {
        let Self { shape, padding, way } = self;
        padding.with(simd, x, index, |x| {
            let (layout, zeros) = match way {
                Way::Winograd(winograd) => return winograd.image(simd, x, dy, next, sum),
                Way::Pointwise(pointwise) => return pointwise.image(simd, x, dy, sum),
                Way::Windows { layout, zeros } => (layout, zeros),
            };
            let x_row = padding.row();
            if layout.inner == 0 && WeightRows::fit::<S>(shape) {
                simd.vectorize(WeightRows { shape, x, x_row, dy, zeros, next, sum });
                return;
            }
            let mut add = |by_block: Option<&[f32]>| {
                simd.vectorize(AddImage {
                    shape,
                    layout,
                    x_row,
                    x,
                    dy,
                    by_block,
                    next,
                    sum: &mut *sum,
                });
            };
            // With many registers a copy takes longer than the lines that crowd the cache.
            if Registers::of::<S>().are_many() || layout.outer_blocks().nth(1).is_none() {
                return add(None);
            }
            let positions = shape.out_h() * shape.out_w();
            with_scratch(positions * layout.padded_outer, |by_block| {
                simd.vectorize(ByBlock { shape, layout, dy, to: &mut *by_block });
                add(Some(by_block));
            });
        });
    }

    /// The gradient of the weight, in OIHW order, from the sum over all images.
    pub(super) fn finish<S: Simd>(&self, simd: S, sum: &[f32], dw: &mut [f32]) {
        match &self.way {
            Way::Winograd(winograd) => winograd.finish(simd, sum, dw),
            Way::Pointwise(pointwise) => pointwise.finish(simd, sum, dw),
            Way::Windows { layout, .. } => layout.unpack(self.shape, sum, dw),
        }
    }
}
