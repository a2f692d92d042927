//! `cldl eval whitebox`

use std::path::PathBuf;

use anyhow::Result;
use cldl_eval::Protocol;

use super::measurement::Measurement;
use super::options::{Basics, WhiteboxArgs};
use crate::models::Part;

/// Accuracy under attacks by someone who knows the whole ensemble.
///
/// Each ensemble is attacked on itself. An image counts if it stays right under every restart of PGD;
/// the other attacks have no randomness and are made once. Accuracies are among all images, as in the
/// published evaluation; JSON has those among the images right before as well.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directories, checkpoints, model files, or repositories of the Hub (OWNER/NAME[@REVISION])
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    attacker: WhiteboxArgs,
    #[command(flatten)]
    basics: Basics,
}

const EXAMPLES: &str = "Examples:
  cldl eval whitebox runs/cldl-3-4-4-* runs/plain
  cldl eval whitebox runs/plain --attacks pgd --eps 0.1 --losses ce,cw --restarts 10";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let measurement = Measurement {
            targets: &self.runs,
            surrogates: &[],
            attack: &self.attacker.attack,
            starts: self.attacker.restarts,
            protocol: Protocol::WHITEBOX,
            part: Part::Evaluation,
        };
        measurement.run(&self.basics, |report, _| {
            let notes = format!(
                "accuracy in percent among all images: losses {}, {} restarts of pgd, {} examples",
                report.losses(),
                self.attacker.restarts,
                report.examples()
            );
            let value = report.value(&[("percent_of_clean_right", Protocol::OFFICIAL)])?;
            self.basics.output.print(&value, &report.grid()?, &notes)
        })
    }
}
