//! `cldl eval blackbox`

use std::path::PathBuf;

use anyhow::Result;

use super::options::{Basics, BlackboxArgs};
use crate::models::Part;

/// Accuracy under attacks crafted on surrogates.
///
/// Every adversarial set is crafted once, on each surrogate alone, and shown to all targets; which
/// image each target got right is kept in the store. What the store has is not computed again, so that
/// an interrupted command goes on where it was, and another protocol costs nothing.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The targets: run directories, checkpoints, model files, or repositories of the Hub
    /// (OWNER/NAME[@REVISION])
    #[arg(value_name = "RUN", required = true)]
    targets: Vec<PathBuf>,
    #[command(flatten)]
    attacker: BlackboxArgs,
    #[command(flatten)]
    basics: Basics,
}

const EXAMPLES: &str = "Examples:
  cldl eval blackbox runs/cldl-* --surrogates runs/baseline-n3 runs/baseline-n5
  cldl eval blackbox runs/cldl-* --surrogates runs/plain --attacks pgd --eps 0.1 --protocol paper";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        self.attacker.measurement(&self.targets, Part::Evaluation).run(&self.basics, |report, _| {
            let notes = format!(
                "accuracy in percent: protocol {}, losses {}, {} examples",
                report.protocol,
                report.losses(),
                report.examples()
            );
            self.basics.output.print(&report.value(&[])?, &report.grid()?, &notes)
        })
    }
}
