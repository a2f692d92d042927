//! What a check of files came to.

/// What a check of files came to, each with a remark.
///
/// Files that are shared without what they were computed from are not wrong for it; but whoever reads the
/// verdict must see that nobody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is what it says.
    Ok(String),
    /// What it takes to check it is not here.
    NotChecked(String),
    /// It contradicts something that is here.
    Wrong(String),
}

impl Verdict {
    /// Its name in tables and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ok(_) => "ok",
            Self::NotChecked(_) => "not checked",
            Self::Wrong(_) => "WRONG",
        }
    }

    /// What was found.
    pub fn remark(&self) -> &str {
        match self {
            Self::Ok(remark) | Self::NotChecked(remark) | Self::Wrong(remark) => remark,
        }
    }

    /// Whether it contradicts something.
    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong(_))
    }
}

impl From<Result<String, String>> for Verdict {
    fn from(result: Result<String, String>) -> Self {
        match result {
            Ok(remark) => Self::Ok(remark),
            Err(problem) => Self::Wrong(problem),
        }
    }
}

/// What was looked at, and what it came to.
pub type Finding = (String, Verdict);
