//! `cldl eval whitebox`

use std::path::PathBuf;

use anyhow::Result;
use cldl_eval::{Bench, Examples, Model, Protocol, Store};

use super::options::AttackArgs;
use super::report::Report;
use crate::common::{Compute, DataDir};
use crate::models::{self, BATCH_SIZE, Watch};
use crate::output::Output;

/// Accuracy under attacks by someone who knows the whole ensemble.
///
/// Each ensemble is attacked on itself. An image counts if it stays right under every restart of PGD;
/// the other attacks have no randomness and are made once. Accuracies are among all images, as in the
/// published evaluation; JSON has those among the images right before as well.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directories, checkpoint directories or model files
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    attack: AttackArgs,
    /// Random starts of PGD
    #[arg(long, value_name = "K", default_value_t = 5)]
    restarts: u64,
    /// Test images under attack: the first N of the 9,000 that are not for tuning
    #[arg(long, value_name = "N", default_value_t = 1000)]
    examples: usize,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLES: &str = "Examples:
  cldl eval whitebox runs/cldl-3-4-4-* runs/plain
  cldl eval whitebox runs/plain --attacks pgd --eps 0.1 --losses ce,cw --restarts 10";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.compute.start()?;
        let (loaded, dataset) = models::read_all(&[&self.runs], &device)?;
        let test = models::test_images(dataset, &self.data.dirs())?;
        let examples = Examples::evaluation(&test, self.examples).map_err(models::classify)?;
        let store = Store::new(&self.attack.store);
        let bench = Bench { examples: &examples, store: &store, device, batch_size: BATCH_SIZE };
        let targets: Vec<Model<'_>> = loaded.iter().map(models::Loaded::model).collect();
        let protocol = Protocol::WHITEBOX;
        let report = Report {
            store: &store,
            targets: targets.iter().map(|model| (*model, bench.key(model.digest))).collect(),
            surrogates: Vec::new(),
            attacks: self.attack.attacks(dataset),
            sets: self.attack.sets(protocol.losses, self.restarts),
            protocol,
        };
        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        bench.whitebox(&targets, &report.attacks, &report.sets, see).map_err(models::classify)?;
        watch.end();
        let notes = format!(
            "accuracy in percent among all images: losses {}, {} restarts of pgd, {} examples",
            report.losses(),
            self.restarts,
            report.examples()
        );
        let value = report.value(&[("percent_of_clean_right", Protocol::OFFICIAL)])?;
        self.output.print(&value, &report.grid()?, &notes)
    }
}
