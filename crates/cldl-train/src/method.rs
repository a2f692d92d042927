//! Training methods and variants, by the names that flags, files and tables use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Adversarial, Distillation, InnerMaximization};

/// How an ensemble is trained, with the method's own hyper-parameters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
pub enum Method {
    /// Every member by cross-entropy, on its own.
    Baseline {
        /// Label smoothing: the share of the label that is spread evenly over all classes.
        #[serde(default, skip_serializing_if = "is_zero")]
        smoothing: f64,
    },
    /// Adaptive diversity promoting (Pang et al. 2019).
    Adp {
        /// Weight of the entropy of the mean prediction.
        alpha: f64,
        /// Weight of the ensemble's diversity.
        beta: f64,
    },
    /// Gradient alignment loss (Kariyappa and Qureshi 2019).
    Gal {
        /// Weight of the coherence of the input gradients.
        alpha: f64,
    },
    /// Diversifying vulnerabilities (Yang et al. 2020).
    Dverge {
        /// The layer whose features are distilled; a random one in each epoch if none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layer: Option<usize>,
        /// How images are distilled.
        distillation: Distillation,
    },
    /// Transferability-reduced smooth ensembles (Yang et al. 2021).
    Trs {
        /// Weight of the similarity of the input gradients.
        alpha: f64,
        /// Weight of the smoothness of the losses.
        beta: f64,
        /// Where smoothness is taken besides the images themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inner: Option<InnerMaximization>,
    },
    /// Conditional label dependency learning: Eqs. 6 to 12.
    Cldl {
        /// Weight of the hard label in the SLD: Eq. 6.
        gamma: f64,
        /// Weight of label diversity: Eq. 11.
        alpha: f64,
        /// Weight of gradient diversity: Eq. 11.
        beta: f64,
    },
    /// Every member by cross-entropy on PGD examples of its own (Madry et al. 2018).
    Adversarial(Adversarial),
}

impl Method {
    /// The names of all methods.
    pub const NAMES: [&str; 7] = ["baseline", "adp", "gal", "dverge", "trs", "cldl", "adversarial"];

    /// Name of the method without its hyper-parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline { .. } => "baseline",
            Self::Adp { .. } => "adp",
            Self::Gal { .. } => "gal",
            Self::Dverge { .. } => "dverge",
            Self::Trs { .. } => "trs",
            Self::Cldl { .. } => "cldl",
            Self::Adversarial(_) => "adversarial",
        }
    }

    /// Whether a label confusion model is trained with the members.
    pub fn has_lcm(self) -> bool {
        matches!(self, Self::Cldl { .. })
    }

    /// The weight of the hard label in the SLD (Eq. 6), for CLDL.
    pub fn gamma(self) -> Option<f64> {
        match self {
            Self::Cldl { gamma, .. } => Some(gamma),
            _ => None,
        }
    }

    /// Whether the method's loss is the mean over members of their own, and not the sum.
    pub fn averages_members(self, variant: Variant) -> bool {
        match self {
            Self::Gal { .. } | Self::Cldl { .. } => true,
            Self::Trs { .. } => variant == Variant::Official,
            _ => false,
        }
    }

    /// Says what is wrong with the hyper-parameters for an ensemble of `members` whose architecture
    /// has `n_layers` layers, if anything is.
    ///
    /// # Errors
    /// A hyper-parameter is outside its range, or a method that compares members lacks a second one.
    pub fn validate(self, members: usize, n_layers: usize) -> Result<(), String> {
        let mut compares = true;
        match self {
            Self::Baseline { smoothing } => {
                compares = false;
                fraction("label smoothing", smoothing)?;
            }
            Self::Adp { alpha, beta } => {
                compares = false;
                weights(&[("alpha", alpha), ("beta", beta)])?;
            }
            Self::Gal { alpha } => weights(&[("alpha", alpha)])?,
            Self::Dverge { layer, distillation: Distillation { eps, step_size, steps } } => {
                if layer.is_some_and(|layer| !(1..=n_layers).contains(&layer)) {
                    return Err(format!(
                        "layer {} is not one of 1 to {n_layers}",
                        layer.unwrap_or(0)
                    ));
                }
                fraction("distillation eps", eps)?;
                fraction("distillation step size", step_size)?;
                at_least_one("distillation steps", steps)?;
            }
            Self::Trs { alpha, beta, inner } => {
                weights(&[("alpha", alpha), ("beta", beta)])?;
                if let Some(InnerMaximization { eps_first, eps_last, steps }) = inner {
                    fraction("first eps", eps_first)?;
                    fraction("last eps", eps_last)?;
                    at_least_one("inner steps", steps)?;
                }
            }
            Self::Cldl { gamma, alpha, beta } => {
                weights(&[("gamma", gamma), ("alpha", alpha), ("beta", beta)])?;
                compares = alpha > 0.0 || beta > 0.0;
            }
            Self::Adversarial(adversarial) => {
                compares = false;
                adversarial.validate()?;
            }
        }
        if compares && members < 2 {
            return Err(format!(
                "method `{self}` compares members: it needs at least 2, got {members}"
            ));
        }
        Ok(())
    }
}

