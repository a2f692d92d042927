//! Sums over, and maps with, the channels of contiguous NHWC: what normalization is made of.
//!
//! A row is one pixel's channels. Channels are taken 16 at a time, so that a block's sums stay in
//! registers; the last ones by themselves.
#![allow(unsafe_code, reason = "bounds are checked once, not for every vector")]

use std::array::from_fn;

use crate::kernels::arch::arch;
use crate::kernels::lanes::Lanes;
use crate::kernels::vector::{load, read, store};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Channels of one block.
const WIDTH: usize = 16;
/// Floats that one task reads of each input: sums of a task are added up in the tasks' order.
const CHUNK: usize = 1 << 15;

/// Floats of one task, in whole rows: depends on the shape alone.
pub(super) fn task_len(ch: usize) -> usize {
    CHUNK.div_ceil(ch) * ch
}

/// For each channel, the sums over all rows of `terms` of the channel's coefficients and the inputs'
/// numbers, in f64.
///
/// # Shapes
/// - `coefficients`: `[ch]` each
/// - `inputs`: `[rows, ch]` each
/// - returns K sums of `[ch]`
pub(super) fn channel_sums<const C: usize, const I: usize, const K: usize>(
    ch: usize,
    coefficients: [&[f32]; C],
    inputs: [&[f32]; I],
    terms: impl Fn([f32; C], [f32; I]) -> [f64; K] + Copy + Send + Sync,
) -> [Vec<f64>; K] {
    let (len, task) = (inputs[0].len(), task_len(ch));
    let parts: Vec<[Vec<f64>; K]> = (0..len.div_ceil(task))
        .into_par_iter()
        .map(|k| {
            let inputs = inputs.map(|input| &input[k * task..len.min((k + 1) * task)]);
            arch().dispatch(TaskSums { ch, coefficients, inputs, terms })
        })
        .collect();
    add_up(ch, &parts)
}

