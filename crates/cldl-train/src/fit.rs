//! The training loop.

use std::sync::Arc;
use std::time::Instant;

use candle::Device;
use cldl_core::Stream;
use cldl_data::{Batch, Dataset, batches, epoch_order};
use cldl_models::Ensemble;
use serde_json::{Map, Value, json};

use crate::checkpoint::{self, Saved};
use crate::{
    Interval, LoadedEnsemble, Objective, Position, Run, RunState, Step, TrainConfig, TrainError,
    Trainer,
};

/// Where a training stands after a step.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Step in the epoch, from 1.
    pub step: usize,
    /// Images seen in this step.
    pub images: usize,
    /// The objective's value.
    pub loss: f64,
    /// Its terms.
    pub parts: &'a [(&'static str, f64)],
}

/// Watches a training, and may end it.
pub trait Observer {
    /// Called after each step.
    fn step(&mut self, _: &Progress<'_>) {}

    /// Looks at the ensemble after each epoch; what it returns joins the epoch's line of the metrics.
    /// The ensemble can't be changed: the result of a training does not depend on who looks.
    ///
    /// # Errors
    /// Whatever the look fails with; the training ends with it.
    fn look(&mut self, _: &Ensemble) -> candle::Result<Map<String, Value>> {
        Ok(Map::new())
    }

    /// Called after each epoch with its line of the metrics.
    fn epoch(&mut self, _: &Value) {}

    /// Asked before each step whether to stop; what was done so far is saved.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Observes nothing.
impl Observer for () {}

/// Trains an ensemble as `config` says into `run`, from its last checkpoint if it has one, and writes
/// a checkpoint after each epoch and as often inside as the run says. A finished run is left as it is.
///
/// `data` is the whole training split, `init` the ensemble whose weights the config starts from.
///
/// # Errors
/// If the run directory belongs to another config, is another process's or can't be written, if a number
/// is not finite, or if the observer stops the training.
pub fn train(
    config: &TrainConfig,
    data: Dataset,
    init: Option<&LoadedEnsemble>,
    run: &Run,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    if run.state(config)? == RunState::Done {
        return Ok(());
    }
    let _lock = run.lock()?;
    // Another process may have finished it between the look and the lock.
    if run.state(config)? == RunState::Done {
        return Ok(());
    }
    run.begin(config)?;
    let mut trainer = Trainer::new(config, init, device)?;
    let mut saved = Saved::default();
    if let Some((_, place)) = checkpoint::latest(&run.checkpoints())? {
        saved = checkpoint::restore(&place, config, &trainer.ensemble, &mut trainer.adam, device)?;
        // A killed process may have had no time to.
        checkpoint::keep_only(&place)?;
    }
    let data = Arc::new(data.take(config.data.examples));
    for epoch in saved.position.epochs..config.epochs {
        let mut record = trainer
            .epoch(config, &data, &mut saved, run, observer)
            .map_err(|error| with_what_is_kept(error, run))?;
        record.extend(observer.look(&trainer.ensemble)?);
        let record = Value::Object(record);
        run.record(epoch + 1, &record)?;
        observer.epoch(&record);
        saved = Saved::at(Position { epochs: epoch + 1, step: 0 });
        trainer.save(config, run, &saved)?;
    }
    run.finish()
}

/// `error`, with the checkpoint that a training has left if a number stopped it.
fn with_what_is_kept(mut error: TrainError, run: &Run) -> TrainError {
    if let TrainError::NotFinite { kept, .. } = &mut error {
        let latest = checkpoint::latest(&run.checkpoints()).ok().flatten();
        *kept = latest.map(|(position, _)| position);
    }
    error
}

impl Trainer {
    /// The rest of one pass over the data, from where `now` is; returns the epoch's line of the metrics.
    fn epoch(
        &mut self,
        config: &TrainConfig,
        data: &Arc<Dataset>,
        now: &mut Saved,
        run: &Run,
        observer: &mut dyn Observer,
    ) -> Result<Map<String, Value>, TrainError> {
        let (epoch, begin) = (now.position.epochs, Instant::now());
        let earlier = now.seconds;
        let mut checkpoint = Due::new(run.checkpoint_every);
        let lr = config.schedule.lr(config.lr, epoch);
        for batch in epoch_batches(config, data, now.position, &*self.objective, &self.device)? {
            if observer.should_stop() {
                if !checkpoint.is_fresh() {
                    self.save(config, run, now)?;
                }
                return Err(TrainError::Stopped { position: now.position, path: run.dir.clone() });
            }
            if checkpoint.is_due() {
                self.save(config, run, now)?;
                checkpoint = Due::new(run.checkpoint_every);
            }
            let (batch, partner) = batch?;
            let terms = self.step(&step_of(config, epoch, &batch, partner.as_ref()), lr)?;
            now.position.step += 1;
            now.means.add(&[&[("loss", terms.loss)], &terms.parts[..]].concat(), batch.len());
            now.seconds = earlier + begin.elapsed().as_secs_f64();
            checkpoint.steps += 1;
            observer.step(&Progress {
                epoch: epoch + 1,
                step: now.position.step,
                images: batch.len(),
                loss: terms.loss,
                parts: &terms.parts,
            });
        }
        let mut record = Map::new();
        record.insert("epoch".into(), json!(epoch + 1));
        record.insert("lr".into(), json!(lr));
        record.extend(std::mem::take(&mut now.means).finish());
        record.insert("seconds".into(), json!(earlier + begin.elapsed().as_secs_f64()));
        Ok(record)
    }

    fn save(&self, config: &TrainConfig, run: &Run, saved: &Saved) -> Result<(), TrainError> {
        checkpoint::save(&run.checkpoints(), config, saved, &self.ensemble, &self.adam)
    }
}

/// When the next checkpoint is to be written.
struct Due {
    every: Interval,
    since: Instant,
    steps: usize,
}

impl Due {
    fn new(every: Interval) -> Self {
        Self { every, since: Instant::now(), steps: 0 }
    }

    /// Whether nothing was done since the last one.
    fn is_fresh(&self) -> bool {
        self.steps == 0
    }

    fn is_due(&self) -> bool {
        !self.is_fresh()
            && match self.every {
                Interval::Steps(steps) => steps <= self.steps,
                Interval::Time(time) => time <= self.since.elapsed(),
            }
    }
}

/// The batches of an epoch from `position` on, each with a second one beside it if `objective` wants that.
pub(crate) fn epoch_batches(
    config: &TrainConfig,
    data: &Arc<Dataset>,
    position: Position,
    objective: &dyn Objective,
    device: &Device,
) -> Result<impl Iterator<Item = Result<(Batch, Option<Batch>), TrainError>> + use<>, TrainError> {
    let epoch = position.epochs as u64;
    let from = |seed: u64| {
        let mut order = epoch_order(data.len(), seed, epoch);
        order.drain(..order.len().min(position.step.saturating_mul(config.batch_size)));
        let augmentation = config.augmentation.at(seed, epoch);
        batches(data.clone(), order, config.batch_size, augmentation, device)
    };
    let wants_partner = objective.wants_partner();
    let mut partners = wants_partner.then(|| from(partner_seed(config.seed))).transpose()?;
    Ok(from(config.seed)?.map(move |batch| {
        let partner = partners.as_mut().and_then(Iterator::next).transpose()?;
        Ok((batch?, partner))
    }))
}

/// What the objective is told of a batch.
pub(crate) fn step_of<'a>(
    config: &TrainConfig,
    epoch: usize,
    batch: &'a Batch,
    partner: Option<&'a Batch>,
) -> Step<'a> {
    Step {
        images: &batch.images,
        labels: &batch.labels,
        partner: partner.map(|partner| &partner.images),
        examples: &batch.indices,
        seed: config.seed,
        epoch,
        epochs: config.epochs,
    }
}

/// The seed of a second, independent order of the images.
fn partner_seed(seed: u64) -> u64 {
    let mut stream = Stream::new(seed, "partner", &[]);
    let mut half = || u64::from(stream.below(u32::MAX));
    half() << 32 | half()
}
