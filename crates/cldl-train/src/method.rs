//! Training methods and variants, by the names that flags, files and tables use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How an ensemble is trained, with the method's own hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Method {
    /// Every member by cross-entropy, on its own.
    Baseline,
    /// Conditional label dependency learning: Eqs. 6 to 12.
    Cldl {
        /// Weight of the hard label in the SLD: Eq. 6.
        gamma: f64,
        /// Weight of label diversity: Eq. 11.
        alpha: f64,
        /// Weight of gradient diversity: Eq. 11.
        beta: f64,
    },
}

impl Method {
    /// Name of the method without its hyper-parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Cldl { .. } => "cldl",
        }
    }

    /// Whether a label confusion model is trained with the members.
    pub fn has_lcm(self) -> bool {
        matches!(self, Self::Cldl { .. })
    }

    /// Says what is wrong with the hyper-parameters for an ensemble of `members`, if anything is.
    ///
    /// # Errors
    /// A hyper-parameter is negative or not finite, or a diversity term lacks a second member.
    pub fn validate(self, members: usize) -> Result<(), String> {
        let Self::Cldl { gamma, alpha, beta } = self else { return Ok(()) };
        for (name, value) in [("gamma", gamma), ("alpha", alpha), ("beta", beta)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("{name} {value} is not a number of at least 0"));
            }
        }
        if members < 2 && (alpha > 0.0 || beta > 0.0) {
            return Err(format!(
                "method `{self}` compares members: it needs at least 2, got {members}"
            ));
        }
        Ok(())
    }
}

/// The key of a table's column: `baseline`, `cldl-<gamma>-<alpha>-<beta>`.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Baseline => f.write_str("baseline"),
            Self::Cldl { gamma, alpha, beta } => write!(f, "cldl-{gamma}-{alpha}-{beta}"),
        }
    }
}

/// The equations as printed, or the code as published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The paper's equations.
    #[default]
    Paper,
    /// What the authors' published code computes.
    Official,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paper => "paper",
            Self::Official => "official",
        })
    }
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Paper, Self::Official]
            .into_iter()
            .find(|variant| variant.to_string() == name)
            .ok_or_else(|| format!("unknown variant `{name}`: use `paper` or `official`"))
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn keys_are_those_of_the_tables() {
        assert_eq!(Method::Baseline.to_string(), "baseline");
        let method = Method::Cldl { gamma: 4.0, alpha: 0.5, beta: 4.0 };
        assert_eq!(method.to_string(), "cldl-4-0.5-4");
    }

    #[test]
    fn hyper_parameters_are_checked() {
        let cldl = |alpha| Method::Cldl { gamma: 3.0, alpha, beta: 4.0 };
        assert!(cldl(4.0).validate(3).is_ok());
        assert!(cldl(-1.0).validate(3).unwrap_err().contains("alpha -1"));
        assert!(cldl(f64::NAN).validate(3).unwrap_err().contains("alpha NaN"));
        assert!(cldl(4.0).validate(1).unwrap_err().contains("at least 2, got 1"));
        assert!(Method::Cldl { gamma: 3.0, alpha: 0.0, beta: 0.0 }.validate(1).is_ok());
    }
}
