//! What is timed: the steps, and the operations that each needs.

use anyhow::Result;
use candle::{Device, Tensor};
use cldl_attacks::{AttackLoss, Linf, Start};
use cldl_core::{Classifier as _, Stream};
use cldl_data::{Dataset, DatasetName, DatasetSpec, Split};
use cldl_models::Arch;
use cldl_train::{Step, TrainOptions, Trainer, Variant};

use crate::failure::Usage;

/// One row of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    Forward,
    Pgd10,
    /// A training step: name of the row, name of the method.
    Train(&'static str, &'static str),
}

const ROWS: [Row; 8] = [
    Row::Forward,
    Row::Train("ce", "baseline"),
    Row::Train("adp", "adp"),
    Row::Train("gal", "gal"),
    Row::Train("trs", "trs"),
    Row::Train("cldl", "cldl"),
    Row::Train("dverge", "dverge"),
    Row::Pgd10,
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
            Self::Train(name, _) => name,
        }
    }

    /// Whether it is about pairs of members.
    fn takes_two(self) -> bool {
        matches!(self, Self::Train("adp" | "gal" | "trs" | "dverge", _))
    }
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

    /// The step of `row`, to be run again and again.
    pub(super) fn step(&self, row: Row) -> Result<Box<dyn FnMut() -> Result<()> + '_>> {
        let mut trainer = self.trainer(row)?;
        Ok(match row {
            Row::Forward => Box::new(move || {
                trainer.ensemble.logits(&self.images)?;
                Ok(())
            }),
            Row::Pgd10 => Box::new(move || {
                let attack = Linf { loss: AttackLoss::Ce, ..Linf::pgd(0.1, 10) };
                attack.perturb(&trainer.ensemble, &self.images, &self.labels, Start::Seed(0))?;
                Ok(())
            }),
            Row::Train(..) => Box::new(move || {
                let step = Step::of(&self.images, &self.labels);
                trainer.step(&Step { partner: Some(&self.partner), ..step }, 1e-3)?;
                Ok(())
            }),
        })
    }

    fn trainer(&self, row: Row) -> Result<Trainer> {
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
        let config = options.on(&self.spec).config(&none, None)?;
        Ok(Trainer::new(&config, None, &self.device)?)
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
            Row::Pgd10 => 20 * all,
            Row::Train(_, "baseline" | "adp") => train,
            Row::Train(_, "dverge") => 21 * distilled + (self.members as u64 - 1) * train,
            // A probe (forward and input gradient), then a training pass on dual numbers.
            Row::Train(..) => 2 * all + 2 * train,
        };
        (of_image * (self.members * self.batch) as u64) as f64
    }
}
