//! `cldl hub push | pull`

pub(crate) mod dataset;
mod pull;
mod push;

use std::sync::Arc;

use anyhow::Result;
use cldl_hub::{Hub, HubOptions, Pulled, RepoId, Watch};
use indicatif::ProgressBar;

use crate::progress;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Push(push::Args),
    Pull(pull::Args),
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Push(args) => args.run(),
            Self::Pull(args) => args.run(),
        }
    }
}

/// What the environment says, for the help of both commands.
const ENVIRONMENT: &str = "Environment:
  HF_TOKEN         who asks; else the token file that `hf auth login` writes
  HF_ENDPOINT      another Hub than huggingface.co
  HF_HOME          where token and cache are [default: ~/.cache/huggingface]
  HF_HUB_OFFLINE   set to 1: ask nobody, use the cache";

/// Pulls a model into the cache, with a bar.
pub(crate) fn pull_to_cache(repo: &RepoId) -> Result<Pulled> {
    let bar = Bar::new();
    let pulled = Hub::new(bar.options(false))?.pull(repo)?;
    bar.end();
    Ok(pulled)
}

/// A bar for transfers.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(progress::bar(0, 0, "bytes"))
    }

    fn options(&self, offline: bool) -> HubOptions {
        let bar = self.0.clone();
        let watch: Watch = Arc::new(move |file: &str, done, total| {
            bar.set_prefix(file.to_owned());
            bar.set_length(total);
            bar.set_position(done);
        });
        HubOptions { offline, watch: Some(watch), ..HubOptions::default() }
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}
