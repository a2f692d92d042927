//! What this machine can do at best: multiplications with their additions, all in registers, and numbers
//! from memory and back.

use std::time::{Duration, Instant};

use super::arch::arch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Independent chains of additions: enough to fill the pipelines of two units with a latency of 4 to 5.
const CHAINS: usize = 12;
/// Steps of each chain between two looks at the clock: some tens of microseconds.
const STEPS: usize = 10_000;

/// GFLOP/s of f32 that all threads of the pool reach together for so long, two for each multiplication with
/// its addition.
///
/// It is no constant of the machine: processors lower their clock, by a fifth and more, after some
/// milliseconds of wide multiplications, and again when their neighbors are at work. What is set against a
/// peak has to be measured in turns with it.
pub fn fma_peak(span: Duration) -> f64 {
    let of_threads = rayon::broadcast(|_| {
        let start = Instant::now();
        let mut flops = 0;
        while start.elapsed() < span {
            flops += arch().dispatch(Chains);
        }
        flops as f64 / start.elapsed().as_secs_f64() / 1e9
    });
    of_threads.into_iter().sum()
}

/// Floats that each thread copies in one measurement: more than any cache holds.
const COPIED: usize = 1 << 24;

/// GB/s that all threads of the pool read from memory and write to it together, a byte that is copied counted
/// twice; the best of three measurements.
pub fn memory_bandwidth() -> f64 {
    let mut buffers: Vec<(Vec<f32>, Vec<f32>)> =
        (0..rayon::current_num_threads()).map(|_| (vec![1.0; COPIED], vec![2.0; COPIED])).collect();
    let mut measure = |_| {
        let start = Instant::now();
        buffers
            .par_iter_mut()
            .for_each(|(from, to)| to.copy_from_slice(std::hint::black_box(from)));
        let bytes = 8 * COPIED * buffers.len();
        bytes as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..3).map(&mut measure).fold(0.0, f64::max)
}

struct Chains;

impl WithSimd for Chains {
    /// Operations done.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let (a, b) = (simd.splat_f32s(std::hint::black_box(0.999)), simd.splat_f32s(1e-3));
        let mut sums = [simd.splat_f32s(1.0); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, a, b);
            }
        }
        std::hint::black_box(sums);
        2 * STEPS * CHAINS * S::F32_LANES
    }
}
