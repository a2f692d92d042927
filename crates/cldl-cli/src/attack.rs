//! `cldl attack`

use std::path::PathBuf;

use anyhow::Result;
use cldl_attacks::{AttackKind, AttackLoss};
use cldl_core::files;
use cldl_eval::{AdversarialSet, AttackSpec, Score};
use serde_json::json;

use crate::common::{self, Compute};
use crate::models::{self, BATCH_SIZE, Loaded, Part, TestData, Watch};

/// Attack a model that the attacker knows, and keep the adversarial images.
///
/// The file holds `images` and `adversarial` (f32, [N, Ch, H, W], pixels in [0, 1]), `labels`,
/// `predictions` and `adversarial_predictions` (i64, one each), and how they were made as JSON under the
/// metadata's key `cldl`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directory, checkpoint, model file, or a repository of the Hub (OWNER/NAME[@REVISION])
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Attack: `bim`, `fgsm`, `mim` or `pgd`
    #[arg(long, value_name = "NAME", default_value = "pgd")]
    attack: AttackKind,
    /// Radius in pixels of [0, 1] [default: the smallest of the paper's tables]
    #[arg(long, value_name = "X", value_parser = models::eps, allow_negative_numbers = true)]
    eps: Option<f64>,
    /// Steps of size eps/5; FGSM takes one of size eps
    #[arg(long, value_name = "N", default_value_t = 10)]
    steps: usize,
    /// Loss that is maximized: `ce`, `cw` or `cw-official`
    #[arg(long, value_name = "NAME", default_value = "ce")]
    loss: AttackLoss,
    /// Test images to attack: the first N of those that are not for tuning [default: 1000, or all if
    /// there are fewer]
    #[arg(long, value_name = "N")]
    examples: Option<usize>,
    /// Names the random start of PGD
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Safetensors file for the images [default: none is written]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: TestData,
    #[command(flatten)]
    compute: Compute,
}

const EXAMPLES: &str = "Examples:
  cldl attack runs/plain --attack fgsm --eps 0.1
  cldl attack runs/plain --eps 0.25 --loss cw --examples 100 --out adversarial.safetensors";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let device = self.compute.start()?;
        if let Some(out) = &self.out {
            files::check_writable(out)?;
        }
        let run = Loaded::read(&self.run, &device)?;
        let eps = self.eps.unwrap_or(models::usual_eps(&run.dataset())[0]);
        let attack = AttackSpec::new(self.attack, eps, self.loss, self.steps, self.seed)
            .map_err(models::classify)?;
        let test = self.data.images(&run.dataset())?;
        let examples = Part::Evaluation.examples(&test, self.examples)?;
        let mut watch = Watch::start()?;
        let see = &mut |progress: &_| watch.see(progress);
        let model = &run.inner.ensemble;
        let set = AdversarialSet::craft(model, &examples, &attack, &device, BATCH_SIZE, see)?;
        watch.end();

        let percent = |outcome| Score::of(outcome).percent().unwrap_or_default();
        let (clean, adversarial) = (percent(&set.clean), percent(&set.attacked));
        let mut value = json!({
            "run": run.name,
            "digest": run.inner.digest,
            "dataset": test.spec.name(),
            "examples": examples.len(),
            "examples_digest": examples.digest(),
            "attack": attack,
            "step_size": attack.linf().step_size,
            "clean": clean,
            "adversarial": adversarial,
            "audit": set.audit,
        });
        let mut text = format!(
            "{attack} on `{}`\nclean        {clean:6.2} % right\nadversarial  {adversarial:6.2} % right\n{}",
            run.name, set.audit
        );
        if let Some(out) = &self.out {
            set.save(out, &value)?;
            value["out"] = json!(out);
            text = format!("{text}\nwritten to `{}`", out.display());
        }
        common::print(self.json, &value, &text)
    }
}
