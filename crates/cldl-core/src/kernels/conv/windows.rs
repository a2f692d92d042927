//! Convolution and 2 by 2 max pooling of images of one channel, in registers.
//!
//! With one channel a sum has so few terms that to write the outputs and to read them again for their
//! maxima takes longer than to compute them. So the four outputs of a window are summed side by side,
//! and their maximum alone is stored.
//!
//! A vector holds the output channels of one window. The last channels, too few for a vector, are those
//! of several neighboring windows: for them the image is spread, each pixel as often as there are
//! channels, and what is a broadcast for the others is a load.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::ConvShape;
use super::padding::{Padding, with_scratch};
use crate::kernels::Images;
use crate::kernels::pool::{Grid, wins};
use crate::kernels::tile::{load, store, tiles};
use crate::kernels::unroll::unroll;
use pulp::{Simd, WithSimd};

/// Vectors of windows whose four sums each fit into the registers of `S`, with a vector of weights and
/// one of pixels.
const fn max_count<S: Simd>() -> usize {
    if 32 <= S::REGISTER_COUNT { 4 } else { 2 }
}

/// Lanes of the longest vector.
const MAX_LANES: usize = 16;

/// Computes the maxima of one image at a time.
pub(super) struct Windows<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    padding: Padding,
    blocks: Vec<Block>,
}

/// Neighboring output channels.
struct Block {
    first: usize,
    channels: usize,
    /// Windows that share a vector.
    group: usize,
    /// In the order (kernel row, kernel column, window, channel), whole vectors.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl<'a> Windows<'a> {
    /// For a weight in OIHW order and vectors of so many lanes; nothing for a shape that is not for us.
    pub(super) fn new(
        shape: &'a ConvShape,
        lanes: usize,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Option<Self> {
        let ours = shape.in_ch == 1 && shape.stride == 1 && matches!(shape.kernel, 3 | 5);
        let taps = shape.kernel * shape.kernel;
        let block = |first: usize| {
            let channels = lanes.min(shape.out_ch - first);
            let group = lanes / channels;
            let mut block = Block {
                first,
                channels,
                group,
                weights: vec![0.0; taps * lanes],
                bias: vec![0.0; lanes],
            };
            for lane in 0..group * channels {
                let o = first + lane % channels;
                block.bias[lane] = bias.map_or(0.0, |bias| bias[o]);
                for tap in 0..taps {
                    block.weights[tap * lanes + lane] = weight[o * taps + tap];
                }
            }
            block
        };
        ours.then(|| Self {
            shape,
            grid: shape.pooled(),
            padding: Padding::of_input(shape),
            blocks: (0..shape.out_ch).step_by(lanes).map(block).collect(),
        })
    }

    /// The maxima of image `index` of `x`, and which pixel of its window each is; of a tangent, which
    /// the bias does not reach, the numbers at the pixels that `argmax` names.
    #[inline(always)]
    pub(super) fn image<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        is_tangent: bool,
        y: &mut [f32],
        argmax: &mut [f32],
    ) {
        let Self { shape, grid, padding, blocks } = self;
        assert!(y.len() == grid.out_len() && argmax.len() == grid.out_len());
        padding.with(simd, x, index, |x| {
            for block in blocks {
                let mut all = |source: Source<'_>| {
                    let (shape, grid) = (*shape, *grid);
                    let (y, argmax) = (&mut *y, &mut *argmax);
                    simd.vectorize(AllWindows { shape, grid, block, source, is_tangent, y, argmax });
                };
                let columns = padding.row();
                if block.group == 1 {
                    all(Source { planes: [x, &x[1..]], row: columns, pixel: 2 });
                    continue;
                }
                let windows = (grid.w / 2).next_multiple_of(block.group);
                let channels = block.channels;
                let row = (windows + shape.kernel / 2) * channels + S::F32_LANES;
                let plane = x.len() / columns * row;
                with_scratch(2 * plane, |floats| {
                    let (even, odd) = floats.split_at_mut(plane);
                    simd.vectorize(Spread { x, columns, channels, row, planes: [even, odd] });
                    all(Source { planes: [even, odd], row, pixel: channels });
                });
            }
        });
    }
}

/// Pixels of even and of odd columns.
#[derive(Clone, Copy)]
struct Source<'a> {
    planes: [&'a [f32]; 2],
    /// Floats in a row.
    row: usize,
    /// From one pixel to the next of the same kind.
    pixel: usize,
}

