//! `cldl eval blackbox`

use std::path::PathBuf;

use anyhow::Result;
use cldl_eval::{Bench, Examples, Model, Protocol, Store};

use super::options::AttackArgs;
use super::report::Report;
use crate::common::{Compute, DataDir};
use crate::models::{self, BATCH_SIZE, Watch};
use crate::output::Output;

/// Accuracy under attacks crafted on surrogates.
///
/// Every adversarial set is crafted once, on each surrogate alone, and shown to all targets; which
/// image each target got right is kept in the store. What the store has is not computed again, so that
/// an interrupted command goes on where it was, and another protocol costs nothing.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The targets: run directories, checkpoint directories or model files
    #[arg(value_name = "RUN", required = true)]
    targets: Vec<PathBuf>,
    /// The models on which attacks are crafted
    #[arg(long, value_name = "RUN", required = true, num_args = 1..)]
    surrogates: Vec<PathBuf>,
    #[command(flatten)]
    attack: AttackArgs,
    /// Random starts of PGD; the other attacks have none
    #[arg(long, value_name = "K", default_value_t = 3)]
    attack_seeds: u64,
    /// Test images under attack: the first N of the 9,000 that are not for tuning
    #[arg(long, value_name = "N", default_value_t = 1000)]
    examples: usize,
    /// How outcomes become a percentage: `official` (right on every set, among the images right
    /// before) or `paper` (mean over sets, among all images)
    #[arg(long, value_name = "NAME", default_value = "official")]
    protocol: Protocol,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLES: &str = "Examples:
  cldl eval blackbox runs/cldl-* --surrogates runs/baseline-n3 runs/baseline-n5
  cldl eval blackbox runs/cldl-* --surrogates runs/plain --attacks pgd --eps 0.1 --protocol paper";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.compute.start()?;
        let (loaded, dataset) = models::read_all(&[&self.targets, &self.surrogates], &device)?;
        let (targets, surrogates) = loaded.split_at(self.targets.len());
        let test = models::test_images(dataset, &self.data.dirs())?;
        let examples = Examples::evaluation(&test, self.examples).map_err(models::classify)?;
        let store = Store::new(&self.attack.store);
        let bench = Bench { examples: &examples, store: &store, device, batch_size: BATCH_SIZE };
        let targets: Vec<Model<'_>> = targets.iter().map(models::Loaded::model).collect();
        let report = Report {
            store: &store,
            targets: targets.iter().map(|model| (*model, bench.key(model.digest))).collect(),
            surrogates: surrogates.iter().map(models::Loaded::model).collect(),
            attacks: self.attack.attacks(dataset),
            sets: self.attack.sets(self.protocol.losses, self.attack_seeds),
            protocol: self.protocol,
        };
        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        bench
            .blackbox(&targets, &report.surrogates, &report.attacks, &report.sets, see)
            .map_err(models::classify)?;
        watch.end();
        let notes = format!(
            "accuracy in percent: protocol {}, losses {}, {} examples",
            report.protocol,
            report.losses(),
            report.examples()
        );
        self.output.print(&report.value(&[])?, &report.grid()?, &notes)
    }
}
