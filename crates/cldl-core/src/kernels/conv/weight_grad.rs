//! The gradients of the convolution for its weight and its bias.

use super::ConvShape;
use super::padding::Padding;
use super::weight_rows::WeightRows;
use crate::kernels::Images;
use crate::kernels::prefetch::prefetch;
use crate::kernels::tile::{MAX_WIDTH, Tile, max_height, tiles};
use pulp::{Simd, WithSimd};
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
    layout: Layout,
    padding: Padding,
    /// A row of zeros for [`WeightRows`].
    zeros: Vec<f32>,
}

impl<'a> WeightGradients<'a> {
    /// For vectors of so many lanes.
    pub(super) fn new(shape: &'a ConvShape, lanes: usize) -> Self {
        let layout = Layout::new(shape, lanes);
        // The last vector of the last position reads past the end.
        let slack = if 0 < layout.inner { layout.padded_row - layout.row } else { 0 };
        let zeros = vec![0.0; shape.out_w() * shape.out_ch + lanes];
        Self { shape, layout, padding: Padding::of_input(shape).with_slack(slack), zeros }
    }

    /// Floats that [`Self::image`] reads of `dy` past its end.
    pub(super) fn dy_slack(&self) -> usize {
        self.layout.padded_outer - self.layout.outer
    }

    /// Floats of a sum.
    pub(super) fn sum_len(&self) -> usize {
        self.layout.len()
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
        let Self { shape, layout, padding, zeros } = self;
        padding.with(simd, x, index, |x| {
            let x_row = padding.row();
            if layout.inner == 0 && WeightRows::fit::<S>(shape) {
                simd.vectorize(WeightRows { shape, x, x_row, dy, zeros, next, sum });
                return;
            }
            simd.vectorize(AddImage { shape, layout, x_row, x, dy, next, sum });
        });
    }

    /// The gradient of the weight, in OIHW order, from the sum over all images.
    pub(super) fn finish(&self, sum: &[f32], dw: &mut [f32]) {
        self.layout.unpack(self.shape, sum, dw);
    }
}

/// Where the sums of a weight gradient lie while they are added up.
///
/// Most output channels come first, in blocks of vectors of channels. The last channels follow if
/// they would leave most of a vector idle: there a vector holds neighbors in a row of the window.
#[derive(Debug)]
struct Layout {
    lanes: usize,
    kernel: usize,
    /// Floats in a row of the window, and the same in whole vectors.
    row: usize,
    padded_row: usize,
    /// Output channels of the first kind, and the same in whole vectors.
    outer: usize,
    padded_outer: usize,
    /// Output channels of the second kind.
    inner: usize,
}

impl Layout {
    fn new(shape: &ConvShape, lanes: usize) -> Self {
        let row = shape.kernel * shape.in_ch;
        let tail = shape.out_ch % lanes;
        // Twice: with few sums in registers, each waits for its own last addition.
        let inner = if 2 * tail * row.div_ceil(lanes) <= row { tail } else { 0 };
        let outer = shape.out_ch - inner;
        Self {
            lanes,
            kernel: shape.kernel,
            row,
            padded_row: row.next_multiple_of(lanes),
            outer,
            padded_outer: outer.next_multiple_of(lanes),
            inner,
        }
    }

    fn len(&self) -> usize {
        self.inner_start() + self.kernel * self.inner * self.padded_row
    }

    /// First channel, vectors and start of each block, whose sums are in the order (kernel row,
    /// float of the window's row, channel).
    fn outer_blocks(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        tiles(self.padded_outer / self.lanes, MAX_WIDTH).map(|(vector, width)| {
            let first = vector * self.lanes;
            (first, width, first * self.kernel * self.row)
        })
    }

    /// Start of the rest, in the order (kernel row, channel, float of the window's row).
    fn inner_start(&self) -> usize {
        self.kernel * self.row * self.padded_outer
    }