/// Spreads the image `x`, of so many columns, into planes: each pixel as often as there are `channels`.
struct Spread<'a> {
    x: &'a [f32],
    columns: usize,
    channels: usize,
    /// Floats in a row of a plane.
    row: usize,
    planes: [&'a mut [f32]; 2],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, columns, channels, row, planes: [even, odd] } = self;
        let rows = even.chunks_exact_mut(row).zip(odd.chunks_exact_mut(row));
        for ((even, odd), x) in rows.zip(x.chunks_exact(columns)) {
            // Whole vectors: the next pixel overwrites what is too much.
            for (pair, x) in x.chunks(2).enumerate() {
                let to = pair * channels..pair * channels + S::F32_LANES;
                store(simd, simd.splat_f32s(x[0]), &mut even[to.clone()]);
                store(simd, simd.splat_f32s(x[x.len() - 1]), &mut odd[to]);
            }
        }
    }
}

/// All windows of an image, for the channels of a block.
struct AllWindows<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    block: &'a Block,
    source: Source<'a>,
    is_tangent: bool,
    y: &'a mut [f32],
    argmax: &'a mut [f32],
}

impl WithSimd for AllWindows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, grid, block, source, is_tangent, y, argmax } = self;
        let windows = grid.w / 2;
        for row in 0..grid.h / 2 {
            for (vector, count) in tiles(windows.div_ceil(block.group), max_count::<S>()) {
                let col = vector * block.group;
                let tile = Tile { block, source, row, col };
                let mut out = Pixels {
                    ch: grid.ch,
                    first: row * windows + col,
                    end: (row + 1) * windows,
                    block,
                    is_tangent,
                    y,
                    argmax,
                };
                match shape.kernel {
                    3 => tile.run::<S, 3, 4>(simd, count, &mut out),
                    _ => tile.run::<S, 5, 6>(simd, count, &mut out),
                }
            }
        }
    }
}

/// Neighboring windows, from the one at (`row`, `col`) on.
struct Tile<'a> {
    block: &'a Block,
    source: Source<'a>,
    row: usize,
    col: usize,
}

impl<'a> Tile<'a> {
    /// Computes `count` vectors of windows; a window and its neighbors have `READ = KERNEL + 1` columns.
    #[inline(always)]
    fn run<S: Simd, const KERNEL: usize, const READ: usize>(
        self,
        simd: S,
        count: usize,
        out: &mut Pixels<'a>,
    ) {
        macro_rules! sized {
            ($($count:literal)*) => {
                match (count, 1 < self.block.group) {
                    $(
                        ($count, false) => {
                            simd.vectorize(Sized::<KERNEL, READ, $count, false>(self, out));
                        }
                        ($count, true) => {
                            simd.vectorize(Sized::<KERNEL, READ, $count, true>(self, out));
                        }
                    )*
                    (count, _) => unreachable!("no tile of {count}"),
                }
            };
        }
        sized!(1 2 3 4);
    }
}

/// `COUNT` vectors of windows, several windows each if the image is `SPREAD`.
struct Sized<'a, 'b, const KERNEL: usize, const READ: usize, const COUNT: usize, const SPREAD: bool>(
    Tile<'a>,
    &'b mut Pixels<'a>,
);

/// Outputs of a window: of two rows and two columns.
const FOUR: usize = 4;

impl<const KERNEL: usize, const READ: usize, const COUNT: usize, const SPREAD: bool> WithSimd
    for Sized<'_, '_, KERNEL, READ, COUNT, SPREAD>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self(tile, out) = self;
        let Tile { block, source: Source { planes, row, pixel }, row: top, col } = tile;
        let lanes = S::F32_LANES;
        let step = if SPREAD { block.group * pixel } else { 2 };
        assert!(READ == KERNEL + 1 && (SPREAD || pixel == 2));
        assert!(KERNEL * KERNEL * lanes <= block.weights.len() && lanes <= block.bias.len());
        for (plane, last) in planes.iter().zip([KERNEL / 2, (KERNEL - 1) / 2]) {
            let at = (2 * top + KERNEL) * row + (col + last) * pixel + (COUNT - 1) * step;
            assert!(at + if SPREAD { lanes } else { 1 } <= plane.len());
        }
        let bias = if out.is_tangent {
            simd.splat_f32s(0.0)
        } else {
            simd.partial_load_f32s(&block.bias[..lanes])
        };
        let mut sums = [[bias; FOUR]; COUNT];
        let weights = block.weights.as_ptr();
        for r in 0..READ {
            let at = (2 * top + r) * row + col * pixel;
            // SAFETY: the assertions above bound every index that is formed here: `r` and the column are
            // at most `KERNEL`, and a row of weights is read only where there is one.
            unsafe {
                let from = planes.map(|plane| plane.as_ptr().add(at));
                let row = Row { from, pixel, step };
                let upper = weights.wrapping_add(r * KERNEL * lanes);
                let lower = weights.wrapping_sub(KERNEL * lanes).wrapping_add(r * KERNEL * lanes);
                if r == 0 {
                    row.add::<S, KERNEL, READ, COUNT, SPREAD, true, false>(simd, upper, lower, &mut sums);
                } else if r < KERNEL {
                    row.add::<S, KERNEL, READ, COUNT, SPREAD, true, true>(simd, upper, lower, &mut sums);
                } else {
                    row.add::<S, KERNEL, READ, COUNT, SPREAD, false, true>(simd, upper, lower, &mut sums);
                }
            }
        }
        unroll!(for v in 0..COUNT {
            out.put(simd, v, sums[v]);
        });
    }
}

