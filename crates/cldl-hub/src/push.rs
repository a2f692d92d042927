//! Push: a checkpoint to the Hub, as one commit on top of the one that was looked at.

use std::path::{Path, PathBuf};

use cldl_core::FileDigest;
use hf_hub::HFError;
use hf_hub::repository::{CommitOperation, RepoTypeModel};
use serde::Serialize;

use crate::card::check_card;
use crate::error::explain;
use crate::manifest::CONFIG;
use crate::progress::handler;
use crate::repo::{is_commit, is_revision};
use crate::{Hub, HubError, Manifest, RepoId};

/// What a token needs in order to write.
const WRITING: &str = "the right to write to this repository";

/// How to push.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// Make the repository public, if it is made now; it is private otherwise.
    pub public: bool,
    /// The branch; `main` if there is none. It is made if it does not exist.
    pub branch: Option<String>,
    /// A tag for the new commit.
    pub tag: Option<String>,
    /// What the commit is said to do.
    pub message: Option<String>,
    /// The commit that the branch must be at; the one that it is at now if there is none.
    pub parent: Option<String>,
}

/// A checkpoint that was checked, ready to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The directory.
    pub folder: PathBuf,
    /// Its files, in the order of their names.
    pub files: Vec<(String, FileDigest)>,
}

/// A checkpoint that is on the Hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// `OWNER/NAME`.
    pub repo_id: String,
    /// The branch.
    pub branch: String,
    /// The new commit.
    pub commit: String,
    /// The commit before it, if the repository had one.
    pub parent: Option<String>,
    /// The commit's tag.
    pub tag: Option<String>,
    /// Where people see it.
    pub url: String,
    /// Whether the repository was made for this.
    pub created: bool,
}

impl Plan {
    /// Checks the checkpoint in `folder`: every file is what its manifest says, and the Hub would accept the model card.
    /// Files that the manifest does not list are not a part of it.
    ///
    /// # Errors
    /// If a file is missing or differs, or the card is invalid.
    pub fn new(folder: &Path) -> Result<Self, HubError> {
        let place = folder.display().to_string();
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|e| {
                let problem = format!("can't read `{}`: {e}", path.display());
                HubError::Io(std::io::Error::new(e.kind(), problem))
            })
        };
        let config = read(CONFIG)?;
        let manifest = Manifest::parse(&place, &config)?;
        let mut files = vec![(CONFIG.to_owned(), FileDigest::of(&config))];
        for (name, digest) in manifest.files {
            let bytes = read(&name)?;
            digest.check(&bytes).map_err(|problem| HubError::Tampered {
                repo: place.clone(),
                file: name.clone(),
                problem,
            })?;
            if name == "README.md" {
                let place = folder.join(&name).display().to_string();
                let text = String::from_utf8_lossy(&bytes);
                check_card(&text).map_err(|problem| HubError::Card { place, problem })?;
            }
            files.push((name, digest));
        }
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self { folder: folder.to_owned(), files })
    }

    /// Size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, digest)| digest.bytes).sum()
    }

    fn operations(&self) -> Vec<CommitOperation> {
        let add = |name: &String| CommitOperation::add_file(name.as_str(), self.folder.join(name));
        self.files.iter().map(|(name, _)| add(name)).collect()
    }
}

impl Hub {
    /// Pushes the files of `plan` to `repo` as one commit. The repository is made if it does not exist.
    ///
    /// # Errors
    /// If the token does not allow it, the tag exists already, or the branch moves while we push.
    pub fn push(&self, repo: &RepoId, plan: &Plan, push: &Push) -> Result<Pushed, HubError> {
        if self.offline {
            let message = "a push needs the Hub: drop --offline and HF_HUB_OFFLINE";
            return Err(HubError::Argument(message.to_owned()));
        }
        let branch = push.branch.as_deref().unwrap_or("main");
        for name in [Some(branch), push.tag.as_deref()].into_iter().flatten() {
            if !is_revision(name) || is_commit(name) {
                let message = format!("`{name}` can't be the name of a branch or a tag");
                return Err(HubError::Argument(message));
            }
        }
        let failed = |e: &HFError| explain(repo, WRITING, e);
        let model = self.model(repo);
        let created = !model.exists().send().map_err(|e| failed(&e))?;
        if created {
            let id = repo.id();
            let create = self.client.create_repository().repo_id(&id).repo_type(RepoTypeModel);
            create.private(!push.public).exist_ok(true).send().map_err(|e| failed(&e))?;
        }
        if let Some(tag) = &push.tag
            && model.revision_exists().revision(tag).send().map_err(|e| failed(&e))?
        {
            let message =
                format!("`{}` has a revision `{tag}` already: choose another tag", repo.id());
            return Err(HubError::Argument(message));
        }
        if branch != "main"
            && !model.revision_exists().revision(branch).send().map_err(|e| failed(&e))?
        {
            model.create_branch().branch(branch).send().map_err(|e| failed(&e))?;
        }
        let head = model.info().revision(branch).send().map_err(|e| failed(&e))?.sha;
        let parent = push.parent.clone().or(head);
        let message = push.message.clone().unwrap_or_else(|| "Push a cldl checkpoint".to_owned());
        let sent = model
            .create_commit()
            .operations(plan.operations())
            .commit_message(message)
            .revision(branch)
            .maybe_parent_commit(parent.clone())
            .progress(handler(&self.watch, &repo.id()))
            .send();
        let info = sent.map_err(|e| match e {
            HFError::Conflict { .. } => {
                HubError::Moved { repo: repo.id(), branch: branch.to_owned() }
            }
            e => failed(&e),
        })?;
        let commit = match info.commit_oid.filter(|commit| is_commit(commit)) {
            Some(commit) => commit,
            None => self.resolve(&repo.at(branch))?,
        };
        if let Some(tag) = &push.tag {
            model.create_tag().tag(tag).revision(&commit).send().map_err(|e| HubError::Failed {
                repo: repo.id(),
                reason: format!("pushed as commit {commit}, but could not be tagged: {e}"),
                transient: false,
            })?;
        }
        Ok(Pushed {
            repo_id: repo.id(),
            branch: branch.to_owned(),
            url: format!("{}/{}/commit/{commit}", self.endpoint, repo.id()),
            commit,
            parent,
            tag: push.tag.clone(),
            created,
        })
    }
}
