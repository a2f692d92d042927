//! What a training and an attack will cost on this machine, measured on a few real steps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use candle::{Device, Tensor, Var};
use cldl_core::memory::peak_bytes;
use cldl_core::{Classifier as _, input_gradient};
use cldl_data::Dataset;

use crate::fit::{epoch_batches, step_of};
use crate::{Observer, Position, TrainConfig, TrainError, Trainer};

/// Measured costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Seconds of a training step.
    pub step_seconds: f64,
    /// Seconds of one gradient step of an attack on the whole ensemble, per image.
    pub attack_seconds: f64,
    /// The most memory that the training will hold, in bytes; none where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// Size of a checkpoint in bytes: parameters, Adam's two moments, running statistics.
    pub checkpoint_bytes: usize,
}

/// Steps that are timed, after one that warms caches and threads up.
const TIMED: usize = 3;
/// Seconds after which no further step is timed: a slow step needs neither a warm-up nor repetition.
const PATIENCE: f64 = 3.0;
/// So long it may always take, beyond it a twentieth of what the training will.
const SOON: f64 = 0.25;

/// Measures what `config` costs, on a fresh ensemble: the medians of a few steps, and the memory that they and
/// the look of `observer` after an epoch take.
///
/// # Errors
/// If a step or the look fails.
pub fn measure(
    config: &TrainConfig,
    data: Dataset,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Cost, TrainError> {
    let mut trainer = Trainer::new(config, None, device)?;
    let data = Arc::new(data.take(config.batch_size * (TIMED + 1)));
    let (mut training, mut attacking) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    for batch in epoch_batches(config, &data, Position::default(), &*trainer.objective, device)? {
        let (batch, partner) = batch?;
        let start = Instant::now();
        trainer.step(&step_of(config, 0, &batch, partner.as_ref()), config.lr)?;
        training.push(start.elapsed().as_secs_f64());

        let start = Instant::now();
        let images = Var::from_tensor(&batch.images)?;
        input_gradient(&trainer.ensemble.logits(&images)?.sum_all()?, &images)?;
        attacking.push(start.elapsed().as_secs_f64() / batch.len() as f64);
        let expected = median(&training) * (config.epochs * config.steps_per_epoch()) as f64;
        if PATIENCE.min(SOON.max(expected / 20.0)) < begin.elapsed().as_secs_f64() {
            break;
        }
    }
    observer.look(&trainer.ensemble)?;
    let values =
        |tensors: BTreeMap<String, Tensor>| tensors.values().map(Tensor::elem_count).sum::<usize>();
    let stored = values(trainer.ensemble.params.tensors()) + values(trainer.adam.moments()?);
    let checkpoint_bytes = size_of::<f32>() * stored;
    // The steps above had everything in memory but a checkpoint while it is written: its larger file, with
    // the moments, and what that is made of.
    let memory_bytes = peak_bytes().map(|peak| peak + 4 * checkpoint_bytes as u64 / 3);
    Ok(Cost {
        step_seconds: median(&training),
        attack_seconds: median(&attacking),
        memory_bytes,
        checkpoint_bytes,
    })
}

/// Median of all but the first.
fn median(seconds: &[f64]) -> f64 {
    let mut timed = seconds[seconds.len().min(2) - 1..].to_vec();
    timed.sort_by(f64::total_cmp);
    timed[timed.len() / 2]
}