/// A row of pixels: those of even and of odd columns.
struct Row {
    from: [*const f32; 2],
    pixel: usize,
    step: usize,
}

impl Row {
    /// Adds the products with a row of weights: `upper` for the upper outputs of the windows, if `UPPER`,
    /// and `lower` for the lower ones, if `LOWER`.
    #[inline(always)]
    unsafe fn add<
        S: Simd,
        const KERNEL: usize,
        const READ: usize,
        const COUNT: usize,
        const SPREAD: bool,
        const UPPER: bool,
        const LOWER: bool,
    >(
        &self,
        simd: S,
        upper: *const f32,
        lower: *const f32,
        sums: &mut [[S::f32s; FOUR]; COUNT],
    ) {
        // SAFETY: the caller promises the pixels of all columns and the rows of weights that are asked for.
        unsafe {
            unroll!(for c in 0..READ {
                let is_used = [UPPER && c < KERNEL, UPPER && 0 < c, LOWER && c < KERNEL, LOWER && 0 < c];
                let mut w = [simd.splat_f32s(0.0); FOUR];
                unroll!(for k in [0 1 2 3] {
                    if is_used[k] {
                        let weights = if k < 2 { upper } else { lower };
                        w[k] = load::<S>(weights.add(c.wrapping_sub(k % 2) * S::F32_LANES));
                    }
                });
                let from = self.from[c % 2].add(c / 2 * self.pixel);
                unroll!(for v in 0..COUNT {
                    let from = from.add(v * self.step);
                    let x = if SPREAD { load::<S>(from) } else { simd.splat_f32s(*from) };
                    unroll!(for k in [0 1 2 3] {
                        if is_used[k] {
                            sums[v][k] = simd.mul_add_e_f32s(x, w[k], sums[v][k]);
                        }
                    });
                });
            });
        }
    }
}

/// Where the maxima go: pixels of `ch` channels, from the `first` of the tile up to the `end` of its row.
struct Pixels<'a> {
    ch: usize,
    first: usize,
    end: usize,
    block: &'a Block,
    is_tangent: bool,
    y: &'a mut [f32],
    argmax: &'a mut [f32],
}

impl Pixels<'_> {
    /// Stores what is left of the four outputs of vector `v`.
    #[inline(always)]
    fn put<S: Simd>(&mut self, simd: S, v: usize, outputs: [S::f32s; FOUR]) {
        let places = Places {
            channels: self.block.channels,
            group: self.block.group,
            ch: self.ch,
            first: (self.first + v * self.block.group) * self.ch + self.block.first,
            end: self.end * self.ch,
        };
        let [mut chosen, rest @ ..] = outputs;
        if self.is_tangent {
            let at = places.load(simd, self.argmax);
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
            places.store(simd, at, self.argmax);
        }
        places.store(simd, chosen, self.y);
    }
}

/// The places of a vector's lanes: `channels` neighbors for each of `group` pixels before the `end`.
#[derive(Clone, Copy)]
struct Places {
    channels: usize,
    group: usize,
    ch: usize,
    first: usize,
    end: usize,
}

impl Places {
    #[inline(always)]
    fn each(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let pixels = (self.first..self.end).step_by(self.ch).take(self.group);
        pixels.map(move |at| at..at + self.channels)
    }

    #[inline(always)]
    fn load<S: Simd>(self, simd: S, from: &[f32]) -> S::f32s {
        if self.group == 1 {
            return simd.partial_load_f32s(&from[self.first..self.first + self.channels]);
        }
        let mut lanes = [0.0; MAX_LANES];
        for (lanes, place) in lanes.chunks_exact_mut(self.channels).zip(self.each()) {
            lanes.iter_mut().zip(&from[place]).for_each(|(lane, from)| *lane = *from);
        }
        simd.partial_load_f32s(&lanes[..S::F32_LANES])
    }

    #[inline(always)]
    fn store<S: Simd>(self, simd: S, vector: S::f32s, to: &mut [f32]) {
        if self.group == 1 {
            store(simd, vector, &mut to[self.first..self.first + self.channels]);
            return;
        }
        let mut lanes = [0.0; MAX_LANES];
        store(simd, vector, &mut lanes[..S::F32_LANES]);
        for (lanes, place) in lanes.chunks_exact(self.channels).zip(self.each()) {
            to[place].iter_mut().zip(lanes).for_each(|(to, lane)| *to = *lane);
        }
    }
}
