//! Where a model is: a path, or a repository of the Hub.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// A model's place, found.
pub(crate) struct Source {
    /// What reports call it: the path, or `OWNER/NAME@COMMIT`.
    pub(crate) name: String,
    /// Where its files are.
    pub(crate) path: PathBuf,
    /// What is kept of a repository that it came from, as JSON.
    pub(crate) origin: Option<String>,
}

/// Finds `place`: a path if there is one of that name, else a repository `OWNER/NAME[@REVISION]`, whose files are
/// pulled into the Hub's cache and checked.
pub(crate) fn find(place: &Path) -> Result<Source> {
    let text = place.to_string_lossy();
    if place.exists() || !is_repo_id(&text) {
        return Ok(Source { name: text.into_owned(), path: place.to_owned(), origin: None });
    }
    pulled(&text)
}

#[cfg(feature = "hub")]
fn pulled(repo: &str) -> Result<Source> {
    let pulled = crate::hub::pull_to_cache(&repo.parse()?)?;
    let origin = serde_json::to_string_pretty(&pulled)? + "\n";
    let name = format!("{}@{}", pulled.repo_id, pulled.commit);
    Ok(Source { name, path: pulled.folder, origin: Some(origin) })
}

#[cfg(not(feature = "hub"))]
fn pulled(repo: &str) -> Result<Source> {
    let message = format!(
        "there is no path `{repo}`; if it is a repository on the Hub: this `cldl` was built without the feature `hub`"
    );
    Err(crate::failure::Usage(message).into())
}

/// Whether `text` is `OWNER/NAME`, and not a misspelled path: one below a folder that exists.
fn is_repo_id(text: &str) -> bool {
    let Some((owner, rest)) = text.split_once('/') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = rest.split('@').next().unwrap_or_default();
    let names = [owner, name]
        .into_iter()
        .all(|part| !part.is_empty() && part.chars().all(plain) && !part.chars().all(|c| c == '.'));
    names && (rest.contains('@') || !Path::new(owner).is_dir())
}

#[cfg(test)]
mod tests {
    use super::is_repo_id;

    #[test]
    fn repositories_and_paths_are_told_apart() {
        for repo in ["me/model", "me/model@v1", "me/model@refs/pr/1", "src/model@main"] {
            assert!(is_repo_id(repo), "{repo}");
        }
        // Tests run in the crate's folder, which has a `src`.
        for path in ["model", "./model", "../model", "/me/model", "a/b/c", "src/typo", "me/", ""] {
            assert!(!is_repo_id(path), "{path}");
        }
    }
}
