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

/// A run, and the highest of the peaks before and after it and the median of all: a neighbor that is at work for a
/// moment lowers a peak, too.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) seconds: f64,
    pub(super) peak_gflops: f64,
}

/// Measures `run`, which says what it took, so many times (at least once), and the peak around each.
pub(super) fn in_turns(repeat: usize, mut run: impl FnMut() -> Result<Duration>) -> Result<Turns> {
    let (mut seconds, mut peaks) = (Vec::with_capacity(repeat), vec![fma_peak(SPAN)]);
    for _ in 0..repeat {
        seconds.push(run()?.as_secs_f64());
        peaks.push(fma_peak(SPAN));
    }
    let peak_gflops = median(peaks.clone());
    let of_run = |(seconds, around): (&f64, &[f64])| Run {
        seconds: *seconds,
        peak_gflops: around.iter().copied().fold(peak_gflops, f64::max),
    };
    let mut runs: Vec<_> = seconds.iter().zip(peaks.windows(2)).map(of_run).collect();
    let operations = |run: &Run| run.seconds * run.peak_gflops;
    runs.sort_by(|a, b| operations(a).total_cmp(&operations(b)));
    let (best, total) = (runs[0], seconds.iter().sum());
    Ok(Turns { seconds: median(seconds), total, peak_gflops, best })
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
