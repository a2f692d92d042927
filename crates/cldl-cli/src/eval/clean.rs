//! `cldl eval clean`

use std::path::PathBuf;

use anyhow::Result;
use cldl_data::Dataset;
use cldl_eval::{Examples, Score, clean_outcome};
use serde_json::{Value, json};

use super::options::Basics;
use crate::models::{self, BATCH_SIZE, Loaded, Part, Watch};
use crate::output::{Grid, percent};

/// Accuracy on test images as they are.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directories, checkpoints, model files, or repositories of the Hub (OWNER/NAME[@REVISION])
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Measure on the first N of the test images that tables report on [default: all test images]
    #[arg(long, value_name = "N")]
    examples: Option<usize>,
    #[command(flatten)]
    basics: Basics,
}

const EXAMPLES: &str = "Examples:
  cldl eval clean runs/plain
  cldl eval clean runs/cldl-* runs/plain --csv
  cldl eval clean runs/plain --examples 1000 --json";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.basics.compute.start()?;
        let (runs, dataset) = models::read_all(&[&self.runs], &device)?;
        let test = self.basics.data.images(&dataset)?;
        let examples = match self.examples {
            None => Examples::all(&test).map_err(models::classify)?,
            asked => Part::Evaluation.examples(&test, asked)?,
        };
        let mut watch = Watch::start()?;
        let mut scores = Vec::new();
        for run in &runs {
            let see = &mut |progress: &_| watch.see(progress);
            let outcome = clean_outcome(&run.inner.ensemble, &examples, &device, BATCH_SIZE, see)?;
            scores.push(Score::of(&outcome));
        }
        watch.end();

        let head = ["run", "right", "of", "clean", "low", "high"].map(str::to_owned).to_vec();
        let rows = runs.iter().zip(&scores).map(|(run, score)| {
            let (low, high) = score.interval().unwrap_or_default();
            let numbers = [score.percent(), Some(low), Some(high)].map(percent);
            let counts = [run.name.clone(), score.right.to_string(), score.total.to_string()];
            counts.into_iter().chain(numbers).collect()
        });
        let grid = Grid { head, rows: rows.collect() };
        // One run is one object; several are an array.
        let values: Vec<Value> = runs
            .iter()
            .zip(&scores)
            .map(|(run, score)| value(run, score, &examples, &test))
            .collect();
        let value = if let [value] = values.as_slice() { value.clone() } else { json!(values) };
        let notes = "clean: percentage right, with its 95 % confidence interval";
        self.basics.output.print(&value, &grid, notes)
    }
}

fn value(run: &Loaded, score: &Score, examples: &Examples<'_>, test: &Dataset) -> Value {
    json!({
        "clean": score.percent(),
        "examples": score.total,
        "right": score.right,
        "interval": score.interval(),
        "run": run.name,
        "digest": run.inner.digest,
        "dataset": test.spec.name(),
        "examples_digest": examples.digest(),
        "epochs": run.inner.epochs_done,
    })
}
