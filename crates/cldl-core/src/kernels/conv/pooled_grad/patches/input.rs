//! The input's gradient: patches of the weight, laid over each other.
//!
//! What a window of outputs reaches is one column and one row more than a patch. Four copies of a channel's
//! weight lie in such a frame, one for each output that may have been chosen: so the sum over all channels
//! stays in registers, whatever they chose.
#![allow(unsafe_code, reason = "bounds are checked once per row of windows, not once per product")]

use super::ROW;
use crate::kernels::aligned::Aligned;
use crate::kernels::conv::ConvShape;
use crate::kernels::conv::pooled_grad::places::Places;
use crate::kernels::pool::FOUR;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{load, read, store};
use pulp::{Simd, WithSimd};

/// Planes that a row of the gradient is summed in: the frames of every so many windows lie side by side,
/// neighbors overlap. A load that meets a store which is still under way, of other floats than its own, has
/// to wait for it.
const PLANES: usize = 4;

/// The weight in frames, and how the gradient lies in planes.
pub(super) struct Patches {
    /// In the order (output channel, chosen output, row, column), with zeros around the patch.
    frames: Aligned,
    /// Floats in a frame.
    frame: usize,
    of_frames: Places,
    windows: usize,
    /// Rows of the padded gradient.
    rows: usize,
    /// Floats of a row in a plane: zeros come after the last frame.
    plane: usize,
}

impl Patches {
    /// For a weight in OIHW order.
    pub(super) fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        let kernel = shape.kernel;
        let frame = (kernel + 1) * ROW;
        let mut frames = Aligned::zeros(shape.out_ch * FOUR * frame);
        for (at, frame) in frames.chunks_exact_mut(frame).enumerate() {
            let (weight, choice) = (&weight[at / FOUR * kernel * kernel..], at % FOUR);
            for (to, from) in
                frame.chunks_exact_mut(ROW).skip(choice / 2).zip(weight.chunks(kernel).take(kernel))
            {
                to[choice % 2..][..kernel].copy_from_slice(from);
            }
        }
        let windows = shape.pooled().w / 2;
        let first = (0..windows * shape.out_ch).map(|at| at % shape.out_ch * FOUR * frame);
        Self {
            frames,
            frame,
            of_frames: Places::new(first, frame, 2 * frame),
            windows,
            rows: shape.in_h + 2 * shape.padding,
            plane: (windows.div_ceil(PLANES) + 1) * ROW,
        }
    }

    /// Floats of the gradient's planes.
    pub(super) fn planes_len(&self) -> usize {
        self.rows * self.row()
    }

    /// Floats of the frames of a row of windows.
    pub(super) fn row_len(&self) -> usize {
        self.windows * self.frame
    }

    /// Floats of a row in all planes, and zeros before the first.
    fn row(&self) -> usize {
        (PLANES + 1) * self.plane
    }

    /// Where the frame of a window begins in a row.
    fn place(&self, window: usize) -> usize {
        (window % PLANES + 1) * self.plane + window / PLANES * ROW
    }
}

/// The input's gradient of an image.
pub(super) struct Input<'a> {
    pub shape: &'a ConvShape,
    pub patches: &'a Patches,
    pub dy: &'a [f32],
    pub argmax: &'a [f32],
    pub planes: &'a mut [f32],
    /// The frames of a row of windows.
    pub sums: &'a mut [f32],
    /// As many as a row of windows has maxima.
    pub places: &'a mut [f32],
    pub dx: &'a mut [f32],
    pub add: bool,
}

/// A frame is `STEPS` times `VECTORS` vectors, and `COUNT` of them are summed together: enough for an addition
/// not to wait for the last one.
pub(super) struct SizedInput<'a, const STEPS: usize, const VECTORS: usize, const COUNT: usize>(
    pub(super) Input<'a>,
);

