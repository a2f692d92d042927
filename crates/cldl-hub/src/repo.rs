//! Names of repositories: `OWNER/NAME`, with a revision `OWNER/NAME@REVISION`.

use std::fmt;
use std::str::FromStr;

use crate::HubError;

/// A repository, and optionally a revision of it: a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoId {
    /// User or organization.
    pub owner: String,
    /// The repository's name there.
    pub name: String,
    /// Branch, tag or commit; the branch `main` if there is none.
    pub revision: Option<String>,
}

impl RepoId {
    /// The revision that is meant.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// `OWNER/NAME`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The same repository at another revision.
    #[must_use]
    pub fn at(&self, revision: &str) -> Self {
        Self { revision: Some(revision.to_owned()), ..self.clone() }
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        match &self.revision {
            None => Ok(()),
            Some(revision) => write!(f, "@{revision}"),
        }
    }
}

impl FromStr for RepoId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let (id, revision) = match text.split_once('@') {
            None => (text, None),
            Some((id, revision)) => (id, Some(revision)),
        };
        let wrong = |what: &str| {
            Err(HubError::Argument(format!(
                "`{text}` is no repository: {what}, as in `me/model@v1`"
            )))
        };
        let Some((owner, name)) = id.split_once('/') else {
            return wrong("expected OWNER/NAME");
        };
        if ![owner, name].into_iter().all(is_name) {
            return wrong("OWNER and NAME are letters, digits, `-`, `_` and `.`");
        }
        if revision.is_some_and(|revision| !is_revision(revision)) {
            return wrong("a REVISION is a branch, a tag or a commit");
        }
        let [owner, name] = [owner, name].map(str::to_owned);
        Ok(Self { owner, name, revision: revision.map(str::to_owned) })
    }
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let edge = |c: char| "-.".contains(c);
    (1..=96).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with(edge)
        && !text.ends_with(edge)
        && !text.contains("..")
        && !text.contains("--")
}

/// Whether `text` may name a revision: it becomes a part of paths in the cache.
pub(crate) fn is_revision(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    text.len() <= 200
        && text.chars().all(allowed)
        && !text.contains("..")
        && text.split('/').all(part)
}

/// Whether `text` is a commit: 40 hexadecimal digits.
pub(crate) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::RepoId;

    #[test]
    fn names_with_and_without_revision() {
        for text in ["me/model", "me/model@v1.0", "me/cldl_3-4.4@refs/pr/1"] {
            assert_eq!(text.parse::<RepoId>().unwrap().to_string(), text);
        }
        assert_eq!("me/model".parse::<RepoId>().unwrap().revision(), "main");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "model",
            "/model",
            "me/",
            "me/../model",
            "me/..",
            "a/b/c",
            "me/model@",
            "me/model@../x",
            "me/model@a b",
            "me/mo del",
            "-me/model",
            "me/model@/x",
            "me/model@a//b",
        ] {
            let error = text.parse::<RepoId>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
