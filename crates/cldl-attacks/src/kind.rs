//! The four attacks by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Linf;

/// One of the four attacks, in the order of the paper's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttackKind {
    /// Basic iterative method.
    Bim,
    /// Fast gradient sign method.
    Fgsm,
    /// Momentum iterative method.
    Mim,
    /// Projected gradient descent from a random start.
    Pgd,
}

impl AttackKind {
    /// Every attack, in the order of the paper's tables.
    pub const ALL: [Self; 4] = [Self::Bim, Self::Fgsm, Self::Mim, Self::Pgd];

    /// The attack with radius `eps`; FGSM has one step whatever `steps` says.
    pub fn attack(self, eps: f64, steps: usize) -> Linf {
        match self {
            Self::Bim => Linf::bim(eps, steps),
            Self::Fgsm => Linf::fgsm(eps),
            Self::Mim => Linf::mim(eps, steps),
            Self::Pgd => Linf::pgd(eps, steps),
        }
    }

    /// The name in flags, files and JSON, as in `fgsm`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bim => "bim",
            Self::Fgsm => "fgsm",
            Self::Mim => "mim",
            Self::Pgd => "pgd",
        }
    }

    /// Whether two runs with different seeds differ.
    pub fn is_random(self) -> bool {
        self == Self::Pgd
    }
}

impl fmt::Display for AttackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for AttackKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| format!("unknown attack `{name}`: use `fgsm`, `bim`, `mim` or `pgd`"))
    }
}

#[cfg(test)]
mod tests {
    use super::AttackKind;

    #[test]
    fn names_are_the_same_in_text_and_in_json() {
        for kind in AttackKind::ALL {
            assert_eq!(kind.to_string().parse::<AttackKind>().unwrap(), kind);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert!("cw".parse::<AttackKind>().unwrap_err().contains("unknown attack `cw`"));
    }
}