impl<const STEPS: usize, const VECTORS: usize, const COUNT: usize> WithSimd
    for SizedInput<'_, STEPS, VECTORS, COUNT>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Input { shape, patches, dy, argmax, planes, sums, places, dx, add } = self.0;
        assert!(patches.of_frames.last + patches.frame <= patches.frames.len());
        planes.fill(0.0);
        let ch = shape.out_ch;
        let windows = places.len();
        let rows = dy.chunks_exact(windows).zip(argmax.chunks_exact(windows));
        for ((dy, argmax), top) in rows.zip((0..).step_by(2)) {
            patches.of_frames.write(0, argmax, places);
            let groups = sums.chunks_mut(COUNT * patches.frame);
            let from = dy.chunks(COUNT * ch).zip(places.chunks(COUNT * ch));
            for (sums, (dy, places)) in groups.zip(from) {
                if sums.len() == COUNT * patches.frame {
                    patches.sum::<S, STEPS, VECTORS, COUNT>(simd, ch, dy, places, sums);
                    continue;
                }
                let from = dy.chunks_exact(ch).zip(places.chunks_exact(ch));
                for (sums, (dy, places)) in sums.chunks_exact_mut(patches.frame).zip(from) {
                    patches.sum::<S, STEPS, VECTORS, 1>(simd, ch, dy, places, sums);
                }
            }
            patches.lay(sums, &mut planes[top * patches.row()..]);
        }
        let rows = planes.chunks_exact(patches.row()).skip(shape.padding);
        for (dx, row) in dx.chunks_exact_mut(shape.in_w).zip(rows) {
            patches.flatten(simd, shape.padding, row, dx, add);
        }
    }
}

impl Patches {
    /// The sums of the frames of `COUNT` windows, each over `ch` channels.
    #[inline(always)]
    fn sum<S: Simd, const STEPS: usize, const VECTORS: usize, const COUNT: usize>(
        &self,
        simd: S,
        ch: usize,
        dy: &[f32],
        places: &[f32],
        to: &mut [f32],
    ) {
        let frame = STEPS * VECTORS * S::F32_LANES;
        assert!(frame == self.frame);
        assert!(dy.len() == COUNT * ch && places.len() == COUNT * ch && to.len() == COUNT * frame);
        let mut sums = [[[simd.splat_f32s(0.0); VECTORS]; STEPS]; COUNT];
        for o in 0..ch {
            unroll!(for n in 0..COUNT {
                let dy = simd.splat_f32s(dy[n * ch + o]);
                let place = places[n * ch + o].to_bits() as usize;
                unroll!(for s in 0..STEPS {
                    unroll!(for v in 0..VECTORS {
                        let at = place + (s * VECTORS + v) * S::F32_LANES;
                        // SAFETY: `of_frames` made `place`, and after its last place there is a whole frame.
                        let w = unsafe { load::<S>(self.frames.as_ptr().add(at)) };
                        sums[n][s][v] = simd.mul_add_e_f32s(dy, w, sums[n][s][v]);
                    });
                });
            });
        }
        let to = to.chunks_exact_mut(S::F32_LANES);
        for (sum, to) in sums.into_iter().flatten().flatten().zip(to) {
            store(simd, sum, to);
        }
    }

    /// Adds the frames of a row of windows to the planes, from the first one's row on.
    #[inline(always)]
    fn lay(&self, sums: &[f32], planes: &mut [f32]) {
        for (window, frame) in sums.chunks_exact(self.frame).enumerate() {
            let place = self.place(window);
            for (row, from) in planes.chunks_exact_mut(self.row()).zip(frame.chunks_exact(ROW)) {
                // As arrays: their length is a constant, so it is one instruction.
                let to = &mut row[place..place + ROW].as_chunks_mut::<ROW>().0[0];
                let from = &from.as_chunks::<ROW>().0[0];
                *to = std::array::from_fn(|i| to[i] + from[i]);
            }
        }
    }

    /// Writes into `dx`, or adds to it, the sum of a row's planes.
    #[inline(always)]
    fn flatten<S: Simd>(&self, simd: S, padding: usize, row: &[f32], dx: &mut [f32], add: bool) {
        for (vector, dx) in dx.chunks_mut(S::F32_LANES).enumerate() {
            let col = padding + vector * S::F32_LANES;
            let mut sum = if add { read(simd, dx) } else { simd.splat_f32s(0.0) };
            for plane in 0..PLANES {
                let from = &row[self.place(plane) + col - 2 * plane..][..dx.len()];
                sum = simd.add_f32s(sum, read(simd, from));
            }
            store(simd, sum, dx);
        }
    }
}
