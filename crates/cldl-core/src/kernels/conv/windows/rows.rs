//! The inner loops where registers are few: a row of outputs after the other, and the last channels by themselves.
//!
//! The four sums of a window for two vectors of channels leave no registers for a second window, and for one vector
//! they are too few to fill the pipelines. So the upper outputs of some windows are summed, then the lower ones.
#![allow(unsafe_code, reason = "bounds are checked once, not once per multiplication")]

use super::maxima::{Choice, Maxima};
use super::{Block, Vector};
use crate::kernels::pool::FOUR;
use crate::kernels::prefetch::Ahead;
use crate::kernels::tile::{Start, Tile, max_height};
use crate::kernels::tiles::{equal_tiles, tiles};
use crate::kernels::turn::Turn;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{MAX_LANES, from_lanes, lanes_of, load, read};
use pulp::{Simd, WithSimd};

/// Windows whose last channels are summed together, both rows.
const MAX_WINDOWS: usize = 6;

/// What the sums of tangents begin with.
const ZEROS: [f32; 2 * MAX_LANES] = [0.0; 2 * MAX_LANES];

/// All windows of an image of one channel, for the channels of a block.
pub(super) struct Rows<'a> {
    pub block: &'a Block,
    pub kernel: usize,
    /// Lines of windows, and windows in a line.
    pub lines: usize,
    pub line: usize,
    /// The padded image, and the floats in its rows.
    pub x: &'a [f32],
    pub row: usize,
    /// For the outputs of a line of windows: two rows of two outputs a window, of all vectors of the block.
    pub outputs: &'a mut [f32],
    pub out: Maxima<'a>,
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for y in 0..self.lines {
            self.own(simd, y);
        }
        if let Some(vector) = &self.block.shared {
            self.shared(simd, vector);
        }
    }
}

impl Rows<'_> {
    /// What the sums of a vector begin with.
    fn init<'b>(&self, vector: &'b Vector) -> &'b [f32] {
        if self.out.choice == Choice::Named { &ZEROS } else { &vector.bias }
    }

    /// Computes a line of windows for the channels that have lanes of their own.
    #[inline(always)]
    fn own<S: Simd>(&mut self, simd: S, y: usize) {
        let Self { block: Block { own, width, .. }, kernel, line, x, row, .. } = *self;
        let (init, pixel) = (self.init(own), width * S::F32_LANES);
        for (first, height, count) in equal_tiles(2 * line, max_height::<S>(*width)) {
            let tile = Tile {
                lines: 2,
                count,
                rows: kernel,
                len: kernel,
                a: &x[2 * y * row + first..],
                a_s: row,
                a_t: height,
                a_r: row,
                a_l: 1,
                a_i: 1,
                b: &own.weights,
                b_r: kernel * pixel,
                b_l: pixel,
                start: Start::With(init),
                c: &mut self.outputs[first * pixel..],
                c_s: 2 * line * pixel,
                c_t: height * pixel,
                c_i: pixel,
                turn: Turn::NONE,
                channels: pixel,
                ahead: Ahead::NOTHING,
            };
            tile.run(simd, height, *width);
        }
        let rows = self.outputs[..4 * line * pixel].split_at(2 * line * pixel);
        self.out.put_line(simd, y * line, [own.first, own.channels], rows, pixel);
    }

    /// Computes all windows for the last channels.
    #[inline(always)]
    fn shared<S: Simd>(&mut self, simd: S, vector: &Vector) {
        let Self { kernel, lines, line, x, row, .. } = *self;
        let init = read(simd, &self.init(vector)[..S::F32_LANES]);
        assert!(0 < kernel && 0 < lines && 0 < line);
        assert!((2 * lines + kernel - 2) * row + 2 * line + kernel - 1 <= x.len());
        assert!(kernel * kernel * S::F32_LANES <= vector.weights.len());
        let pairs = Pairs { simd, vector, init, kernel, x: x.as_ptr(), row };
        for y in 0..lines {
            for (first, count) in tiles(line, MAX_WINDOWS) {
                let (window, out) = (y * line + first, &mut self.out);
                // SAFETY: the assertions above bound the pixels of all windows, and the weights.
                unsafe {
                    let pairs = Pairs { x: pairs.x.add(2 * (y * row + first)), ..pairs };
                    match count {
                        1 => pairs.maxima::<1>(window, out),
                        2 => pairs.maxima::<2>(window, out),
                        3 => pairs.maxima::<3>(window, out),
                        4 => pairs.maxima::<4>(window, out),
                        5 => pairs.maxima::<5>(window, out),
                        _ => pairs.maxima::<MAX_WINDOWS>(window, out),
                    }
                }
            }
        }
    }
}

