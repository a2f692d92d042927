//! Pull: a checkpoint from the Hub, pinned to a commit, every file checked before it is used.

use std::path::{Path, PathBuf};

use cldl_core::{files, folders};
use serde::Serialize;

use crate::manifest::CONFIG;
use crate::{Hub, HubError, Manifest, RepoId};

/// What a pulled directory keeps of where it came from.
const ORIGIN: &str = "hub.json";

/// A checkpoint that is here, every file as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// `OWNER/NAME`.
    pub repo_id: String,
    /// What was asked for: a branch, a tag or a commit.
    pub revision: String,
    /// The commit that it was.
    pub commit: String,
    /// The directory with its files.
    #[serde(skip)]
    pub folder: PathBuf,
}

impl Hub {
    /// Gets the checkpoint `repo` into the cache. What is there already, at this commit, is not asked for again.
    ///
    /// # Errors
    /// If it can't be had, or a file is not what the manifest says. A model card that differs is left out with a
    /// warning instead: cards are edited on the Hub.
    pub fn pull(&self, repo: &RepoId) -> Result<Pulled, HubError> {
        let commit = self.resolve(repo)?;
        let pinned = repo.at(&commit);
        let (folder, manifest) = self.manifest(&pinned)?;
        for (name, digest) in &manifest.files {
            match self.model_file(&pinned, name, Some(digest)) {
                Ok(_) => {}
                Err(HubError::Tampered { problem, .. }) if is_card(name) => {
                    tracing::warn!("`{name}` of `{pinned}` {problem}: left out");
                }
                Err(error) => return Err(error),
            }
        }
        let (repo_id, revision) = (repo.id(), repo.revision().to_owned());
        Ok(Pulled { repo_id, revision, commit, folder })
    }

    /// As [`Self::pull`], and puts a copy into `out`, which appears whole or not at all, with a `hub.json` that says
    /// where it came from.
    ///
    /// # Errors
    /// As [`Self::pull`], or if something is at `out` and is not to be replaced.
    pub fn pull_into(&self, repo: &RepoId, out: &Path, replace: bool) -> Result<Pulled, HubError> {
        folders::check_free(out, replace)?;
        let pulled = self.pull(repo)?;
        let config = std::fs::read(pulled.folder.join(CONFIG))?;
        let manifest = Manifest::parse(&repo.to_string(), &config)?;
        folders::create_folder(out, replace, |draft| {
            for (name, digest) in &manifest.files {
                let source = pulled.folder.join(name);
                if is_card(name) && !source.exists() {
                    continue;
                }
                let bytes = std::fs::read(source)?;
                digest.check(&bytes).map_err(|problem| HubError::Tampered {
                    repo: repo.to_string(),
                    file: name.clone(),
                    problem,
                })?;
                files::write_atomically(&draft.join(name), &bytes)?;
            }
            files::write_atomically(&draft.join(CONFIG), &config)?;
            // A struct of strings always has a JSON form.
            let origin = serde_json::to_string_pretty(&pulled).unwrap_or_default() + "\n";
            Ok::<_, HubError>(files::write_atomically(&draft.join(ORIGIN), origin.as_bytes())?)
        })?;
        Ok(Pulled { folder: out.to_owned(), ..pulled })
    }

    /// The directory in the cache that the files of a commit lie in, and its manifest.
    fn manifest(&self, pinned: &RepoId) -> Result<(PathBuf, Manifest), HubError> {
        let read = || {
            let path = self.model_file(pinned, CONFIG, None)?;
            let manifest = Manifest::parse(&pinned.to_string(), &std::fs::read(&path)?);
            let folder = path.parent().unwrap_or(&path).to_owned();
            manifest.map(|manifest| (folder, manifest)).inspect_err(|_| {
                // hf-hub keeps an error page as if it were the file.
                let _ = path.canonicalize().and_then(std::fs::remove_file);
                let _ = std::fs::remove_file(&path);
            })
        };
        match read() {
            Err(HubError::Manifest { problem, .. }) if !self.offline => {
                tracing::info!("config.json {problem}; asking once more");
                read()
            }
            other => other,
        }
    }
}

fn is_card(name: &str) -> bool {
    name == "README.md"
}
