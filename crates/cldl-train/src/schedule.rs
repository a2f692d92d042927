//! The learning rate over epochs.

use serde::{Deserialize, Serialize};

/// Multiplies the learning rate by `factor` at each milestone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSchedule {
    /// Epochs (from 0) at whose start the rate drops.
    pub milestones: Vec<usize>,
    /// What the rate is multiplied by.
    pub factor: f64,
}

impl Default for StepSchedule {
    /// The paper's: a tenth from the 100th epoch on, a hundredth from the 150th.
    fn default() -> Self {
        Self { milestones: vec![100, 150], factor: 0.1 }
    }
}

impl StepSchedule {
    /// The learning rate in `epoch` (from 0), given the initial one.
    pub fn lr(&self, initial: f64, epoch: usize) -> f64 {
        let passed = self.milestones.iter().filter(|milestone| **milestone <= epoch);
        passed.fold(initial, |lr, _| lr * self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::StepSchedule;

    #[test]
    fn drops_at_100_and_150() {
        let rates = [0, 99, 100, 149, 150, 199].map(|epoch| StepSchedule::default().lr(1.0, epoch));
        for (rate, expected) in rates.into_iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]) {
            assert!((rate - expected).abs() < 1e-12, "{rate} for {expected}");
        }
    }
}