/// Neighboring windows, whose left and right outputs share a vector: lanes in the order (channel, output).
#[derive(Clone, Copy)]
struct Pairs<'a, S: Simd> {
    simd: S,
    vector: &'a Vector,
    init: S::f32s,
    kernel: usize,
    /// The first window's first pixel, and the floats in a row of the image.
    x: *const f32,
    row: usize,
}

impl<S: Simd> Pairs<'_, S> {
    /// Stores the maxima of `COUNT` of them.
    #[inline(always)]
    unsafe fn maxima<const COUNT: usize>(self, window: usize, out: &mut Maxima<'_>) {
        let Self { simd, vector, init, kernel, x, row } = self;
        let mut sums = [[init; 2]; COUNT];
        for r in 0..=kernel {
            // SAFETY: the caller promises the pixels and the weights, whose rows are read only where there are any.
            unsafe {
                let x = x.add(r * row);
                let upper = vector.weights.as_ptr().wrapping_add(r * kernel * S::F32_LANES);
                let lower = upper.wrapping_sub(kernel * S::F32_LANES);
                if r == 0 {
                    self.add::<COUNT, true, false>(x, [upper, lower], &mut sums);
                } else if r < kernel {
                    self.add::<COUNT, true, true>(x, [upper, lower], &mut sums);
                } else {
                    self.add::<COUNT, false, true>(x, [upper, lower], &mut sums);
                }
            }
        }
        let channels = [vector.first, vector.channels];
        unroll!(for n in [0 2 4] {
            if n < COUNT {
                let outputs = by_output::<S>(sums[n], sums[(n + 1).min(COUNT - 1)]);
                if n + 1 < COUNT {
                    out.put_shared::<S, 2>(simd, window + n, channels, outputs);
                } else {
                    out.put_shared::<S, 1>(simd, window + n, channels, outputs);
                }
            }
        });
    }

    /// Adds the products of a row of pixels: for the `UPPER` outputs and for the `LOWER` ones, each with its row of
    /// weights.
    #[inline(always)]
    unsafe fn add<const COUNT: usize, const UPPER: bool, const LOWER: bool>(
        self,
        x: *const f32,
        [upper, lower]: [*const f32; 2],
        sums: &mut [[S::f32s; 2]; COUNT],
    ) {
        let simd = self.simd;
        for j in 0..self.kernel {
            // SAFETY: the caller promises the pixels, and the weights that are asked for.
            unsafe {
                let mut weights = [simd.splat_f32s(0.0); 2];
                if UPPER {
                    weights[0] = load::<S>(upper.wrapping_add(j * S::F32_LANES));
                }
                if LOWER {
                    weights[1] = load::<S>(lower.wrapping_add(j * S::F32_LANES));
                }
                unroll!(for n in 0..COUNT {
                    let pair = of_pair::<S>(x.add(2 * n + j));
                    if UPPER {
                        sums[n][0] = simd.mul_add_e_f32s(pair, weights[0], sums[n][0]);
                    }
                    if LOWER {
                        sums[n][1] = simd.mul_add_e_f32s(pair, weights[1], sums[n][1]);
                    }
                });
            }
        }
    }
}

/// The four outputs of two windows, whose upper and lower ones are given: lanes in the order (channel, window).
#[inline(always)]
fn by_output<S: Simd>(
    [first_upper, first_lower]: [S::f32s; 2],
    [upper, lower]: [S::f32s; 2],
) -> [S::f32s; FOUR] {
    let [a, b] = [lanes_of::<S>(first_upper), lanes_of::<S>(upper)];
    let [c, d] = [lanes_of::<S>(first_lower), lanes_of::<S>(lower)];
    [
        from_lanes::<S>(|lane| if lane % 2 == 0 { a[lane] } else { b[lane - 1] }),
        from_lanes::<S>(|lane| if lane % 2 == 0 { a[lane + 1] } else { b[lane] }),
        from_lanes::<S>(|lane| if lane % 2 == 0 { c[lane] } else { d[lane - 1] }),
        from_lanes::<S>(|lane| if lane % 2 == 0 { c[lane + 1] } else { d[lane] }),
    ]
}

/// Two neighboring pixels, again and again.
#[inline(always)]
unsafe fn of_pair<S: Simd>(x: *const f32) -> S::f32s {
    // As one number: between single ones the compiler finds what vectors have in common, and shuffles it.
    // SAFETY: the caller promises two pixels; a vector has at most `MAX_LANES` lanes.
    unsafe { std::mem::transmute_copy(&[x.cast::<u64>().read_unaligned(); MAX_LANES / 2]) }
}
