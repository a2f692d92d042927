//! What is left of the outputs of a window.
#![allow(unsafe_code, reason = "a part of a vector is loaded and stored in place")]

use super::columns::by_window;
use super::tile::shared_lanes;
use crate::kernels::arch::Registers;
use crate::kernels::pool::{FOUR, wins};
use crate::kernels::unroll::unroll;
use crate::kernels::vector::{lanes_of, read, store};
use pulp::{MemMask, Simd};

/// Where the maxima go.
pub(super) struct Maxima<'a> {
    /// Channels of a pixel.
    pub ch: usize,
    pub choice: Choice,
    pub y: &'a mut [f32],
    pub argmax: &'a mut [f32],
}

/// How one of the outputs of a window is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// The largest, where none is NaN.
    Largest,
    /// The largest; NaN wins.
    LargestOrNan,
    /// Of a tangent: the one that was the largest.
    Named,
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
        self.choice.put(simd, outputs, &mut self.y[place.clone()], &mut self.argmax[place]);
    }

    /// The same of neighboring windows from `window` on, whose upper and lower rows of outputs are given, `pixel` floats
    /// each.
    #[inline(always)]
    pub(super) fn put_line<S: Simd>(
        &mut self,
        simd: S,
        window: usize,
        [first, channels]: [usize; 2],
        (upper, lower): (&[f32], &[f32]),
        pixel: usize,
    ) {
        let (start, choice) = (window * self.ch, self.choice);
        let y = self.y[start..].chunks_exact_mut(self.ch);
        let argmax = self.argmax[start..].chunks_exact_mut(self.ch);
        let rows = upper.chunks_exact(2 * pixel).zip(lower.chunks_exact(2 * pixel));
        for ((y, argmax), (upper, lower)) in y.zip(argmax).zip(rows) {
            let y = y[first..first + channels].chunks_mut(S::F32_LANES);
            let argmax = argmax[first..first + channels].chunks_mut(S::F32_LANES);
            let [(a, b), (c, d)] = [upper.split_at(pixel), lower.split_at(pixel)];
            let upper = a.chunks_exact(S::F32_LANES).zip(b.chunks_exact(S::F32_LANES));
            let lower = c.chunks_exact(S::F32_LANES).zip(d.chunks_exact(S::F32_LANES));
            for ((y, argmax), ((a, b), (c, d))) in y.zip(argmax).zip(upper.zip(lower)) {
                let outputs = [read(simd, a), read(simd, b), read(simd, c), read(simd, d)];
                choice.put(simd, outputs, y, argmax);
            }
        }
    }

    /// The same of windows whose channels share a vector, in the order (channel, window).
    #[inline(always)]
    pub(super) fn put_shared<S: Simd, const COUNT: usize>(
        &mut self,
        simd: S,
        window: usize,
        [first, channels]: [usize; 2],
        outputs: [S::f32s; FOUR],
    ) {
        let lanes_each = const { shared_lanes(Registers::of::<S>()) };
        assert!(first + channels <= self.ch && channels <= lanes_each);
        assert!((window + COUNT) * self.ch <= self.y.len().min(self.argmax.len()));
        let mut masks = [MemMask::from(simd.equal_f32s(outputs[0], outputs[0])); COUNT];
        // Where the vector would begin whose lanes are a window's.
        let mut places = [0; COUNT];
        unroll!(for n in 0..COUNT {
            let lane = n * lanes_each;
            let lanes = simd.mask_between_m32s(lane as u32, (lane + channels) as u32);
            masks[n] = MemMask::from(lanes.mask());
            places[n] = (window + n) * self.ch + first - lane;
        });
        let is_full = channels == lanes_each;
        let (y, argmax) = (self.y.as_mut_ptr(), self.argmax.as_mut_ptr());
        // SAFETY: the assertions above bound the lanes of the masks; no other one is touched.
        unsafe {
            let chosen = if self.choice == Choice::Named {
                let mut at = simd.splat_f32s(0.0);
                unroll!(for n in 0..COUNT {
                    // The other lanes are zero.
                    let part = simd.mask_load_ptr_f32s(masks[n], argmax.wrapping_add(places[n]));
                    at = simd.add_f32s(at, part);
                });
                named(simd, outputs.map(by_window::<S>), at)
            } else {
                let (largest, at) = self.choice.largest(simd, outputs);
                let at = by_window::<S>(at);
                unroll!(for n in 0..COUNT {
                    put_part(simd, masks[n], is_full, argmax.wrapping_add(places[n]), n, at);
                });
                by_window::<S>(largest)
            };
            unroll!(for n in 0..COUNT {
                put_part(simd, masks[n], is_full, y.wrapping_add(places[n]), n, chosen);
            });
        }
    }
}

impl Choice {
    /// Stores the chosen of four, and which it is where that was not known.
    #[inline(always)]
    fn put<S: Simd>(self, simd: S, outputs: [S::f32s; FOUR], y: &mut [f32], argmax: &mut [f32]) {
        if self == Self::Named {
            store(simd, named(simd, outputs, read(simd, argmax)), y);
        } else {
            let (largest, at) = self.largest(simd, outputs);
            store(simd, at, argmax);
            store(simd, largest, y);
        }
    }

    /// The largest of four, and which it is.
    #[inline(always)]
    fn largest<S: Simd>(self, simd: S, outputs: [S::f32s; FOUR]) -> (S::f32s, S::f32s) {
        if self == Self::Largest {
            winner(
                simd,
                outputs,
                #[inline(always)]
                |x, max| simd.less_than_f32s(max, x),
            )
        } else {
            winner(
                simd,
                outputs,
                #[inline(always)]
                |x, max| wins(simd, x, max),
            )
        }
    }
}

/// Stores the lanes of a mask, which belong to the `n`-th window of a vector: all of that window's, if it `is_full`.
#[inline(always)]
unsafe fn put_part<S: Simd>(
    simd: S,
    mask: MemMask<S::m32s>,
    is_full: bool,
    to: *mut f32,
    n: usize,
    vector: S::f32s,
) {
    let each = const { shared_lanes(Registers::of::<S>()) };
    // SAFETY: the caller promises the lanes of the mask.
    unsafe {
        if is_full && each == 4 {
            // Some processors take long for the stores of a mask.
            let lanes: [f32; 4] = std::array::from_fn(|lane| lanes_of::<S>(vector)[n * 4 + lane]);
            to.wrapping_add(n * 4).cast::<[f32; 4]>().write_unaligned(lanes);
        } else {
            simd.mask_store_ptr_f32s(mask, to, vector);
        }
    }
}

/// The winner of four, and which it is: the winner of both rows' winners.
#[inline(always)]
fn winner<S: Simd>(
    simd: S,
    [a, b, c, d]: [S::f32s; FOUR],
    wins: impl Fn(S::f32s, S::f32s) -> S::m32s,
) -> (S::f32s, S::f32s) {
    let [zero, one, two, three] = [0.0, 1.0, 2.0, 3.0].map(|at| simd.splat_f32s(at));
    let upper = of_two(simd, wins(b, a), (a, zero), (b, one));
    let lower = of_two(simd, wins(d, c), (c, two), (d, three));
    of_two(simd, wins(lower.0, upper.0), upper, lower)
}

/// An output and which it is: the second where it wins.
#[inline(always)]
fn of_two<S: Simd>(
    simd: S,
    wins: S::m32s,
    first: (S::f32s, S::f32s),
    second: (S::f32s, S::f32s),
) -> (S::f32s, S::f32s) {
    (simd.select_f32s(wins, second.0, first.0), simd.select_f32s(wins, second.1, first.1))
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
