//! The gradients of a convolution of one channel whose outputs were pooled.
//!
//! Of the four outputs of a window three have a gradient of zero, and each channel chose its own: so
//! only the products of the chosen ones are formed. The terms of an output's sum are few and lie side by
//! side, as a patch: the weight's gradient adds up patches of the input, and the input's gradient adds
//! the weight to the patches of its outputs.

mod input;
mod products;

use super::ConvShape;
use super::padding::Padding;
use crate::kernels::pool::Grid;
use crate::kernels::scratch::with_scratch;
use crate::kernels::{Images, Unpooled};
use input::{Input, SizedInput};
use products::{Products, SizedProducts};
use pulp::Simd;

/// Floats that are copied of a row of a window: a constant number is one instruction, and what is too
/// much, the next row overwrites.
const COPIED: usize = 8;

/// Computes the gradients of one image at a time.
pub(super) struct PooledGradients<'a> {
    shape: &'a ConvShape,
    grid: Grid,
    padding: Padding,
    /// Vectors of a patch, and their floats.
    vectors: usize,
    patch: usize,
    /// A patch for each output channel; nothing if the input's gradient is not wanted.
    weights: Vec<f32>,
}

impl<'a> PooledGradients<'a> {
    /// For vectors of so many lanes, and a weight in OIHW order if the input's gradient is wanted; nothing
    /// for a shape that is not for us.
    pub(super) fn new(shape: &'a ConvShape, lanes: usize, weight: Option<&[f32]>) -> Option<Self> {
        let taps = shape.kernel * shape.kernel;
        let vectors = taps.div_ceil(lanes);
        let patch = vectors * lanes;
        let copies_fit = (shape.kernel - 1) * shape.kernel + COPIED <= patch;
        let ours = shape.in_ch == 1 && matches!(shape.kernel, 3 | 5) && copies_fit;
        let padded = |weight: &[f32]| {
            let mut patches = vec![0.0; shape.out_ch * patch];
            for (to, from) in patches.chunks_exact_mut(patch).zip(weight.chunks_exact(taps)) {
                to[..taps].copy_from_slice(from);
            }
            patches
        };
        (ours && matches!(vectors, 1 | 2 | 4)).then(|| Self {
            shape,
            grid: shape.pooled(),
            padding: Padding::of_input(shape).with_slack(COPIED),
            vectors,
            patch,
            weights: weight.map_or_else(Vec::new, padded),
        })
    }

    /// Floats of a sum of the weight's gradient: a patch for each output channel.
    pub(super) fn sum_len(&self) -> usize {
        self.shape.out_ch * self.patch
    }

    /// Adds to `sum` the products of image `index` of `x` with the gradient of its maxima.
    #[inline(always)]
    pub(super) fn add_weight<S: Simd>(
        &self,
        simd: S,
        x: &Images<'_>,
        index: usize,
        dy: &Unpooled<'_>,
        sum: &mut [f32],
    ) {
        let (dy, argmax) = dy.maxima(index);
        self.padding.with(simd, x, index, |x| {
            with_scratch(2 * self.grid.w * self.patch + self.row_of_maxima(), |floats| {
                let (patches, places) = floats.split_at_mut(2 * self.grid.w * self.patch);
                let products = Products { of: self, x, dy, argmax, patches, places, sum };
                match self.vectors {
                    1 => simd.vectorize(SizedProducts::<1, 8>(products)),
                    2 => simd.vectorize(SizedProducts::<2, 4>(products)),
                    _ => simd.vectorize(SizedProducts::<4, 2>(products)),
                }
            });
        });
    }

    /// The gradient of the weight from a sum of patches.
    pub(super) fn finish(&self, sum: &[f32], dw: &mut [f32]) {
        let taps = self.shape.kernel * self.shape.kernel;
        for (dw, sum) in dw.chunks_exact_mut(taps).zip(sum.chunks_exact(self.patch)) {
            dw.copy_from_slice(&sum[..taps]);
        }
    }

    /// Writes into `dx`, or adds to it, the gradient of image `index`.
    #[inline(always)]
    pub(super) fn input<S: Simd>(
        &self,
        simd: S,
        dy: &Unpooled<'_>,
        index: usize,
        dx: &mut [f32],
        add: bool,
    ) {
        let (dy, argmax) = dy.maxima(index);
        let Self { shape, grid, padding, patch, .. } = self;
        let padded = (shape.in_h + 2 * shape.padding) * padding.row();
        let patches = 2 * grid.w * patch;
        with_scratch(padded + patches + self.row_of_maxima(), |floats| {
            let (patches, rest) = floats.split_at_mut(patches);
            let (padded, places) = rest.split_at_mut(padded);
            let input = Input { of: self, dy, argmax, padded, patches, places, dx, add };
            match self.vectors {
                1 => simd.vectorize(SizedInput::<1>(input)),
                2 => simd.vectorize(SizedInput::<2>(input)),
                _ => simd.vectorize(SizedInput::<4>(input)),
            }
        });
    }

    /// Maxima of a row of windows.
    fn row_of_maxima(&self) -> usize {
        self.grid.w / 2 * self.grid.ch
    }

    /// Where the patches of the maxima of a row of windows begin, as bits. Apart, because a vector of them
    /// is made at a time, and used one by one.
    #[inline(always)]
    fn patches_of(&self, argmax: &[f32], places: &mut [f32]) {
        let Self { grid, patch, .. } = self;
        let pixels = places.chunks_exact_mut(grid.ch).zip(argmax.chunks_exact(grid.ch));
        for (col, (places, argmax)) in pixels.enumerate() {
            for (place, argmax) in places.iter_mut().zip(argmax) {
                let choice = choice(*argmax);
                let pixel = 2 * col + choice % 2 + choice / 2 * grid.w;
                *place = f32::from_bits((pixel * patch) as u32);
            }
        }
    }
}

/// Which pixel of its window a maximum was: a float from 0 to 3. Next to 2²³ the last bits of a float
/// are those of its integer.
#[inline(always)]
fn choice(argmax: f32) -> usize {
    ((argmax + 8_388_608.0).to_bits() & 3) as usize
}
