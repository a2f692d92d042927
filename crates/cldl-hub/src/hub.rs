//! A connection to the Hub, and the two questions that push and pull share: which commit, which file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cldl_core::{FileDigest, files};
use hf_hub::repository::{RepoType, RepoTypeDataset, RepoTypeModel};
use hf_hub::{HFClient, HFClientSync, HFRepositorySync};

use crate::error::explain;
use crate::progress::{Watch, handler};
use crate::repo::is_commit;
use crate::{HubError, RepoId};

/// What a token needs in order to read.
pub(crate) const READING: &str =
    "the right to read this repository (it may be gated: ask its owner)";

/// How often a transfer that broke is begun again.
const ATTEMPTS: u32 = 3;

/// How to reach the Hub; what is left out comes from the environment.
#[derive(Clone, Default)]
pub struct HubOptions {
    /// Base URL.
    pub endpoint: Option<String>,
    /// Secret that says who asks.
    pub token: Option<String>,
    /// Where downloads are kept.
    pub cache_dir: Option<PathBuf>,
    /// Ask nobody: use what the cache has. `HF_HUB_OFFLINE` asks for that too.
    pub offline: bool,
    /// Told of transfers.
    pub watch: Option<Watch>,
}

/// A connection to the Hub.
pub struct Hub {
    pub(crate) client: HFClientSync,
    pub(crate) endpoint: String,
    cache_dir: PathBuf,
    pub(crate) watch: Watch,
    pub(crate) offline: bool,
}

impl Hub {
    /// Connects as `options` and the environment say; sends nothing yet.
    ///
    /// # Errors
    /// If the endpoint is no URL.
    pub fn new(options: HubOptions) -> Result<Self, HubError> {
        let mut builder = HFClient::builder();
        if let Some(endpoint) = options.endpoint {
            builder = builder.endpoint(endpoint);
        }
        if let Some(token) = options.token {
            builder = builder.token(token);
        }
        if let Some(cache_dir) = options.cache_dir {
            builder = builder.cache_dir(cache_dir);
        }
        let wrong = |e: hf_hub::HFError| {
            HubError::Argument(format!("can't talk to the Hub: {e}; is HF_ENDPOINT a URL?"))
        };
        let client = builder.build().map_err(wrong)?;
        Ok(Self {
            endpoint: client.endpoint().to_owned(),
            cache_dir: client.cache_dir().to_owned(),
            client: HFClientSync::from_inner(client).map_err(wrong)?,
            watch: options.watch.unwrap_or_else(|| Arc::new(|_, _, _| {})),
            // hf-hub knows nothing of this variable.
            offline: options.offline || is_on("HF_HUB_OFFLINE"),
        })
    }

    /// The commit that the revision of `repo` is at this moment.
    ///
    /// # Errors
    /// If there is no such repository or revision, or it can't be asked for.
    pub fn resolve(&self, repo: &RepoId) -> Result<String, HubError> {
        let revision = repo.revision();
        if is_commit(revision) {
            return Ok(revision.to_owned());
        }
        let cached = self.ref_file(repo);
        if self.offline {
            let text = std::fs::read_to_string(&cached).unwrap_or_default();
            let commit = text.trim().to_owned();
            let missing =
                || HubError::NotCached { repo: repo.to_string(), file: crate::CONFIG.to_owned() };
            return if is_commit(&commit) { Ok(commit) } else { Err(missing()) };
        }
        let model = self.model(repo);
        let info = model.info().revision(revision).send();
        let info = info.map_err(|e| self.which_is_missing(repo, explain(repo, READING, &e)))?;
        let commit = info.sha.filter(|sha| is_commit(sha)).ok_or_else(|| HubError::Failed {
            repo: repo.id(),
            reason: format!("the Hub names no commit for `{revision}`"),
            transient: false,
        })?;
        // What this revision was, for the day when nobody can be asked.
        files::write_atomically(&cached, commit.as_bytes())?;
        Ok(commit)
    }

    /// The file `name` of a model at a commit, checked against `expected`, in the cache.
    pub(crate) fn model_file(
        &self,
        repo: &RepoId,
        name: &str,
        expected: Option<&FileDigest>,
    ) -> Result<PathBuf, HubError> {
        self.file(&self.model(repo), repo, name, expected)
            .map_err(|error| self.which_is_missing(repo, error))
    }

