//! The weight's gradient of a kernel of 3 rows and one vector of output channels.
//!
//! A tile one vector wide loads a pixel for every multiplication, and the loads set the pace. Here a
//! pixel that was loaded serves all rows of the kernel: for each it meets another row of the output's
//! gradient.
#![allow(unsafe_code, reason = "bounds are checked once per tile, not once per multiplication")]

use super::ConvShape;
use crate::kernels::arch::Registers;
use crate::kernels::prefetch::Ahead;
use crate::kernels::sized::run_sized;
use crate::kernels::tiles::tiles;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{load, read, store};
use pulp::{Simd, WithSimd};

/// Rows of the kernel.
const ROWS: usize = 3;
/// Rows of the input that all tiles work on before the next: they and the gradient's stay in the
/// first-level cache.
const BAND: usize = 8;

/// Steps in a row, with each of which a part of the next image is fetched: a row has too much to fetch for the
/// buffers that loads need too.
const STRETCH: usize = 8;

/// Floats of a window's row whose sums fit into the registers of `S`, one for each of [`ROWS`].
const fn max_height<S: Simd>(_width: usize) -> usize {
    if Registers::of::<S>().are_many() { 9 } else { 0 }
}

/// Adds to `sum`, in the order (kernel row, float of the window's row, channel), the products of one image.
pub(super) struct WeightRows<'a> {
    pub shape: &'a ConvShape,
    /// The padded image, and floats in a row of it.
    pub x: &'a [f32],
    pub x_row: usize,
    /// The output's gradient; with fewer channels than a vector, more floats at the end.
    pub dy: &'a [f32],
    /// As many zeros as a row of `dy` has floats, and a vector.
    pub zeros: &'a [f32],
    /// What the next image will read.
    pub next: [&'a [f32]; 3],
    pub sum: &'a mut [f32],
}

impl WeightRows<'_> {
    /// Whether a shape is for us.
    pub(super) fn fit<S: Simd>(shape: &ConvShape) -> bool {
        let ConvShape { kernel, stride, out_ch, .. } = *shape;
        let fits_registers = 0 < max_height::<S>(1) && out_ch <= S::F32_LANES;
        fits_registers && kernel == ROWS && stride == 1
    }
}

impl WithSimd for WeightRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { shape, x, x_row, dy, zeros, next, sum } = self;
        let (out_h, dy_row) = (shape.out_h(), shape.out_w() * shape.out_ch);
        let floats = ROWS * shape.in_ch;
        let rows = out_h + ROWS - 1;
        let stretches = shape.out_w().div_ceil(STRETCH);
        let tiles_in_row = tiles(floats, max_height::<S>(1));
        let mut ahead = Ahead::new(next, rows * stretches * tiles_in_row.clone().count());
        for first in (0..rows).step_by(BAND) {
            for (float, height) in tiles_in_row.clone() {
                let tile = Tile {
                    rows: first..(first + BAND).min(rows),
                    steps: shape.out_w(),
                    x: &x[float..],
                    x_row,
                    x_step: shape.in_ch,
                    dy: Gradient { dy, zeros, rows: out_h, row: dy_row, step: shape.out_ch },
                    ahead: ahead.take(BAND * stretches),
                    sum: &mut sum[float * S::F32_LANES..],
                    sum_row: floats * S::F32_LANES,
                };
                run_sized!(tile, simd, height, 1, max_height, { 1: 1 2 3 4 5 6 7 8 9; });
            }
        }
    }
}

/// Rows of the output's gradient, and of zeros above and below.
struct Gradient<'a> {
    dy: &'a [f32],
    zeros: &'a [f32],
    rows: usize,
    row: usize,
    step: usize,
}

impl<'a> Gradient<'a> {
    /// What row `input` of the padded input meets with each row of the kernel.
    #[inline(always)]
    fn rows_of(&self, input: usize) -> [&'a [f32]; ROWS] {
        [0, 1, 2].map(|i| match input.checked_sub(i) {
            Some(output) if output < self.rows => &self.dy[output * self.row..],
            _ => self.zeros,
        })
    }
}

struct Tile<'a> {
    rows: std::ops::Range<usize>,
    steps: usize,
    x: &'a [f32],
    x_row: usize,
    x_step: usize,
    dy: Gradient<'a>,
    /// A part for each [`STRETCH`] of a row.
    ahead: Ahead<'a>,
    sum: &'a mut [f32],
    sum_row: usize,
}

struct Sized<'a, const HEIGHT: usize, const WIDTH: usize>(Tile<'a>);

impl<const HEIGHT: usize, const WIDTH: usize> WithSimd for Sized<'_, HEIGHT, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile { rows, steps, x, x_row, x_step, dy, mut ahead, sum, sum_row } = self.0;
        let lanes = S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); ROWS]; HEIGHT];
        for row in rows {
            let (x, dy_rows) = (&x[row * x_row..], dy.rows_of(row));
            assert!(0 < steps && (steps - 1) * x_step + HEIGHT <= x.len());
            assert!(dy_rows.iter().all(|dy_row| (steps - 1) * dy.step + lanes <= dy_row.len()));
            for first in (0..steps).step_by(STRETCH) {
                ahead.fetch();
                for step in first..steps.min(first + STRETCH) {
                    // SAFETY: the assertions above bound every index that is formed here.
                    unsafe {
                        let dy = dy_rows.map(|row| load::<S>(row.as_ptr().add(step * dy.step)));
                        let x = x.as_ptr().add(step * x_step);
                        unroll!(for h in 0..HEIGHT {
                            let x = simd.splat_f32s(*x.add(h));
                            unroll!(for i in [0 1 2] {
                                sums[h][i] = simd.mul_add_e_f32s(x, dy[i], sums[h][i]);
                            });
                        });
                    }
                }
            }
        }
        unroll!(for i in [0 1 2] {
            unroll!(for h in 0..HEIGHT {
                let to = &mut sum[i * sum_row + h * lanes..][..lanes];
                store(simd, simd.add_f32s(read(simd, to), sums[h][i]), to);
            });
        });
    }
}
