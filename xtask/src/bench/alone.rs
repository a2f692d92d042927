//! The kernels by themselves, as `cldl bench --kernels --json` prints them.

use crate::markdown::{head, row};
use serde::Deserialize;

/// Images whose numbers stay in the second-level cache, for most layers.
pub(super) const SMALL: usize = 16;

/// Measurements whose median is shown: each is short, so more of them than of steps.
pub(super) const REPEAT: usize = 25;

/// A layer's pass, measured.
#[derive(Debug, Deserialize)]
pub(super) struct Alone {
    layer: String,
    pass: String,
    seconds: f64,
    gflops: f64,
    peak_gflops: f64,
    /// The most that a run reached of the peak beside it.
    best_of_peak: f64,
    /// The least seconds that the machine's peak and memory allow.
    limit: f64,
}

impl Alone {
    fn of_peak(&self) -> f64 {
        self.gflops / self.peak_gflops
    }
}

/// Of each kernel the round whose share of the peak is the median, and the best of all rounds.
pub(super) fn median(rounds: Vec<Vec<Alone>>) -> Vec<Alone> {
    let mut kernels: Vec<Vec<Alone>> = Vec::new();
    for round in rounds {
        kernels.resize_with(round.len(), Vec::new);
        kernels.iter_mut().zip(round).for_each(|(rounds, kernel)| rounds.push(kernel));
    }
    let of_rounds = |mut rounds: Vec<Alone>| {
        let best_of_peak = rounds.iter().map(|kernel| kernel.best_of_peak).fold(0.0, f64::max);
        rounds.sort_by(|a, b| a.of_peak().total_cmp(&b.of_peak()));
        let middle = rounds.len() / 2;
        Alone { best_of_peak, ..rounds.swap_remove(middle) }
    };
    kernels.into_iter().map(of_rounds).collect()
}

/// Each kernel with few images, and with a whole batch.
pub(super) fn table(small: &[Alone], whole: &[Alone]) -> String {
    let mut text = format!(
        "Each over and over, nothing beside it: {SMALL} images on one thread, medians, and the best run \
         against the peaks before and after it or the median, whichever is the highest: where a core is another's \
         too, kernels lose what the peak does not. Then a whole batch on all threads, whose limit is again the \
         slower of operations and bytes, and is passed where numbers are still in a cache. Of pooled layers the \
         operations are counted as if nothing had been pooled, though three of four \
         gradients are not there, and of convolutions of 3x3 with stride 1 nine for each output and channel, though \
         Winograd's take four: so both may pass 100 %. A shortcut's input gradient is added to what is there, as in \
         a step. What is packed for a call, and waking a thread, count.\n\n"
    );
    let few = format!("{SMALL} images, of peak");
    text += &head(&["layer", "pass", &few, "at best", "ms", "of peak", "of limit"]);
    for (small, whole) in small.iter().zip(whole) {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let cells = [
            whole.layer.clone(),
            whole.pass.clone(),
            percent(small.of_peak()),
            percent(small.best_of_peak),
            format!("{:.3}", 1e3 * whole.seconds),
            percent(whole.of_peak()),
            percent(whole.limit / whole.seconds),
        ];
        row(&mut text, &cells);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Alone, median, table};

    fn alone(layer: &str, gflops: f64) -> Alone {
        Alone {
            layer: layer.to_owned(),
            pass: "forward".to_owned(),
            seconds: 0.002,
            gflops,
            peak_gflops: 10.0,
            best_of_peak: gflops / 10.0,
            limit: 0.001,
        }
    }

    #[test]
    fn a_kernel_is_shown_with_few_images_and_with_many() {
        let text = table(&[alone("conv, 16", 9.0)], &[alone("conv, 128", 4.0)]);
        let row = "| conv, 128 | forward | 90 % | 90 % | 2.000 | 40 % | 50 % |\n";
        assert!(text.ends_with(row), "{text}");
    }

    #[test]
    fn of_rounds_the_median_is_shown_and_the_best() {
        let round = |gflops: [f64; 2]| vec![alone("a", gflops[0]), alone("b", gflops[1])];
        let kernels = median(vec![round([8.0, 1.0]), round([5.0, 3.0]), round([6.0, 2.0])]);
        let shown = kernels.iter().map(|kernel| (kernel.gflops, kernel.best_of_peak));
        assert_eq!(shown.collect::<Vec<_>>(), [(6.0, 0.8), (2.0, 0.3)]);
    }
}
