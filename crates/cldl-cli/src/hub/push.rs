//! `cldl hub push`

use std::path::{Path, PathBuf};

use anyhow::Result;
use cldl_hub::{Hub, Plan, Push, RepoId};
use serde_json::json;

use super::{Bar, ENVIRONMENT};
use crate::common;
use crate::models::Loaded;
use crate::published::Describe;

/// Send a checkpoint to the Hub, as one commit.
///
/// Takes a checkpoint of `cldl export` or `cldl import`, or a run, which is exported on the way. The repository is
/// made if it does not exist, private unless `--public`. Files and model card are checked first; if somebody else
/// pushes meanwhile, nothing of theirs is overwritten.
#[derive(clap::Args)]
#[command(after_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// Checkpoint or run directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Repository, OWNER/NAME
    #[arg(long, value_name = "OWNER/NAME")]
    repo_id: RepoId,
    /// Let everybody see the repository, if it is made now
    #[arg(long)]
    public: bool,
    /// Branch; made if it does not exist [default: main]
    #[arg(long, value_name = "BRANCH")]
    revision: Option<String>,
    /// Tag the new commit
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// What the commit does, in a line
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Refuse if the branch is not at this commit [default: the one that it is at when the push begins]
    #[arg(long, value_name = "COMMIT")]
    parent: Option<String>,
    /// Check everything, say what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    describe: Describe,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let exported = tempfile::tempdir()?;
        let folder = self.checkpoint(exported.path())?;
        let plan = Plan::new(&folder)?;
        if self.dry_run {
            return self.show(&plan);
        }
        let bar = Bar::new();
        let push = Push {
            public: self.public,
            branch: self.revision.clone(),
            tag: self.tag.clone(),
            message: self.message.clone(),
            parent: self.parent.clone(),
        };
        let pushed = Hub::new(bar.options(false))?.push(&self.repo_id, &plan, &push)?;
        bar.end();
        let mut value = json!(pushed);
        value["files"] = json!(plan.files.iter().map(|(name, _)| name).collect::<Vec<_>>());
        let tag = pushed.tag.as_ref().map_or(String::new(), |tag| format!(", tag {tag}"));
        let made = match (pushed.created, self.public) {
            (false, _) => "",
            (true, false) => " (made it, private)",
            (true, true) => " (made it, public)",
        };
        let text = format!(
            "pushed {} files to {}{made}: branch {}, commit {}{tag}\n{}",
            plan.files.len(),
            pushed.repo_id,
            pushed.branch,
            pushed.commit,
            pushed.url
        );
        common::print(self.json, &value, &text)
    }

    /// The checkpoint to push: the directory itself, or an export of the run in it, below `place`.
    fn checkpoint(&self, place: &Path) -> Result<PathBuf> {
        if cldl_checkpoint::read_config(&self.dir)?.is_some() {
            return Ok(self.dir.clone());
        }
        let loaded = Loaded::read(&self.dir, &candle::Device::Cpu)?;
        let config = self.describe.config(&loaded, &self.dir)?;
        let out = place.join("checkpoint");
        cldl_checkpoint::write(&out, &loaded.inner.ensemble, config, false)?;
        Ok(out)
    }

    fn show(&self, plan: &Plan) -> Result<()> {
        let visibility = if self.public { "public" } else { "private" };
        let files = plan.files.iter().map(
            |(name, digest)| json!({"name": name, "bytes": digest.bytes, "sha256": digest.sha256}),
        );
        let value = json!({
            "repo_id": self.repo_id.id(),
            "branch": self.revision.as_deref().unwrap_or("main"),
            "tag": self.tag,
            "private": !self.public,
            "bytes": plan.bytes(),
            "files": files.collect::<Vec<_>>(),
            "dry_run": true,
        });
        let lines = plan.files.iter().map(|(name, digest)| format!("{:>10}  {name}", digest.bytes));
        let text = format!(
            "would push to {} ({visibility} if it is made now), {} bytes:\n{}",
            self.repo_id.id(),
            plan.bytes(),
            lines.collect::<Vec<_>>().join("\n")
        );
        common::print(self.json, &value, &text)
    }
}
