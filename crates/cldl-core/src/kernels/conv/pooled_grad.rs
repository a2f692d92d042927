//! The gradients of a convolution of one channel whose outputs were pooled.
//!
//! Of the four outputs of a window three have a gradient of zero, and each channel chose its own: so
//! only the products of the chosen ones are formed. The terms of an output's sum are few and lie side by
//! side, as a patch: the weight's gradient adds up patches of the input, and the input's gradient adds
//! the weight to the patches of its outputs.
#![allow(unsafe_code, reason = "bounds are checked once per image, not once per product")]

use super::ConvShape;
use super::padding::{Padding, with_scratch};
use crate::kernels::{Images, Unpooled};
use crate::kernels::pool::Grid;
use crate::kernels::tile::{load, store};
use crate::kernels::unroll::unroll;
use pulp::{Simd, WithSimd};

/// Vectors of the longest patch.
const MAX_VECTORS: usize = 4;
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
        let ours = shape.in_ch == 1 && matches!(shape.kernel, 3 | 5) && vectors <= MAX_VECTORS;
        let padded = |weight: &[f32]| {
            let mut patches = vec![0.0; shape.out_ch * patch];
            for (to, from) in patches.chunks_exact_mut(patch).zip(weight.chunks_exact(taps)) {
                to[..taps].copy_from_slice(from);
            }
            patches
        };
        ours.then(|| Self {
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
                    3 => simd.vectorize(SizedProducts::<3, 2>(products)),
                    _ => simd.vectorize(SizedProducts::<MAX_VECTORS, 2>(products)),
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
                3 => simd.vectorize(SizedInput::<3>(input)),
                _ => simd.vectorize(SizedInput::<MAX_VECTORS>(input)),
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

/// An image's part of the weight's gradient.
struct Products<'a> {
    of: &'a PooledGradients<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    argmax: &'a [f32],
    /// Those of two rows of outputs: few enough to stay in the first-level cache.
    patches: &'a mut [f32],
    places: &'a mut [f32],
    sum: &'a mut [f32],
}

/// `CHANNELS` at a time: enough sums for one addition not to wait for the last one.
struct SizedProducts<'a, const VECTORS: usize, const CHANNELS: usize>(Products<'a>);

impl<const VECTORS: usize, const CHANNELS: usize> WithSimd
    for SizedProducts<'_, VECTORS, CHANNELS>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Products { of, x, dy, argmax, patches, places, sum } = self.0;
        let PooledGradients { shape, grid, padding, .. } = of;
        let whole = grid.ch / CHANNELS * CHANNELS;
        let windows = of.row_of_maxima();
        let rows = dy.chunks_exact(windows).zip(argmax.chunks_exact(windows));
        for (row, (dy, argmax)) in rows.enumerate() {
            of.patches_of(argmax, places);
            of.copy_patches(&x[2 * row * shape.stride * padding.row()..], patches);
            for first in (0..whole).step_by(CHANNELS) {
                of.add_products::<S, VECTORS, CHANNELS>(simd, first, dy, places, patches, sum);
            }
            for first in whole..grid.ch {
                of.add_products::<S, VECTORS, 1>(simd, first, dy, places, patches, sum);
            }
        }
    }
}

impl PooledGradients<'_> {
    /// The windows of two rows of outputs, which begin with the first row of `x`.
    #[inline(always)]
    fn copy_patches(&self, x: &[f32], patches: &mut [f32]) {
        let Self { shape, grid, padding, patch, .. } = self;
        for (row, patches) in patches.chunks_exact_mut(grid.w * patch).enumerate() {
            for i in 0..shape.kernel {
                let x = &x[(row * shape.stride + i) * padding.row()..];
                for (col, patch) in patches.chunks_exact_mut(*patch).enumerate() {
                    let from: &[f32; COPIED] = x[col * shape.stride..].first_chunk().expect("slack");
                    patch[i * shape.kernel..][..COPIED].copy_from_slice(from);
                }
            }
        }
    }

    /// Adds the products of a row of windows with the patches of their outputs, for the channels from
    /// `first` on.
    #[inline(always)]
    fn add_products<S: Simd, const VECTORS: usize, const CHANNELS: usize>(
        &self,
        simd: S,
        first: usize,
        dy: &[f32],
        places: &[f32],
        patches: &[f32],
        sum: &mut [f32],
    ) {
        let Self { grid, .. } = self;
        let patch = VECTORS * S::F32_LANES;
        assert!(patch == self.patch && 2 * grid.w * patch <= patches.len());
        assert!(dy.len() == places.len() && first + CHANNELS <= grid.ch);
        let sum = &mut sum[first * patch..(first + CHANNELS) * patch];
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; CHANNELS];
        for col in 0..dy.len() / grid.ch {
            let at = col * grid.ch + first;
            let (dy, places) = (&dy[at..at + CHANNELS], &places[at..at + CHANNELS]);
            unroll!(for c in 0..CHANNELS {
                let dy = simd.splat_f32s(dy[c]);
                let place = places[c].to_bits() as usize;
                unroll!(for v in 0..VECTORS {
                    // SAFETY: `place` was made by `patches_of`: it is the patch of a pixel in two rows of
                    // outputs, whose patches are all there by the assertions above.
                    let x = unsafe { load::<S>(patches.as_ptr().add(place + v * S::F32_LANES)) };
                    sums[c][v] = simd.mul_add_e_f32s(dy, x, sums[c][v]);
                });
            });
        }
        unroll!(for c in 0..CHANNELS {
            unroll!(for v in 0..VECTORS {
                let to = &mut sum[c * patch + v * S::F32_LANES..][..S::F32_LANES];
                let sum = simd.add_f32s(simd.partial_load_f32s(to), sums[c][v]);
                store(simd, sum, to);
            });
        });
    }
}