    /// The file `name` of a dataset, in the cache.
    pub(crate) fn dataset_file(&self, repo: &RepoId, name: &str) -> Result<PathBuf, HubError> {
        let dataset: HFRepositorySync<RepoTypeDataset> =
            self.client.dataset(repo.owner.as_str(), repo.name.as_str());
        self.file(&dataset, repo, name, None)
    }

    pub(crate) fn model(&self, repo: &RepoId) -> HFRepositorySync<RepoTypeModel> {
        self.client.model(repo.owner.as_str(), repo.name.as_str())
    }

    /// hf-hub checks neither the status nor the content of what it downloads: this does.
    fn file<T: RepoType>(
        &self,
        handle: &HFRepositorySync<T>,
        repo: &RepoId,
        name: &str,
        expected: Option<&FileDigest>,
    ) -> Result<PathBuf, HubError> {
        let mut attempt = 1;
        let mut force = false;
        loop {
            let sent = handle
                .download_file()
                .filename(name)
                .revision(repo.revision())
                .force_download(force)
                .local_files_only(self.offline)
                .progress(handler(&self.watch, name))
                .send();
            let error = match sent {
                Ok(path) => match self.check(repo, name, &path, expected) {
                    Ok(()) => return Ok(path),
                    Err(error) => {
                        // What is wrong must not stay: the next pull would find it.
                        remove(&path);
                        force = true;
                        error
                    }
                },
                Err(error) => explain(repo, READING, &error),
            };
            let again = match &error {
                HubError::Failed { transient, .. } => *transient,
                // A body that broke off, or an error page: once more, and no more than that.
                HubError::Tampered { .. } => attempt == 1 && !self.offline,
                _ => false,
            };
            if !again || attempt == ATTEMPTS {
                return Err(error);
            }
            tracing::info!("attempt {attempt}: {error}");
            std::thread::sleep(Duration::from_millis(200) * attempt);
            attempt += 1;
        }
    }

    fn check(
        &self,
        repo: &RepoId,
        name: &str,
        path: &Path,
        expected: Option<&FileDigest>,
    ) -> Result<(), HubError> {
        let wrong = |problem: String| HubError::Tampered {
            repo: repo.to_string(),
            file: name.to_owned(),
            problem,
        };
        // The Hub chooses names inside the cache; they must not lead out of it.
        let cache = self.cache_dir.canonicalize()?;
        if !path.canonicalize()?.starts_with(cache) {
            return Err(wrong("would lie outside the cache".to_owned()));
        }
        match expected {
            None => Ok(()),
            Some(digest) => digest.check(&std::fs::read(path)?).map_err(wrong),
        }
    }

    /// hf-hub reports a missing repository or revision as a missing file (or the other way round): asks which.
    fn which_is_missing(&self, repo: &RepoId, error: HubError) -> HubError {
        let looked_for = matches!(error, HubError::NoFile { .. } | HubError::NoRevision { .. });
        if self.offline || !looked_for {
            return error;
        }
        let model = self.model(repo);
        match model.exists().send() {
            Ok(false) => return HubError::NoRepo(repo.id()),
            Err(e) => return explain(repo, READING, &e),
            Ok(true) => {}
        }
        match model.revision_exists().revision(repo.revision()).send() {
            Ok(false) => {
                HubError::NoRevision { repo: repo.id(), revision: repo.revision().to_owned() }
            }
            _ => error,
        }
    }

    /// Where the cache keeps what a branch or tag was, as every client of the Hub does.
    fn ref_file(&self, repo: &RepoId) -> PathBuf {
        let folder = format!("models--{}--{}", repo.owner, repo.name);
        self.cache_dir.join(folder).join("refs").join(repo.revision())
    }
}

/// Removes a file of the cache: the link in its snapshot and what that points to.
fn remove(path: &Path) {
    if let Ok(blob) = path.canonicalize() {
        let _ = std::fs::remove_file(blob);
    }
    let _ = std::fs::remove_file(path);
}

fn is_on(variable: &str) -> bool {
    let value = std::env::var(variable).unwrap_or_default().to_ascii_lowercase();
    ["1", "true", "yes", "on"].contains(&value.as_str())
}
