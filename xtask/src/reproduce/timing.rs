//! What a step takes, measured once for all trainings that differ in their seed or the weights of terms only.

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

/// Of these it matters to a step whether they are 0, and nothing else.
const WEIGHTS: [&str; 3] = ["--gamma", "--alpha", "--beta"];

/// The arguments as far as a step depends on them.
fn shape(args: &[String]) -> Vec<String> {
    let matters = |pair: &&[String]| pair[0] != "--seed";
    let value = |flag: &String, value: &String| {
        let weight = value.parse::<f64>().ok().filter(|_| WEIGHTS.contains(&flag.as_str()));
        weight.map_or_else(|| value.clone(), |weight| (weight != 0.0).to_string())
    };
    let pairs = args.chunks(2).filter(matters);
    pairs.flat_map(|pair| [pair[0].clone(), value(&pair[0], &pair[1])]).collect()
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn what_costs_nothing_makes_no_other_shape() {
        let of = |text: &str| shape(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let adp = of("--method adp --epochs 2 --seed 1 --lr 0.1");
        assert_eq!(adp, ["--method", "adp", "--epochs", "2", "--lr", "0.1"]);
        assert_eq!(of("--seed 3 --alpha 2 --beta 4"), of("--seed 0 --alpha 0.5 --beta 1"));
        assert_ne!(of("--alpha 2 --beta 4"), of("--alpha 2 --beta 0"));
        assert_ne!(of("--lr 0.1"), of("--lr 0.2"));
    }
}