/// The input's gradient of an image.
struct Input<'a> {
    of: &'a PooledGradients<'a>,
    dy: &'a [f32],
    argmax: &'a [f32],
    /// The gradient with the padding's.
    padded: &'a mut [f32],
    /// Those of two rows of outputs.
    patches: &'a mut [f32],
    places: &'a mut [f32],
    dx: &'a mut [f32],
    add: bool,
}

struct SizedInput<'a, const VECTORS: usize>(Input<'a>);

impl<const VECTORS: usize> WithSimd for SizedInput<'_, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Input { of, dy, argmax, padded, patches, places, dx, add } = self.0;
        let PooledGradients { shape, padding, .. } = of;
        padded.fill(0.0);
        let windows = of.row_of_maxima();
        let rows = dy.chunks_exact(windows).zip(argmax.chunks_exact(windows));
        for (row, (dy, argmax)) in rows.enumerate() {
            patches.fill(0.0);
            of.patches_of(argmax, places);
            of.weigh::<S, VECTORS>(simd, dy, places, patches);
            let padded = &mut padded[2 * row * shape.stride * padding.row()..];
            match shape.kernel {
                3 => of.lay::<3>(padded, patches),
                _ => of.lay::<5>(padded, patches),
            }
        }
        let rows = padded.chunks_exact(padding.row()).skip(shape.padding);
        for (dx, row) in dx.chunks_exact_mut(shape.in_w).zip(rows) {
            let row = &row[shape.padding..shape.padding + shape.in_w];
            if add {
                dx.iter_mut().zip(row).for_each(|(dx, row)| *dx += row);
            } else {
                dx.copy_from_slice(row);
            }
        }
    }
}

impl PooledGradients<'_> {
    /// Adds the weights, times the gradients of a row of windows, to the patches of their outputs: channel
    /// by channel, so that an addition does not meet the last one to the same patch.
    #[inline(always)]
    fn weigh<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        dy: &[f32],
        places: &[f32],
        patches: &mut [f32],
    ) {
        let Self { grid, weights, .. } = self;
        let patch = VECTORS * S::F32_LANES;
        assert!(patch == self.patch && 2 * grid.w * patch <= patches.len());
        assert!(dy.len() == self.row_of_maxima() && places.len() == dy.len());
        for (o, weights) in weights.chunks_exact(patch).enumerate() {
            let mut w = [simd.splat_f32s(0.0); VECTORS];
            unroll!(for v in 0..VECTORS {
                w[v] = simd.partial_load_f32s(&weights[v * S::F32_LANES..(v + 1) * S::F32_LANES]);
            });
            for col in 0..grid.w / 2 {
                let at = col * grid.ch + o;
                let (dy, place) = (simd.splat_f32s(dy[at]), places[at].to_bits() as usize);
                unroll!(for v in 0..VECTORS {
                    // SAFETY: as in `add_products`.
                    unsafe {
                        let to = patches.as_mut_ptr().add(place + v * S::F32_LANES);
                        let sum = simd.mul_add_e_f32s(dy, w[v], load::<S>(to));
                        to.cast::<S::f32s>().write_unaligned(sum);
                    }
                });
            }
        }
    }

    /// Adds the patches of two rows of outputs to the padded input, from the first one's row on.
    #[inline(always)]
    fn lay<const KERNEL: usize>(&self, padded: &mut [f32], patches: &[f32]) {
        let Self { shape, grid, patch, padding, .. } = self;
        // A load that meets a store which is still under way has to wait for it: so neighbors, which
        // overlap, are far from each other in time.
        for shift in 0..KERNEL {
            for i in 0..KERNEL {
                for row in 0..2 {
                    let to = &mut padded[(row * shape.stride + i) * padding.row()..];
                    for col in (shift..grid.w).step_by(KERNEL) {
                        let to = &mut to[col * shape.stride..][..KERNEL];
                        let from = &patches[(row * grid.w + col) * patch + i * KERNEL..][..KERNEL];
                        let sum: [f32; KERNEL] = std::array::from_fn(|j| to[j] + from[j]);
                        to.copy_from_slice(&sum);
                    }
                }
            }
        }
    }
}
