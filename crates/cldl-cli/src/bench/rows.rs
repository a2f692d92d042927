//! What is timed: the steps, and the operations that each needs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use candle::{Device, Tensor};
use cldl_attacks::{AttackLoss, Linf, Start};
use cldl_core::{Classifier as _, Stream};
use cldl_data::{Augmentation, Batches, Dataset, DatasetName, DatasetSpec, Split, batches};
use cldl_models::Arch;
use cldl_train::{Step, TrainConfig, TrainOptions, Trainer, Variant};

use crate::failure::Usage;

/// One row of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Forward,
    Pgd10,
    /// What a training step waits for its images.
    Wait,
    /// A training step: name of the row, name of the method.
    Train(&'static str, &'static str),
}

const ROWS: [Row; 9] = [
    Row::Forward,
    Row::Train("ce", "baseline"),
    Row::Train("adp", "adp"),
    Row::Train("gal", "gal"),
    Row::Train("trs", "trs"),
    Row::Train("cldl", "cldl"),
    Row::Train("dverge", "dverge"),
    Row::Pgd10,
    Row::Wait,
];

impl Row {
    /// The rows that `names` name; all that so many members can do if there is none.
    pub(super) fn chosen(names: &[String], members: usize) -> Result<Vec<Self>> {
        if names.is_empty() {
            let possible = |row: &Self| members > 1 || !row.takes_two();
            return Ok(ROWS.into_iter().filter(possible).collect());
        }
        let row = |name: &String| {
            let known = ROWS.into_iter().find(|row| row.name() == name);
            known.ok_or_else(|| {
                let names = ROWS.map(Self::name).join("`, `");
                Usage(format!("unknown row `{name}`: use some of `{names}`")).into()
            })
        };
        names.iter().map(row).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Pgd10 => "pgd10",
            Self::Wait => "wait",
            Self::Train(name, _) => name,
        }
    }

    /// Whether it is about pairs of members.
    fn takes_two(self) -> bool {
        matches!(self, Self::Train("adp" | "gal" | "trs" | "cldl" | "dverge", _))
    }
}

/// Batches in an epoch of made-up images: more than anybody repeats a step.
const MANY: usize = 10_000;

/// A step that says how long it took.
fn timed<'a>(
    mut step: impl FnMut() -> Result<()> + 'a,
) -> Box<dyn FnMut() -> Result<Duration> + 'a> {
    Box::new(move || {
        let start = Instant::now();
        step()?;
        Ok(start.elapsed())
    })
}

/// What steps are made on.
pub(super) struct Subject {
    arch: Arch,
    members: usize,
    batch: usize,
    spec: DatasetSpec,
    device: Device,
    images: Tensor,
    labels: Tensor,
    partner: Tensor,
}

impl Subject {
    pub(super) fn new(arch: Arch, members: usize, batch: usize, device: &Device) -> Result<Self> {
        let name = match arch {
            Arch::LeNet5 => DatasetName::Mnist,
            Arch::ResNet20 => DatasetName::Cifar10,
        };
        let [channels, height, width] = arch.image_shape();
        let images = |purpose: &str| {
            let mut stream = Stream::new(0, purpose, &[]);
            let pixels = (0..batch * channels * height * width).map(|_| stream.uniform());
            let pixels: Vec<f32> = pixels.collect();
            Tensor::from_vec(pixels, (batch, channels, height, width), device)
        };
        let labels: Vec<u32> = (0..batch).map(|i| (i % name.n_classes()) as u32).collect();
        Ok(Self {
            arch,
            members,
            batch,
            spec: name.into(),
            device: device.clone(),
            images: images("bench images")?,
            labels: Tensor::from_vec(labels, batch, device)?,
            partner: images("bench partner")?,
        })
    }

