//! What an attack really did. An attack that does nothing looks like a strong defense: the published
//! margin loss leaves most examples untouched, and only such counts show it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts over attacked examples; [`Audit::merge`] adds up batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Examples attacked.
    pub examples: usize,
    /// Examples whose first gradient was 0 at every pixel: the loss says nothing about them.
    pub zero_gradients: usize,
    /// Examples with a pixel that changed.
    pub moved: usize,
    /// Sum over examples of the attack's loss at the start (PGD: at the random start).
    pub loss_before: f64,
    /// Sum over examples of the attack's loss at the end.
    pub loss_after: f64,
    /// Largest change of a pixel, at most eps but for rounding (1e-6).
    pub max_change: f64,
}

impl Audit {
    /// Adds what was done to other examples.
    pub fn merge(&mut self, other: &Self) {
        self.examples += other.examples;
        self.zero_gradients += other.zero_gradients;
        self.moved += other.moved;
        self.loss_before += other.loss_before;
        self.loss_after += other.loss_after;
        self.max_change = self.max_change.max(other.max_change);
    }

    /// Percentage of examples whose first gradient was 0, in [0, 100].
    pub fn zero_gradient_percent(&self) -> f64 {
        self.percent(self.zero_gradients)
    }

    /// Percentage of examples that changed, in [0, 100].
    pub fn moved_percent(&self) -> f64 {
        self.percent(self.moved)
    }

    /// Mean over examples of the loss at the end minus the loss at the start, in the loss's unit.
    pub fn mean_loss_rise(&self) -> f64 {
        (self.loss_after - self.loss_before) / self.examples.max(1) as f64
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.examples.max(1) as f64
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} examples, {:.2} % moved, {:.2} % without a gradient, loss {:+.3} on average, largest \
             change {:.4}",
            self.examples,
            self.moved_percent(),
            self.zero_gradient_percent(),
            self.mean_loss_rise(),
            self.max_change
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Audit;

    #[test]
    fn batches_add_up() {
        let mut all = Audit::default();
        assert!(all.moved_percent() == 0.0 && all.mean_loss_rise() == 0.0);
        for (moved, max_change) in [(3, 0.1), (2, 0.05)] {
            all.merge(&Audit {
                examples: 5,
                zero_gradients: 5 - moved,
                moved,
                loss_before: 1.0,
                loss_after: 6.0,
                max_change,
            });
        }
        let text = all.to_string();
        assert_eq!(
            text,
            "10 examples, 50.00 % moved, 50.00 % without a gradient, loss +1.000 on average, largest \
             change 0.1000"
        );
    }
}
