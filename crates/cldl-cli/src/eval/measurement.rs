//! One measurement of targets under attacks, from the paths of models to a report.

use std::path::PathBuf;

use anyhow::Result;
use cldl_eval::{Bench, Model, Protocol, Store};

use super::options::{AttackArgs, Basics};
use super::report::Report;
use crate::models::{self, BATCH_SIZE, Loaded, Part, Watch};

/// What is measured.
pub(super) struct Measurement<'a> {
    pub(super) targets: &'a [PathBuf],
    /// The models on which attacks are crafted; each target itself if there is none.
    pub(super) surrogates: &'a [PathBuf],
    pub(super) attack: &'a AttackArgs,
    /// Random starts of PGD.
    pub(super) starts: u64,
    pub(super) protocol: Protocol,
    pub(super) part: Part,
}

impl Measurement<'_> {
    /// Computes what the store does not have, and hands the report and the targets to `show`.
    pub(super) fn run(
        &self,
        basics: &Basics,
        show: impl FnOnce(&Report<'_>, &[Loaded]) -> Result<()>,
    ) -> Result<()> {
        let device = basics.compute.start()?;
        let (loaded, dataset) = models::read_all(&[self.targets, self.surrogates], &device)?;
        let (targets, surrogates) = loaded.split_at(self.targets.len());
        let test = basics.data.images(&dataset)?;
        let examples = self.part.examples(&test, self.attack.examples)?;
        let store = Store::new(&self.attack.store);
        let bench = Bench { examples: &examples, store: &store, device, batch_size: BATCH_SIZE };
        let models: Vec<Model<'_>> = targets.iter().map(Loaded::model).collect();
        let report = Report {
            store: &store,
            targets: models.iter().map(|model| (*model, bench.key(model.digest))).collect(),
            surrogates: surrogates.iter().map(Loaded::model).collect(),
            attacks: self.attack.attacks(&dataset),
            sets: self.attack.sets(self.protocol.losses, self.starts),
            protocol: self.protocol,
        };
        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        let (attacks, sets) = (&report.attacks, &report.sets);
        if surrogates.is_empty() {
            bench.whitebox(&models, attacks, sets, see)
        } else {
            bench.blackbox(&models, &report.surrogates, attacks, sets, see)
        }
        .map_err(models::classify)?;
        watch.end();
        show(&report, targets)
    }
}
