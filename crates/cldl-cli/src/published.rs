//! What a published checkpoint says of a run: settings from the run, accuracies from the outcome store.

use std::path::{Path, PathBuf};

use anyhow::Result;
use cldl_checkpoint::{Accuracy, Attack, Config, read_config};
use cldl_eval::{Store, whitebox_scores};

use crate::models::Loaded;

/// How a checkpoint is described.
#[derive(clap::Args)]
pub(crate) struct Describe {
    /// Folder with the outcomes of `cldl eval whitebox` and `blackbox`: accuracies in it go into config
    /// and model card
    #[arg(long, value_name = "DIR", default_value = "runs/outcomes")]
    store: PathBuf,
    /// Licence of the weights, by its id on the Hub [default: mit, or what the checkpoint says]
    #[arg(long, value_name = "ID")]
    license: Option<String>,
}

impl Describe {
    /// The config of `loaded`, which was read from `path`; if that is a published checkpoint, its own.
    pub(crate) fn config(&self, loaded: &Loaded, path: &Path) -> Result<Config> {
        let inner = &loaded.inner;
        let known = read_config(path)?;
        let mut config = known.unwrap_or_else(|| {
            let (ensemble, dataset) = (inner.ensemble.config.clone(), inner.dataset.clone());
            Config::new(ensemble, dataset, inner.config.clone(), inner.epochs_done)
        });
        let measured = self.accuracies(&inner.digest)?;
        if !measured.is_empty() {
            config.results = measured;
        }
        if let Some(license) = &self.license {
            config.license.clone_from(license);
        }
        Ok(config)
    }

    /// What the store knows of the model with this digest.
    fn accuracies(&self, digest: &str) -> Result<Vec<Accuracy>> {
        let scores = whitebox_scores(&Store::new(&self.store), digest)?;
        let accuracies = scores.into_iter().filter_map(|found| {
            let attack = found.attack.map(|(spec, starts)| Attack {
                name: spec.attack.to_string(),
                eps: spec.eps,
                steps: spec.steps,
                loss: spec.loss.to_string(),
                starts,
            });
            let (right, examples) = (found.score.right, found.score.total);
            Some(Accuracy { right, examples, percent: found.score.percent()?, attack })
        });
        Ok(accuracies.collect())
    }
}

/// `3 accuracies`, for people.
pub(crate) fn measured(config: &Config) -> String {
    match config.results.len() {
        0 => "no accuracies (`cldl eval whitebox` measures them)".to_owned(),
        1 => "1 accuracy".to_owned(),
        count => format!("{count} accuracies"),
    }
}
