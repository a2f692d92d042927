//! What can go wrong between us and the Hub, each in one line that says what to do.

use hf_hub::HFError;

use crate::RepoId;

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A request that makes no sense.
    #[error("{0}")]
    Argument(String),
    /// A token is missing or was rejected (401).
    #[error(
        "{repo}: the Hub wants a valid token (or there is no such repository): set HF_TOKEN, or log in by `hf auth login`"
    )]
    Unauthorized {
        /// What was asked for.
        repo: String,
    },
    /// The token is valid but may not do this (403).
    #[error("{repo}: your token may not do that: it needs {need}")]
    Forbidden {
        /// What was asked for.
        repo: String,
        /// What the token needs.
        need: &'static str,
    },
    /// There is no such repository, or it is private and the token can't see it.
    #[error(
        "no repository `{0}` on the Hub, or it is private and no token that sees it is set (HF_TOKEN)"
    )]
    NoRepo(String),
    /// There is no such branch, tag or commit.
    #[error("repository `{repo}` has no branch, tag or commit `{revision}`")]
    NoRevision {
        /// The repository.
        repo: String,
        /// What it lacks.
        revision: String,
    },
    /// The revision lacks a file.
    #[error("`{repo}` has no file `{file}`: it is no checkpoint of cldl, or not a whole one")]
    NoFile {
        /// Repository and revision.
        repo: String,
        /// What it lacks.
        file: String,
    },
    /// The branch has moved since its commit was looked up (409).
    #[error(
        "branch `{branch}` of `{repo}` has moved on: somebody else pushed; look at it, then push again"
    )]
    Moved {
        /// The repository.
        repo: String,
        /// The branch.
        branch: String,
    },
    /// Offline, and the cache lacks a file.
    #[error(
        "`{file}` of `{repo}` is not in the cache, and the Hub is not asked (--offline or HF_HUB_OFFLINE): pull it while online"
    )]
    NotCached {
        /// Repository and revision.
        repo: String,
        /// What the cache lacks.
        file: String,
    },
    /// A file is not what its manifest says.
    #[error("`{file}` of `{repo}` {problem}: it was damaged or tampered with, and is not used")]
    Tampered {
        /// Repository and revision.
        repo: String,
        /// The file.
        file: String,
        /// How it differs.
        problem: String,
    },
    /// A manifest that can't be trusted.
    #[error("`config.json` of `{place}` {problem}")]
    Manifest {
        /// The directory or repository.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A model card that the Hub would refuse.
    #[error("`{place}`: {problem}")]
    Card {
        /// The file.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The Hub can't be reached, or fails.
    #[error("{repo}: {reason}")]
    Failed {
        /// What was asked for.
        repo: String,
        /// In the words of the transport.
        reason: String,
        /// Whether another attempt may help.
        transient: bool,
    },
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// An error of hf-hub in our words; `doing` is what a token would need to do it.
pub(crate) fn explain(repo: &RepoId, doing: &'static str, error: &HFError) -> HubError {
    let name = repo.id();
    match error {
        HFError::AuthRequired { .. } => HubError::Unauthorized { repo: name },
        HFError::Forbidden { .. } => HubError::Forbidden { repo: name, need: doing },
        HFError::RepoNotFound { .. } => HubError::NoRepo(name),
        HFError::RevisionNotFound { revision, .. } => {
            HubError::NoRevision { repo: name, revision: revision.clone() }
        }
        HFError::EntryNotFound { path, .. } => {
            HubError::NoFile { repo: repo.to_string(), file: path.clone() }
        }
        HFError::LocalEntryNotFound { path } => {
            HubError::NotCached { repo: repo.to_string(), file: path.clone() }
        }
        other => {
            let (reason, transient) = (chain(other), is_transient(other));
            HubError::Failed { repo: name, reason, transient }
        }
    }
}

/// Whether another attempt may help: a broken connection, a server in trouble.
fn is_transient(error: &HFError) -> bool {
    match error {
        HFError::Http { context } => matches!(context.status.as_u16(), 408 | 500..=599),
        HFError::RateLimited { .. } | HFError::Request { .. } | HFError::Xet { .. } => true,
        // A body that breaks off arrives as one of these.
        HFError::Io(_) => true,
        _ => false,
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.replace('\n', " ")
}