    /// The step of `row`, to be run again and again; it says how long it took.
    pub(super) fn step(&self, row: Row) -> Result<Box<dyn FnMut() -> Result<Duration> + '_>> {
        let config = self.config(row)?;
        let mut trainer = Trainer::new(&config, None, &self.device)?;
        Ok(match row {
            Row::Forward => timed(move || {
                trainer.ensemble.logits(&self.images)?;
                Ok(())
            }),
            Row::Pgd10 => timed(move || {
                let attack = Linf { loss: AttackLoss::Ce, ..Linf::pgd(0.1, 10) };
                attack.perturb(&trainer.ensemble, &self.images, &self.labels, Start::Seed(0))?;
                Ok(())
            }),
            Row::Train(..) => timed(move || {
                let step = Step::of(&self.images, &self.labels);
                trainer.step(&Step { partner: Some(&self.partner), ..step }, 1e-3)?;
                Ok(())
            }),
            Row::Wait => {
                let mut batches = self.batches(&config.augmentation)?;
                Box::new(move || {
                    let start = Instant::now();
                    let batch =
                        batches.next().context("an epoch of the benchmark is endless")??;
                    let waited = start.elapsed();
                    trainer.step(&Step::of(&batch.images, &batch.labels), 1e-3)?;
                    Ok(waited)
                })
            }
        })
    }

    /// Batches of made-up images without end, as a training gets them.
    fn batches(&self, augmentation: &Augmentation) -> Result<Batches> {
        let len = self.batch * self.images.elem_count() / self.images.dim(0)?;
        let pixels = (0..len).map(|i| (i * 7 % 251) as u8).collect();
        let labels = (0..self.batch).map(|i| (i % self.spec.n_classes()) as u8).collect();
        let dataset = Arc::new(Dataset::new(&self.spec, Split::Train, pixels, labels)?);
        let order = (0..self.batch).cycle().take(MANY * self.batch).collect();
        Ok(batches(dataset, order, self.batch, augmentation.at(0, 0), &self.device)?)
    }

    fn config(&self, row: Row) -> Result<TrainConfig> {
        let method = if let Row::Train(_, method) = row { method } else { "baseline" };
        let options = TrainOptions {
            method: Some(method.to_owned()),
            arch: Some(self.arch),
            members: Some(self.members),
            batch_size: Some(self.batch),
            variant: Some(Variant::Official),
            layer: (method == "dverge").then(|| self.distilled_layer()),
            leaky_slope: (self.arch == Arch::ResNet20).then_some(0.1),
            ..TrainOptions::default()
        };
        let none = Dataset::new(&self.spec, Split::Train, Vec::new(), Vec::new())?;
        Ok(options.on(&self.spec).config(&none, None)?)
    }

    /// DVERGE's layer, as in the comparator.
    fn distilled_layer(&self) -> usize {
        match self.arch {
            Arch::LeNet5 => 2,
            Arch::ResNet20 => 8,
        }
    }

    /// Operations of a step.
    pub(super) fn flops(&self, row: Row) -> f64 {
        let layers = self.arch.layer_flops(self.spec.n_classes());
        let (first, all) = (layers[0], layers.iter().sum::<u64>());
        let train = 3 * all - first;
        let distilled: u64 = match self.arch {
            Arch::LeNet5 => layers[..2].iter().sum(),
            // The 8th feature map is the first normalization of the fourth block.
            Arch::ResNet20 => layers[..8].iter().sum(),
        };
        let of_image = match row {
            Row::Forward => all,
            Row::Wait => 0,
            Row::Pgd10 => 20 * all,
            Row::Train(_, "baseline" | "adp") => train,
            Row::Train(_, "dverge") => 21 * distilled + (self.members as u64 - 1) * train,
            // A look (forward and input gradient), then the tangents, the gradient of the values and
            // two of the weights.
            Row::Train(..) => 2 * all + train + all,
        };
        (of_image * (self.members * self.batch) as u64) as f64
    }

    /// Bytes that a step must read and write at least: each layer's input, result and gradients, once for
    /// each pass that needs them. Weights, and what normalization reads twice, are not counted.
    pub(super) fn least_bytes(&self, row: Row) -> u64 {
        let layers = self.arch.layer_floats(self.spec.n_classes());
        let sum = |layers: &[[u64; 2]]| layers.iter().flatten().sum::<u64>();
        let (first, both) = (layers[0][0], sum(&layers));
        let inputs: u64 = layers.iter().map(|[input, _]| input).sum();
        // Forward; then inputs and the results' gradients, for the inputs' gradients.
        let train = both + both + inputs - first;
        let distilled = match self.arch {
            Arch::LeNet5 => sum(&layers[..2]),
            Arch::ResNet20 => sum(&layers[..8]),
        };
        let of_image = match row {
            Row::Forward => both,
            Row::Wait => 0,
            Row::Pgd10 => 20 * both,
            Row::Train(_, "baseline" | "adp") => train,
            Row::Train(_, "dverge") => 21 * distilled + (self.members as u64 - 1) * train,
            // A look; then tangents, and for the gradients the numbers and gradients of both.
            Row::Train(..) => 2 * both + train + both,
        };
        4 * of_image * (self.members * self.batch) as u64
    }
}