/// The sums of sums, in their order.
pub(super) fn add_up<const K: usize>(ch: usize, parts: &[[Vec<f64>; K]]) -> [Vec<f64>; K] {
    let mut sums = from_fn(|_| vec![0.0; ch]);
    for part in parts {
        for (sum, part) in sums.iter_mut().zip(part) {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
    }
    sums
}

/// The sums of one task's rows.
pub(super) struct TaskSums<'a, const C: usize, const I: usize, F> {
    pub ch: usize,
    pub coefficients: [&'a [f32]; C],
    pub inputs: [&'a [f32]; I],
    pub terms: F,
}

impl<const C: usize, const I: usize, const K: usize, F> WithSimd for TaskSums<'_, C, I, F>
where
    F: Fn([f32; C], [f32; I]) -> [f64; K] + Copy,
{
    type Output = [Vec<f64>; K];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let Self { ch, coefficients, inputs, terms } = self;
        let rows = inputs[0].len() / ch;
        let mut sums: [Vec<f64>; K] = from_fn(|_| vec![0.0; ch]);
        let whole = ch / WIDTH * WIDTH;
        for c in (0..whole).step_by(WIDTH) {
            let own: [[f32; WIDTH]; C] = from_fn(|k| block(coefficients[k], c));
            let mut sum = [[0.0; WIDTH]; K];
            for at in (c..rows * ch).step_by(ch) {
                let x: [[f32; WIDTH]; I] = from_fn(|i| block(inputs[i], at));
                for lane in 0..WIDTH {
                    let terms = terms(from_fn(|k| own[k][lane]), from_fn(|i| x[i][lane]));
                    for k in 0..K {
                        sum[k][lane] += terms[k];
                    }
                }
            }
            for (to, sum) in sums.iter_mut().zip(&sum) {
                to[c..c + WIDTH].copy_from_slice(sum);
            }
        }
        for c in whole..ch {
            let own: [f32; C] = coefficients.map(|coefficient| coefficient[c]);
            for at in (c..rows * ch).step_by(ch) {
                let terms = terms(own, inputs.map(|input| input[at]));
                for k in 0..K {
                    sums[k][c] += terms[k];
                }
            }
        }
        sums
    }
}

/// `out = map(coefficients of the channel, inputs)`, vector by vector.
///
/// # Shapes
/// - `coefficients`: `[ch]` each
/// - `inputs`, `out`: `[rows, ch]` each; `out` is overwritten
pub(super) struct ChannelMap<'a, const K: usize, const I: usize> {
    pub ch: usize,
    pub coefficients: [&'a [f32]; K],
    pub inputs: [&'a [f32]; I],
    pub out: &'a mut [f32],
}

impl<const K: usize, const I: usize> ChannelMap<'_, K, I> {
    /// Computes all of them; `map` must be marked to be always inlined.
    #[inline(always)]
    pub(super) fn run<S: Simd>(
        self,
        simd: S,
        map: impl Fn([Lanes<S>; K], [Lanes<S>; I]) -> Lanes<S>,
    ) {
        let Self { ch, coefficients, inputs, out } = self;
        let (lanes, len) = (S::F32_LANES, out.len());
        assert!(len.is_multiple_of(ch) && inputs.iter().all(|input| input.len() == len));
        let zero = Lanes::new(simd, simd.splat_f32s(0.0));
        let whole = ch / WIDTH * WIDTH;
        for c in (0..whole).step_by(WIDTH) {
            let mut own = [[zero; K]; WIDTH];
            let own = &mut own[..WIDTH / lanes];
            for (v, own) in own.iter_mut().enumerate() {
                for (own, of) in own.iter_mut().zip(coefficients) {
                    *own = Lanes::new(simd, read(simd, &of[c + v * lanes..][..lanes]));
                }
            }
            for at in (c..len).step_by(ch) {
                for (v, own) in own.iter().enumerate() {
                    let at = at + v * lanes;
                    let mut x = [zero; I];
                    // SAFETY: a block of channels from `at` on is part of a row, and `out` and all inputs have
                    // the same rows.
                    unsafe {
                        for (x, input) in x.iter_mut().zip(inputs) {
                            *x = Lanes::new(simd, load::<S>(input.as_ptr().add(at)));
                        }
                        let to = out.as_mut_ptr().add(at).cast::<S::f32s>();
                        to.write_unaligned(map(*own, x).get());
                    }
                }
            }
        }
        for c in (whole..ch).step_by(lanes) {
            let part = lanes.min(ch - c);
            let of = |from: &[f32], at: usize| Lanes::new(simd, read(simd, &from[at..at + part]));
            let own = coefficients.map(|coefficient| of(coefficient, c));
            for at in (c..len).step_by(ch) {
                let y = map(own, inputs.map(|input| of(input, at)));
                store(simd, y.get(), &mut out[at..at + part]);
            }
        }
    }
}

/// The [`WIDTH`] numbers from `at` on: of constant length, so that they stay in registers.
#[inline(always)]
fn block(from: &[f32], at: usize) -> [f32; WIDTH] {
    let mut block = [0.0; WIDTH];
    block.copy_from_slice(&from[at..at + WIDTH]);
    block
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, ChannelMap, channel_sums};
    use crate::kernels::arch::{arch, tests::for_each_arch};
    use pulp::{Simd, WithSimd};

    struct AxPlusY<'a>(&'a [f32], [&'a [f32]; 2], &'a mut [f32]);

    impl WithSimd for AxPlusY<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(scale, inputs, out) = self;
            ChannelMap { ch: scale.len(), coefficients: [scale], inputs, out }.run(
                simd,
                #[inline(always)]
                |[a], [x, y]| a * x + y,
            );
        }
    }

    #[test]
    fn sums_and_maps_agree_with_plain_loops() {
        for ch in [1, 5, 16, 20, 48] {
            let rows = CHUNK / ch + 3;
            let number = |i: usize, k: usize| ((i * (7 + k)) % 64) as f32 - 31.0;
            let [x, y] = [0, 1].map(|k| (0..rows * ch).map(|i| number(i, k)).collect::<Vec<_>>());
            let scale: Vec<f32> = (0..ch).map(|c| c as f32).collect();
            let mut expected = [vec![0.0; ch], vec![0.0; ch]];
            for (i, (x, y)) in x.iter().zip(&y).enumerate() {
                expected[0][i % ch] += f64::from(scale[i % ch]) * f64::from(*x);
                expected[1][i % ch] += f64::from(*x) * f64::from(*y);
            }
            for_each_arch(|| {
                let terms = |[a]: [f32; 1], [x, y]: [f32; 2]| {
                    let (a, x, y) = (f64::from(a), f64::from(x), f64::from(y));
                    [a * x, x * y]
                };
                let sums = channel_sums(ch, [&scale], [&x, &y], terms);
                assert_eq!(sums, expected);
                let mut out = vec![9.0; x.len()];
                arch().dispatch(AxPlusY(&scale, [&x, &y], &mut out));
                let plain = |i: usize| scale[i % ch] * x[i] + y[i];
                assert!(out.iter().enumerate().all(|(i, out)| *out == plain(i)));
            });
        }
    }
}
