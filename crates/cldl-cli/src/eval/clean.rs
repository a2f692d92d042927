//! `cldl eval clean`

use std::path::PathBuf;

use anyhow::Result;
use cldl_eval::{Examples, Score, clean_outcome};
use serde_json::json;

use crate::common::{self, Compute, DataDir};
use crate::models::{self, BATCH_SIZE, Loaded, Watch};

/// Accuracy on test images as they are.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directory, checkpoint directory or model file
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Measure on the first N of the 9,000 test images that tables report on [default: all 10,000]
    #[arg(long, value_name = "N")]
    examples: Option<usize>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataDir,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLES: &str = "Examples:
  cldl eval clean runs/plain
  cldl eval clean runs/plain --examples 1000 --json";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.compute.start()?;
        let run = Loaded::read(&self.run, &device)?;
        let test = models::test_images(run.dataset(), &self.data.dirs())?;
        let examples = match self.examples {
            None => Examples::all(&test),
            Some(n) => Examples::evaluation(&test, n),
        };
        let examples = examples.map_err(models::classify)?;
        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        let outcome = clean_outcome(&run.inner.ensemble, &examples, &device, BATCH_SIZE, see)?;
        watch.end();

        let score = Score::of(&outcome);
        let value = json!({
            "clean": score.percent(),
            "examples": score.total,
            "right": score.right,
            "interval": score.interval(),
            "run": run.name,
            "digest": run.inner.digest,
            "dataset": test.name,
            "epochs": run.inner.epochs_done,
        });
        let (low, high) = score.interval().unwrap_or_default();
        let text = format!(
            "{:.2} % of {} test images right (95 % interval {low:.2} to {high:.2})",
            score.percent().unwrap_or_default(),
            score.total
        );
        common::print(self.json, &value, &text)
    }
}
