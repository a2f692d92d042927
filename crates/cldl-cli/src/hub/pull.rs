//! `cldl hub pull`

use std::path::PathBuf;

use anyhow::Result;
use cldl_hub::{Hub, RepoId};
use serde_json::json;

use super::{Bar, ENVIRONMENT};
use crate::common;

/// Get a checkpoint from the Hub.
///
/// The revision is resolved to a commit, which is printed and kept; every file is checked against the manifest in
/// `config.json` before it is used. Without `--out` the files stay in the Hub's cache, where `cldl eval OWNER/NAME`
/// and the like find them.
#[derive(clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// Repository, OWNER/NAME
    #[arg(long, value_name = "OWNER/NAME")]
    repo_id: RepoId,
    /// Branch, tag or commit [default: main]
    #[arg(long, value_name = "R")]
    revision: Option<String>,
    /// Put the files into this directory [default: leave them in the cache]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Ask nobody: use what the cache has
    #[arg(long)]
    offline: bool,
    /// Replace what is at --out
    #[arg(long)]
    force: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let repo = match &self.revision {
            None => self.repo_id,
            // Parsed again, so that a revision which could not be one is refused.
            Some(revision) => self.repo_id.at(revision).to_string().parse()?,
        };
        let bar = Bar::new();
        let hub = Hub::new(bar.options(self.offline))?;
        let pulled = match &self.out {
            None => hub.pull(&repo)?,
            Some(out) => hub.pull_into(&repo, out, self.force)?,
        };
        bar.end();
        let mut value = json!(pulled);
        value["folder"] = json!(pulled.folder);
        let text = format!(
            "pulled {} ({} is commit {})\ninto `{}`",
            pulled.repo_id,
            pulled.revision,
            pulled.commit,
            pulled.folder.display()
        );
        common::print(self.json, &value, &text)
    }
}
