//! Work and the machine's peak, measured in turns: the one's share of the other is that of one clock.

use std::time::Duration;

use anyhow::Result;
use cldl_core::kernels::fma_peak;

/// How long the peak is measured after each run: processors settle on a clock within a few milliseconds.
const SPAN: Duration = Duration::from_millis(10);

/// What was measured.
pub(super) struct Turns {
    /// Of a run, the median.
    pub(super) seconds: f64,
    /// Of the fastest run.
    pub(super) fastest: f64,
    /// Of all runs.
    pub(super) total: f64,
    /// The median of the peaks between runs.
    pub(super) peak_gflops: f64,
    /// The highest of them.
    pub(super) highest_gflops: f64,
}

/// Measures `run`, which says what it took, so many times (at least once), and the peak after each.
pub(super) fn in_turns(repeat: usize, mut run: impl FnMut() -> Result<Duration>) -> Result<Turns> {
    let (mut seconds, mut peaks) = (Vec::with_capacity(repeat), Vec::with_capacity(repeat));
    for _ in 0..repeat {
        seconds.push(run()?.as_secs_f64());
        peaks.push(fma_peak(SPAN));
    }
    let total = seconds.iter().sum();
    seconds.sort_by(f64::total_cmp);
    peaks.sort_by(f64::total_cmp);
    let median = |sorted: &[f64]| sorted[sorted.len() / 2];
    Ok(Turns {
        seconds: median(&seconds),
        fastest: seconds[0],
        total,
        peak_gflops: median(&peaks),
        highest_gflops: peaks[peaks.len() - 1],
    })
}

#[cfg(test)]
mod tests {
    use super::in_turns;
    use std::time::Duration;

    #[test]
    fn the_median_run_is_told_and_the_fastest_and_the_sum_of_all() {
        let mut seconds = [5, 1, 3].into_iter();
        let turns = in_turns(3, || Ok(Duration::from_secs(seconds.next().unwrap()))).unwrap();
        assert_eq!((turns.seconds, turns.fastest, turns.total), (3.0, 1.0, 9.0));
        assert!(0.0 < turns.peak_gflops && turns.peak_gflops <= turns.highest_gflops);
    }
}