impl Adversarial {
    /// Says what is wrong with the attack, if anything is.
    ///
    /// # Errors
    /// The radius is outside [0, 1], or there is no step.
    pub fn validate(self) -> Result<(), String> {
        fraction("adversarial eps", self.eps)?;
        at_least_one("adversarial steps", self.steps)
    }
}

fn weights(named: &[(&str, f64)]) -> Result<(), String> {
    match named.iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
        None => Ok(()),
        Some((name, value)) => Err(format!("{name} {value} is not a number of at least 0")),
    }
}

fn fraction(name: &str, value: f64) -> Result<(), String> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} {value} is outside [0, 1]"))
    }
}

fn at_least_one(name: &str, value: usize) -> Result<(), String> {
    if value > 0 { Ok(()) } else { Err(format!("{name}: 0, expected at least 1")) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// The key of a table's column: `baseline`, `adp`, .., `cldl-<gamma>-<alpha>-<beta>`.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cldl { gamma, alpha, beta } => write!(f, "cldl-{gamma}-{alpha}-{beta}"),
            _ => f.write_str(self.name()),
        }
    }
}

/// The equations as printed, or the code as published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The papers' equations.
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
    use super::{Distillation, Method};

    #[test]
    fn keys_are_those_of_the_tables() {
        assert_eq!(Method::Baseline { smoothing: 0.0 }.to_string(), "baseline");
        assert_eq!(Method::Adp { alpha: 2.0, beta: 0.5 }.to_string(), "adp");
        let method = Method::Cldl { gamma: 4.0, alpha: 0.5, beta: 4.0 };
        assert_eq!(method.to_string(), "cldl-4-0.5-4");
    }

    #[test]
    fn hyper_parameters_are_checked() {
        let cldl = |alpha| Method::Cldl { gamma: 3.0, alpha, beta: 4.0 };
        assert!(cldl(4.0).validate(3, 5).is_ok());
        assert!(cldl(-1.0).validate(3, 5).unwrap_err().contains("alpha -1"));
        assert!(cldl(f64::NAN).validate(3, 5).unwrap_err().contains("alpha NaN"));
        assert!(Method::Baseline { smoothing: 1.5 }.validate(3, 5).unwrap_err().contains("1.5"));
        let distillation = Distillation { eps: 0.07, step_size: 0.007, steps: 10 };
        let dverge = |layer| Method::Dverge { layer, distillation };
        assert!(dverge(Some(5)).validate(2, 5).is_ok());
        assert!(dverge(Some(6)).validate(2, 5).unwrap_err().contains("layer 6"));
    }

    #[test]
    fn methods_that_compare_members_need_two() {
        let single = |method: Method| method.validate(1, 5);
        let message = single(Method::Gal { alpha: 0.5 }).unwrap_err();
        assert!(message.contains("`gal`") && message.contains("at least 2, got 1"), "{message}");
        assert!(single(Method::Cldl { gamma: 3.0, alpha: 4.0, beta: 0.0 }).is_err());
        assert!(single(Method::Cldl { gamma: 3.0, alpha: 0.0, beta: 0.0 }).is_ok());
        assert!(single(Method::Adp { alpha: 2.0, beta: 0.5 }).is_ok());
    }
}
