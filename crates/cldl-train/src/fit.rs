//! The training loop.

use std::sync::Arc;
use std::time::Instant;

use candle::Device;
use cldl_core::Stream;
use cldl_data::{Batch, Dataset, batches, epoch_order};
use cldl_models::Ensemble;
use serde_json::{Map, Value, json};

use crate::{
    LoadedEnsemble, Objective, Run, RunState, Step, TrainConfig, TrainError, Trainer, checkpoint,
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

    /// Asked before each step whether to stop; the last checkpoint stays.
    fn should_stop(&self) -> bool {
        false
    }
}

/// Observes nothing.
impl Observer for () {}

/// Trains an ensemble as `config` says into `run`, from its last checkpoint if it has one, and writes
/// a checkpoint after each epoch. A finished run is left as it is.
///
/// `data` is the whole training split, `init` the ensemble whose weights the config starts from.
///
/// # Errors
/// If the run directory belongs to another config or can't be written, if a loss is not finite, or if
/// the observer stops the training.
pub fn train(
    config: &TrainConfig,
    data: Dataset,
    init: Option<&LoadedEnsemble>,
    run: &Run,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let state = run.state(config)?;
    if state == RunState::Done {
        return Ok(());
    }
    run.begin(config)?;
    let mut trainer = Trainer::new(config, init, device)?;
    let mut epochs_done = 0;
    if let Some((epochs, place)) = checkpoint::latest(&run.checkpoints())? {
        checkpoint::restore(&place, &trainer.ensemble, &mut trainer.adam, device)?;
        epochs_done = epochs;
    }
    let data = Arc::new(data.take(config.data.examples));
    for epoch in epochs_done..config.epochs {
        let mut record = trainer.epoch(config, &data, epoch, run, observer)?;
        record.extend(observer.look(&trainer.ensemble)?);
        let record = Value::Object(record);
        run.record(epoch + 1, &record)?;
        observer.epoch(&record);
        checkpoint::save(&run.checkpoints(), config, epoch + 1, &trainer.ensemble, &trainer.adam)?;
    }
    run.finish()
}

impl Trainer {
    /// One pass over the data; returns the epoch's line of the metrics.
    fn epoch(
        &mut self,
        config: &TrainConfig,
        data: &Arc<Dataset>,
        epoch: usize,
        run: &Run,
        observer: &mut dyn Observer,
    ) -> Result<Map<String, Value>, TrainError> {
        let start = Instant::now();
        let lr = config.schedule.lr(config.lr, epoch);
        let batches = epoch_batches(config, data, epoch, &*self.objective, &self.device)?;
        let mut means = Means::default();
        for (step, batch) in (1..).zip(batches) {
            if observer.should_stop() {
                return Err(TrainError::Stopped { epoch: epoch + 1, path: run.dir.clone() });
            }
            let (batch, partner) = batch?;
            let terms = self.step(&step_of(config, epoch, &batch, partner.as_ref()), lr)?;
            let named = [&[("loss", terms.loss)], &terms.parts[..]].concat();
            if let Some(&(term, value)) = named.iter().find(|(_, value)| !value.is_finite()) {
                return Err(TrainError::NotFinite { term, value, epoch: epoch + 1, step });
            }
            means.add(&named, batch.len());
            observer.step(&Progress {
                epoch: epoch + 1,
                step,
                images: batch.len(),
                loss: terms.loss,
                parts: &terms.parts,
            });
        }
        let mut record = Map::new();
        record.insert("epoch".into(), json!(epoch + 1));
        record.insert("lr".into(), json!(lr));
        record.extend(means.finish());
        record.insert("seconds".into(), json!(start.elapsed().as_secs_f64()));
        Ok(record)
    }
}

/// The batches of an epoch, each with a second one beside it if `objective` wants that.
pub(crate) fn epoch_batches(
    config: &TrainConfig,
    data: &Arc<Dataset>,
    epoch: usize,
    objective: &dyn Objective,
    device: &Device,
) -> Result<impl Iterator<Item = Result<(Batch, Option<Batch>), TrainError>> + use<>, TrainError> {
    let from = |seed: u64| {
        let order = epoch_order(data.len(), seed, epoch as u64);
        let augmentation = config.augmentation.at(seed, epoch as u64);
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

/// Means of an epoch's terms over its images, in the order in which an objective names them.
#[derive(Default)]
struct Means {
    sums: Vec<(&'static str, f64)>,
    images: usize,
}

impl Means {
    fn add(&mut self, terms: &[(&'static str, f64)], images: usize) {
        self.images += images;
        for &(name, value) in terms {
            let weighted = value * images as f64;
            match self.sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += weighted,
                None => self.sums.push((name, weighted)),
            }
        }
    }

    fn finish(self) -> impl Iterator<Item = (String, Value)> {
        let images = self.images.max(1) as f64;
        self.sums.into_iter().map(move |(name, sum)| (name.to_owned(), json!(sum / images)))
    }
}
