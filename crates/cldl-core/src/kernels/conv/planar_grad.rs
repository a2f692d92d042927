//! The gradient for an input of one channel.
//!
//! A window then has too few neighboring floats to fill a vector. So vectors hold neighboring columns
//! of the input: the output's gradient is spread into planes, one a channel, with zeros around, and
//! correlated with the weight turned by half a turn:
//!
//! `dx[h, w] = Σ_{o,i,j} plane[o, h + i, w + j] · weight[o, K − 1 − i, K − 1 − j]`
#![allow(unsafe_code, reason = "bounds are checked once per block, not once per multiplication")]

use super::ConvShape;
use crate::kernels::scratch::with_scratch;
use crate::kernels::tiles::tiles;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{load, read, store};
use pulp::{Simd, WithSimd};

/// Rows that are summed together: a vector that is read serves as many of them as its window has rows.
const ROWS: usize = 4;
/// Vectors of columns that are summed together.
const MAX_WIDTH: usize = 2;

/// Computes the gradient of one image at a time.
pub(super) struct PlanarGradients<'a> {
    shape: &'a ConvShape,
    /// In the order (output channel, kernel column, kernel row), both from the last to the first.
    weights: Vec<f32>,
}

impl<'a> PlanarGradients<'a> {
    /// For a weight in OIHW order; nothing for a shape that is not for us.
    pub(super) fn new(shape: &'a ConvShape, weight: &[f32]) -> Option<Self> {
        let ConvShape { in_h, in_ch, out_ch, kernel, stride, padding, .. } = *shape;
        let ours = in_ch == 1
            && stride == 1
            && matches!(kernel, 3 | 5)
            && padding < kernel
            && in_h.is_multiple_of(ROWS);
        let turned = |o: usize, at: usize| {
            let (col, row) = (kernel - 1 - at / kernel, kernel - 1 - at % kernel);
            weight[shape.weight_index(o, 0, row, col)]
        };
        let taps = kernel * kernel;
        ours.then(|| Self {
            shape,
            weights: (0..out_ch * taps).map(|at| turned(at / taps, at % taps)).collect(),
        })
    }

    /// Writes into `dx`, or adds to it, the gradient of an image whose output's is `dy`.
    #[inline(always)]
    pub(super) fn image<S: Simd>(&self, simd: S, dy: &[f32], dx: &mut [f32], add: bool) {
        let Self { shape, weights } = self;
        let planes = Planes {
            rows: shape.in_h + shape.kernel - 1,
            row: shape.in_w.next_multiple_of(S::F32_LANES) + shape.kernel - 1,
            margin: shape.kernel - 1 - shape.padding,
        };
        with_scratch(shape.out_ch * planes.rows * planes.row, |floats| {
            simd.vectorize(Spread { shape, planes, dy, floats });
            for (vector, width) in tiles(shape.in_w.div_ceil(S::F32_LANES), MAX_WIDTH) {
                let col = vector * S::F32_LANES;
                let columns = Columns { shape, planes, weights, floats, col, dx, add };
                match (shape.kernel, width) {
                    (3, 1) => simd.vectorize(Sized::<3, 6, 1>(columns)),
                    (3, _) => simd.vectorize(Sized::<3, 6, 2>(columns)),
                    (_, 1) => simd.vectorize(Sized::<5, 8, 1>(columns)),
                    (_, _) => simd.vectorize(Sized::<5, 8, 2>(columns)),
                }
            }
        });
    }
}

/// How an output's gradient lies in its planes.
#[derive(Clone, Copy)]
struct Planes {
    rows: usize,
    /// Floats in a row.
    row: usize,
    /// Zeros above, and to the left.
    margin: usize,
}

/// Spreads the output's gradient into planes.
struct Spread<'a> {
    shape: &'a ConvShape,
    planes: Planes,
    dy: &'a [f32],
    floats: &'a mut [f32],
}

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { shape, planes: Planes { rows, row, margin }, dy, floats } = self;
        floats.fill(0.0);
        let (width, plane) = (shape.out_w() * shape.out_ch, rows * row);
        for (h, pixels) in dy.chunks_exact(width).enumerate() {
            let first = (h + margin) * row + margin;
            for (o, plane) in floats.chunks_exact_mut(plane).enumerate() {
                let to = &mut plane[first..first + shape.out_w()];
                for (to, pixel) in to.iter_mut().zip(pixels.chunks_exact(shape.out_ch)) {
                    *to = pixel[o];
                }
            }
        }
    }
}

/// Neighboring columns of the input's gradient, at most [`MAX_WIDTH`] vectors.
struct Columns<'a> {
    shape: &'a ConvShape,
    planes: Planes,
    weights: &'a [f32],
    floats: &'a [f32],
    /// The first column.
    col: usize,
    dx: &'a mut [f32],
    add: bool,
}

/// Columns of a kernel whose windows read `READ = ROWS + KERNEL - 1` rows.
struct Sized<'a, const KERNEL: usize, const READ: usize, const WIDTH: usize>(Columns<'a>);

impl<const KERNEL: usize, const READ: usize, const WIDTH: usize> WithSimd
    for Sized<'_, KERNEL, READ, WIDTH>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Columns { shape, planes, weights, floats, col, dx, add } = self.0;
        let Planes { rows, row, .. } = planes;
        assert!(READ == ROWS + KERNEL - 1 && KERNEL == shape.kernel);
        assert!(weights.len() == shape.out_ch * KERNEL * KERNEL);
        assert!(shape.out_ch * rows * row <= floats.len() && rows == shape.in_h + KERNEL - 1);
        assert!(col + WIDTH * S::F32_LANES + KERNEL - 1 <= row);
        for (block, dx) in dx.chunks_exact_mut(ROWS * shape.in_w).enumerate() {
            let mut sums = [[simd.splat_f32s(0.0); WIDTH]; ROWS];
            for (o, weights) in weights.chunks_exact(KERNEL * KERNEL).enumerate() {
                let plane = (o * rows + block * ROWS) * row + col;
                for (j, weights) in weights.chunks_exact(KERNEL).enumerate() {
                    let mut w = [simd.splat_f32s(0.0); KERNEL];
                    unroll!(for i in 0..KERNEL {
                        w[i] = simd.splat_f32s(weights[i]);
                    });
                    unroll!(for r in 0..READ {
                        unroll!(for v in 0..WIDTH {
                            let at = plane + r * row + j + v * S::F32_LANES;
                            // SAFETY: `r < READ`, so the row is one of the plane's, and the columns end
                            // inside the row, by the assertions above.
                            let x = unsafe { load::<S>(floats.as_ptr().add(at)) };
                            unroll!(for i in 0..KERNEL {
                                if i <= r && r - i < ROWS {
                                    sums[r - i][v] = simd.mul_add_e_f32s(w[i], x, sums[r - i][v]);
                                }
                            });
                        });
                    });
                }
            }
            for (dx, sums) in dx.chunks_exact_mut(shape.in_w).zip(sums) {
                for (dx, sum) in dx[col..].chunks_mut(S::F32_LANES).zip(sums) {
                    let sum = if add { simd.add_f32s(read(simd, dx), sum) } else { sum };
                    store(simd, sum, dx);
                }
            }
        }
    }
}
