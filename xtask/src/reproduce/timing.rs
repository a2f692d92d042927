//! What a step takes, measured once for all trainings that differ in their seed only.

use super::cldl::Cldl;
use super::job::Job;
use anyhow::Result;
use std::collections::BTreeMap;

/// What a training takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// One step of the training.
    pub(crate) step_seconds: f64,
    /// Steps of the whole training that was asked about.
    pub(crate) total_steps: f64,
    /// One gradient step of an attack on the ensemble, for one image.
    pub(crate) attack_seconds: f64,
    /// Peak of memory in bytes, where the system tells.
    pub(crate) memory: Option<u64>,
    /// A checkpoint's size in bytes.
    pub(crate) checkpoint: u64,
}

/// The costs that were measured, by the arguments that matter.
#[derive(Debug, Default)]
pub(crate) struct Timings(BTreeMap<Vec<String>, Cost>);

impl Timings {
    pub(crate) fn cost(&mut self, cldl: &Cldl, job: &Job) -> Result<Cost> {
        let shape = shape(&job.args);
        if let Some(cost) = self.0.get(&shape) {
            return Ok(*cost);
        }
        let answer = cldl.dry_run(&job.args, true)?;
        let cost = Cost {
            step_seconds: answer.step_seconds.unwrap_or(0.0),
            total_steps: answer.total_steps,
            attack_seconds: answer.expected_attack_seconds.unwrap_or(0.0),
            memory: answer.expected_memory_bytes,
            checkpoint: answer.checkpoint_bytes.unwrap_or(0),
        };
        self.0.insert(shape, cost);
        Ok(cost)
    }
}

/// The arguments without those that no step depends on.
fn shape(args: &[String]) -> Vec<String> {
    args.chunks(2).filter(|pair| pair[0] != "--seed").flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn a_seed_costs_nothing() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            shape(&words("--method adp --epochs 2 --seed 1 --lr 0.1")),
            words("--method adp --epochs 2 --lr 0.1")
        );
    }
}
