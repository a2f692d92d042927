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
    /// Of all runs.
    pub(super) total: f64,
    /// The median of the peaks between runs.
    pub(super) peak_gflops: f64,
    /// The run that was the fastest for the peak of its moment.
    pub(super) best: Run,
}

/// A run, and the higher of the peaks before and after it.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) seconds: f64,
    pub(super) peak_gflops: f64,
}

/// Measures `run`, which says what it took, so many times (at least once), and the peak around each.
pub(super) fn in_turns(repeat: usize, mut run: impl FnMut() -> Result<Duration>) -> Result<Turns> {
    let mut peaks = vec![fma_peak(SPAN)];
    let mut runs = Vec::with_capacity(repeat);
    for _ in 0..repeat {
        let seconds = run()?.as_secs_f64();
        let (before, after) = (peaks[peaks.len() - 1], fma_peak(SPAN));
        peaks.push(after);
        runs.push(Run { seconds, peak_gflops: before.max(after) });
    }
    let operations = |run: &Run| run.seconds * run.peak_gflops;
    runs.sort_by(|a, b| operations(a).total_cmp(&operations(b)));
    let best = runs[0];
    let seconds: Vec<_> = runs.iter().map(|run| run.seconds).collect();
    let total = seconds.iter().sum();
    Ok(Turns { seconds: median(seconds), total, peak_gflops: median(peaks), best })
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::in_turns;
    use std::time::Duration;

    #[test]
    fn the_median_run_is_told_and_the_best_and_the_sum_of_all() {
        let mut seconds = [5, 1, 3].into_iter();
        let turns = in_turns(3, || Ok(Duration::from_secs(seconds.next().unwrap()))).unwrap();
        // However the peak changes meanwhile, it is not by a factor of three.
        assert_eq!((turns.seconds, turns.best.seconds, turns.total), (3.0, 1.0, 9.0));
        assert!(turns.peak_gflops > 0.0 && turns.best.peak_gflops > 0.0);
    }
}