    fn unpack(&self, shape: &ConvShape, sum: &[f32], dw: &mut [f32]) {
        let mut put = |o: usize, row: usize, float: usize, value: f32| {
            dw[shape.weight_index(o, float % shape.in_ch, row, float / shape.in_ch)] = value;
        };
        for (first, width, start) in self.outer_blocks() {
            let width = width * self.lanes;
            for (at, sums) in
                sum[start..].chunks_exact(width).take(self.kernel * self.row).enumerate()
            {
                for (o, value) in (first..self.outer).zip(sums) {
                    put(o, at / self.row, at % self.row, *value);
                }
            }
        }
        for (at, sums) in sum[self.inner_start()..].chunks_exact(self.padded_row).enumerate() {
            for (float, value) in sums[..self.row].iter().enumerate() {
                put(self.outer + at % self.inner, at / self.inner, float, *value);
            }
        }
    }
}

struct AddImage<'a> {
    shape: &'a ConvShape,
    layout: &'a Layout,
    /// Floats in a row of `x`.
    x_row: usize,
    x: &'a [f32],
    dy: &'a [f32],
    /// What the next image will read.
    next: [&'a [f32]; 3],
    sum: &'a mut [f32],
}

impl WithSimd for AddImage<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut ahead = self.ahead::<S>();
        for row in 0..self.layout.kernel {
            self.add_outer(simd, row, &mut ahead);
            self.add_inner(simd, row);
        }
    }
}

impl<'a> AddImage<'a> {
    /// What to fetch of the next image with each tile of [`Self::add_outer`]: all of it, in equal parts.
    fn ahead<S: Simd>(&self) -> impl Iterator<Item = [&'a [f32]; 3]> + use<'a, S> {
        let heights = self.layout.outer_blocks().map(|(_, width, _)| max_height::<S>(width));
        let tiles: usize = heights.map(|height| self.layout.row.div_ceil(height)).sum();
        let tiles = (tiles * self.layout.kernel).max(1);
        let next = self.next;
        (0..tiles).map(move |tile| {
            next.map(|next| {
                let part = next.len().div_ceil(tiles);
                &next[(tile * part).min(next.len())..((tile + 1) * part).min(next.len())]
            })
        })
    }

    #[inline(always)]
    fn add_outer<S: Simd>(
        &mut self,
        simd: S,
        row: usize,
        ahead: &mut impl Iterator<Item = [&'a [f32]; 3]>,
    ) {
        let Self { shape, layout, .. } = *self;
        for (first, width, start) in layout.outer_blocks() {
            let channels = width * layout.lanes;
            for (float, height) in tiles(layout.row, max_height::<S>(width)) {
                let tile = Tile {
                    rows: shape.out_h(),
                    len: shape.out_w(),
                    a: &self.x[row * self.x_row + float..],
                    a_r: shape.stride * self.x_row,
                    a_l: shape.stride * shape.in_ch,
                    a_i: 1,
                    b: &self.dy[first..],
                    b_r: shape.out_w() * shape.out_ch,
                    b_l: shape.out_ch,
                    init: None,
                    c: &mut self.sum[start + (row * layout.row + float) * channels..],
                    c_i: channels,
                    channels,
                };
                ahead.next().into_iter().flatten().for_each(prefetch);
                tile.run(simd, height, width);
            }
        }
    }

    #[inline(always)]
    fn add_inner<S: Simd>(&mut self, simd: S, row: usize) {
        let Self { shape, layout, .. } = *self;
        for (vector, width) in tiles(layout.padded_row / layout.lanes, MAX_WIDTH) {
            let float = vector * layout.lanes;
            for (channel, height) in tiles(layout.inner, max_height::<S>(width)) {
                let to = (row * layout.inner + channel) * layout.padded_row + float;
                let tile = Tile {
                    rows: shape.out_h(),
                    len: shape.out_w(),
                    a: &self.dy[layout.outer + channel..],
                    a_r: shape.out_w() * shape.out_ch,
                    a_l: shape.out_ch,
                    a_i: 1,
                    b: &self.x[row * self.x_row + float..],
                    b_r: shape.stride * self.x_row,
                    b_l: shape.stride * shape.in_ch,
                    init: None,
                    c: &mut self.sum[layout.inner_start() + to..],
                    c_i: layout.padded_row,
                    channels: width * layout.lanes,
                };
                tile.run(simd, height, width);
            }
        }
    }
}
