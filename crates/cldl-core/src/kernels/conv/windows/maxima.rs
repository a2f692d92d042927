//! What is left of the outputs of a window.
#![allow(unsafe_code, reason = "a part of a vector is loaded and stored in place")]

use super::tile::FOUR;
use crate::kernels::pool::wins;
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{read, store};
use pulp::{MemMask, Simd};

/// Where the maxima go.
pub(super) struct Maxima<'a> {
    /// Channels of a pixel.
    pub ch: usize,
    pub is_tangent: bool,
    pub y: &'a mut [f32],
    pub argmax: &'a mut [f32],
}

impl Maxima<'_> {
    /// Stores what is left of the four outputs of `channels` of a window, from the channel `first` on.
    #[inline(always)]
    pub(super) fn put<S: Simd>(
        &mut self,
        simd: S,
        window: usize,
        [first, channels]: [usize; 2],
        outputs: [S::f32s; FOUR],
    ) {
        let first = window * self.ch + first;
        let place = first..first + channels;
        let chosen = if self.is_tangent {
            named(simd, outputs, read(simd, &self.argmax[place.clone()]))
        } else {
            let (largest, at) = largest(simd, outputs);
            store(simd, at, &mut self.argmax[place.clone()]);
            largest
        };
        store(simd, chosen, &mut self.y[place]);
    }

    /// The same of windows whose channels share a vector, one window after the other.
    #[inline(always)]
    pub(super) fn put_shared<S: Simd, const COUNT: usize>(
        &mut self,
        simd: S,
        window: usize,
        [first, channels]: [usize; 2],
        outputs: [S::f32s; FOUR],
    ) {
        assert!(first + channels <= self.ch && COUNT * channels <= S::F32_LANES);
        assert!((window + COUNT) * self.ch <= self.y.len().min(self.argmax.len()));
        let mut masks = [MemMask::from(simd.equal_f32s(outputs[0], outputs[0])); COUNT];
        // Where the vector would begin whose lanes are a window's.
        let mut places = [0; COUNT];
        unroll!(for n in 0..COUNT {
            let lane = n * channels;
            let lanes = simd.mask_between_m32s(lane as u32, (lane + channels) as u32);
            masks[n] = MemMask::from(lanes.mask());
            places[n] = (window + n) * self.ch + first - lane;
        });
        let (y, argmax) = (self.y.as_mut_ptr(), self.argmax.as_mut_ptr());
        // SAFETY: the assertions above bound the lanes of the masks; no other one is touched.
        unsafe {
            let chosen = if self.is_tangent {
                let mut at = simd.splat_f32s(0.0);
                unroll!(for n in 0..COUNT {
                    // The other lanes are zero.
                    let part = simd.mask_load_ptr_f32s(masks[n], argmax.wrapping_add(places[n]));
                    at = simd.add_f32s(at, part);
                });
                named(simd, outputs, at)
            } else {
                let (largest, at) = largest(simd, outputs);
                unroll!(for n in 0..COUNT {
                    simd.mask_store_ptr_f32s(masks[n], argmax.wrapping_add(places[n]), at);
                });
                largest
            };
            unroll!(for n in 0..COUNT {
                simd.mask_store_ptr_f32s(masks[n], y.wrapping_add(places[n]), chosen);
            });
        }
    }
}

/// The largest of four, and which it is.
#[inline(always)]
fn largest<S: Simd>(simd: S, [first, rest @ ..]: [S::f32s; FOUR]) -> (S::f32s, S::f32s) {
    let (mut chosen, mut at) = (first, simd.splat_f32s(0.0));
    for (i, output) in [1.0, 2.0, 3.0].into_iter().zip(rest) {
        let wins = wins(simd, output, chosen);
        chosen = simd.select_f32s(wins, output, chosen);
        at = simd.select_f32s(wins, simd.splat_f32s(i), at);
    }
    (chosen, at)
}

/// Of four the one that `at` names.
#[inline(always)]
fn named<S: Simd>(simd: S, [first, rest @ ..]: [S::f32s; FOUR], at: S::f32s) -> S::f32s {
    let mut chosen = first;
    for (i, output) in [1.0, 2.0, 3.0].into_iter().zip(rest) {
        chosen = simd.select_f32s(simd.equal_f32s(at, simd.splat_f32s(i)), output, chosen);
    }
    chosen
}
