//! The products of one image.

use super::layout::Layout;
use crate::kernels::arch::Registers;
use crate::kernels::conv::ConvShape;
use crate::kernels::prefetch::Ahead;
use crate::kernels::tile::{Start, Tile, max_height};
use crate::kernels::tiles::{equal_tiles, tiles};
use crate::kernels::turn::Turn;
use pulp::{Simd, WithSimd};

/// Floats of the input and of the output's gradient that all tiles work on before the next: they stay in
/// the first-level cache, with some of the sums.
const BAND: usize = 6144;

/// Positions of a band that make up for storing the sums of a tile.
const BAND_POSITIONS: usize = 64;

/// Adds to `sum` the products of one image.
pub(super) struct AddImage<'a> {
    pub shape: &'a ConvShape,
    pub layout: &'a Layout,
    /// Floats in a row of `x`.
    pub x_row: usize,
    pub x: &'a [f32],
    pub dy: &'a [f32],
    /// The same as [`super::layout::ByBlock`] has it, if there is more than one block.
    pub by_block: Option<&'a [f32]>,
    /// What the next image will read.
    pub next: [&'a [f32]; 3],
    pub sum: &'a mut [f32],
}

impl WithSimd for AddImage<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let out_h = self.shape.out_h();
        let bands = tiles(out_h, self.band::<S>());
        let mut ahead = self.ahead::<S>();
        for (first, rows) in bands {
            for row in 0..self.layout.kernel {
                self.add_outer(simd, first, rows, row, &mut ahead);
                self.add_inner(simd, first, rows, row);
            }
        }
    }
}

impl<'a> AddImage<'a> {
    /// Rows of the output whose gradient, and the rows of the input that it meets, fit into [`BAND`]; but
    /// enough for a tile to have [`BAND_POSITIONS`]. With many registers a number that was read serves so
    /// many sums that all rows come at once.
    fn band<S: Simd>(&self) -> usize {
        if Registers::of::<S>().are_many() {
            return self.shape.out_h();
        }
        let ConvShape { out_ch, stride, .. } = *self.shape;
        let out_w = self.shape.out_w();
        let row = stride * self.x_row + out_w * out_ch;
        let fits = BAND.saturating_sub(self.layout.kernel * self.x_row) / row;
        fits.max(BAND_POSITIONS.div_ceil(out_w))
    }

    /// What to fetch of the next image with each row of each tile of [`Self::add_outer`]: all of it.
    fn ahead<S: Simd>(&self) -> Ahead<'a> {
        let heights = self.layout.outer_blocks().map(|(_, width, _)| max_height::<S>(width));
        let tiles: usize = heights.map(|height| self.layout.row.div_ceil(height)).sum();
        Ahead::new(self.next, tiles * self.layout.kernel * self.shape.out_h())
    }

    #[inline(always)]
    fn add_outer<S: Simd>(
        &mut self,
        simd: S,
        first_row: usize,
        rows: usize,
        row: usize,
        ahead: &mut Ahead<'a>,
    ) {
        let Self { shape, layout, .. } = *self;
        for (first, width, start) in layout.outer_blocks() {
            let channels = width * layout.lanes;
            let (dy, pixel) = match self.by_block {
                Some(dy) => (&dy[first * shape.out_h() * shape.out_w()..], channels),
                None => (&self.dy[first..], shape.out_ch),
            };
            for (float, height, count) in equal_tiles(layout.row, max_height::<S>(width)) {
                let tile = Tile {
                    lines: 1,
                    count,
                    rows,
                    len: shape.out_w(),
                    a: &self.x[(first_row * shape.stride + row) * self.x_row + float..],
                    a_s: 0,
                    a_t: height,
                    a_r: shape.stride * self.x_row,
                    a_l: shape.stride * shape.in_ch,
                    a_i: 1,
                    b: &dy[first_row * shape.out_w() * pixel..],
                    b_r: shape.out_w() * pixel,
                    b_l: pixel,
                    start: Start::Add,
                    c: &mut self.sum[start + (row * layout.row + float) * channels..],
                    c_s: 0,
                    c_t: height * channels,
                    c_i: channels,
                    turn: Turn::NONE,
                    channels,
                    ahead: ahead.take(count * rows),
                };
                tile.run(simd, height, width);
            }
        }
    }

    #[inline(always)]
    fn add_inner<S: Simd>(&mut self, simd: S, first_row: usize, rows: usize, row: usize) {
        let Self { shape, layout, .. } = *self;
        for (vector, width) in tiles(layout.padded_row / layout.lanes, layout.max_width) {
            let float = vector * layout.lanes;
            for (channel, height, count) in equal_tiles(layout.inner, max_height::<S>(width)) {
                let to = (row * layout.inner + channel) * layout.padded_row + float;
                let dy = first_row * shape.out_w() * shape.out_ch + layout.outer + channel;
                let tile = Tile {
                    lines: 1,
                    count,
                    rows,
                    len: shape.out_w(),
                    a: &self.dy[dy..],
                    a_s: 0,
                    a_t: height,
                    a_r: shape.out_w() * shape.out_ch,
                    a_l: shape.out_ch,
                    a_i: 1,
                    b: &self.x[(first_row * shape.stride + row) * self.x_row + float..],
                    b_r: shape.stride * self.x_row,
                    b_l: shape.stride * shape.in_ch,
                    start: Start::Add,
                    c: &mut self.sum[layout.inner_start() + to..],
                    c_s: 0,
                    c_t: height * layout.padded_row,
                    c_i: layout.padded_row,
                    turn: Turn::NONE,
                    channels: width * layout.lanes,
                    ahead: Ahead::NOTHING,
                };
                tile.run(simd, height, width);
            }
        }
    }
}
