//! `cldl export`

use std::path::PathBuf;

use anyhow::Result;
use cldl_checkpoint::{Config, README};
use cldl_core::{files, folders};
use serde_json::json;

use crate::common;
use crate::models::Loaded;
use crate::published::{self, Describe};

/// Write a trained ensemble as a checkpoint that anybody can load: in Rust, in Python, from the Hub.
///
/// The checkpoint is a directory: `config.json` (all that is needed to rebuild the ensemble, how it was
/// trained, what was measured, SHA-256 of the files), `model.safetensors` (every tensor under its name in the
/// published PyTorch state_dict) and `README.md` (a model card). Equal trainings give equal bytes.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Run directory, checkpoint or model file
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Where to write: a directory, or with `--format pytorch` a file
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// What to write: the whole checkpoint, or the PyTorch state_dict alone, as a safetensors file
    #[arg(long, value_name = "FORMAT", default_value = "cldl")]
    format: Format,
    /// Replace what is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    describe: Describe,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Cldl,
    Pytorch,
}

const EXAMPLES: &str = "Examples:
  cldl export runs/cldl-3-4-4-* --out cldl-mnist
  cldl export runs/plain --out plain.safetensors --format pytorch";

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let out = &self.out;
        folders::check_free(out, self.force)?;
        let loaded = Loaded::read(&self.run, &candle::Device::Cpu)?;
        if self.format == Format::Pytorch {
            let bytes = cldl_checkpoint::state_dict(&loaded.inner.ensemble)?;
            files::write_atomically(out, &bytes)?;
            let value = json!({"out": out, "format": "pytorch", "bytes": bytes.len()});
            let text = format!("wrote the state_dict `{}` ({} bytes)", out.display(), bytes.len());
            return common::print(self.json, &value, &text);
        }
        let config = self.describe.config(&loaded, &self.run)?;
        let config = cldl_checkpoint::write(out, &loaded.inner.ensemble, config, self.force)?;
        common::print(self.json, &value(&config, out), &text(&config, out))
    }
}

pub(crate) fn value(config: &Config, out: &std::path::Path) -> serde_json::Value {
    json!({
        "out": out,
        "format": "cldl",
        "title": config.title(),
        "results": config.results.len(),
        "files": config.files,
    })
}

pub(crate) fn text(config: &Config, out: &std::path::Path) -> String {
    format!(
        "wrote `{}`: {}, {}; its card is `{}`",
        out.display(),
        config.title(),
        published::measured(config),
        out.join(README).display()
    )
}
