//! The kernels by themselves, as `cldl bench --kernels --json` prints them.

use crate::markdown::{head, row};
use serde::Deserialize;

/// Images whose numbers stay in the second-level cache, for most layers.
pub(super) const SMALL: usize = 16;

/// Measurements whose median is shown: each is short, so more of them than of steps.
pub(super) const REPEAT: usize = 9;

/// A layer's pass, measured.
#[derive(Debug, Deserialize)]
pub(super) struct Alone {
    layer: String,
    pass: String,
    seconds: f64,
    gflops: f64,
    peak_gflops: f64,
    /// The least seconds that the machine's peak and memory allow.
    limit: f64,
}

/// Each kernel with few images, and with a whole batch.
pub(super) fn table(small: &[Alone], whole: &[Alone]) -> String {
    let mut text = format!(
        "Each over and over, nothing beside it: {SMALL} images on one thread, then a whole batch on all threads, \
         whose limit is again the slower of operations and bytes, and is passed where numbers are still in a \
         cache. Of pooled layers the operations are counted as if nothing had been pooled, though three of four \
         gradients are not there. A shortcut's input gradient is added to what is there, as in \
         a step. What is packed for a call, and waking a thread, count.\n\n"
    );
    text +=
        &head(&["layer", "pass", &format!("{SMALL} images, of peak"), "ms", "of peak", "of limit"]);
    for (small, whole) in small.iter().zip(whole) {
        let of_peak =
            |kernel: &Alone| format!("{:.0} %", 100.0 * kernel.gflops / kernel.peak_gflops);
        let cells = [
            whole.layer.clone(),
            whole.pass.clone(),
            of_peak(small),
            format!("{:.3}", 1e3 * whole.seconds),
            of_peak(whole),
            format!("{:.0} %", 100.0 * whole.limit / whole.seconds),
        ];
        row(&mut text, &cells);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Alone, table};

    #[test]
    fn a_kernel_is_shown_with_few_images_and_with_many() {
        let alone = |layer: &str, gflops| Alone {
            layer: layer.to_owned(),
            pass: "forward".to_owned(),
            seconds: 0.002,
            gflops,
            peak_gflops: 10.0,
            limit: 0.001,
        };
        let text = table(&[alone("conv, 16", 9.0)], &[alone("conv, 128", 4.0)]);
        assert!(text.ends_with("| conv, 128 | forward | 90 % | 2.000 | 40 % | 50 % |\n"), "{text}");
    }
}
