//! Protocols: how the outcomes on several adversarial sets become one percentage.
//!
//! With S the adversarial sets of one attack and eps (2 surrogates x 2 losses x 3 seeds, say), r_s(i)
//! whether example i of set s is classified right, and r(i) whether the clean example is:
//!
//! - `official`, the published evaluation: 100 · #{i : r(i) and r_s(i) for all s} / #{i : r(i)};
//! - `paper`, its text ("correctly predicted adversarial instances over all"): 100 · mean of r_s(i)
//!   over all s and i.
//!
//! The first falls with every set that is added, and its denominator flatters a model with poor clean
//! accuracy; so tables carry clean accuracy beside it.

use std::fmt;
use std::str::FromStr;

use cldl_attacks::AttackLoss;
use serde::Serialize;

use crate::{EvalError, Outcome};

/// How the sets of an attack are combined for one example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// An example counts if it is right in every set.
    All,
    /// Every set counts for itself: the mean over sets.
    Mean,
}

/// Which examples an accuracy is a share of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denominator {
    /// Those that the target classifies right before the attack.
    CleanRight,
    /// All.
    All,
}

/// A way to measure robustness, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Protocol {
    /// The name in flags and files.
    pub name: &'static str,
    /// The losses of its sets, where nothing else is said.
    pub losses: &'static [AttackLoss],
    /// How sets are combined.
    pub aggregate: Aggregate,
    /// What accuracies are a share of.
    pub denominator: Denominator,
}

impl Protocol {
    /// What the published evaluation computes.
    pub const OFFICIAL: Self = Self {
        name: "official",
        losses: &[AttackLoss::Ce, AttackLoss::CwOfficial],
        aggregate: Aggregate::All,
        denominator: Denominator::CleanRight,
    };

    /// What the paper's text says.
    pub const PAPER: Self = Self {
        name: "paper",
        losses: &[AttackLoss::Ce, AttackLoss::Cw],
        aggregate: Aggregate::Mean,
        denominator: Denominator::All,
    };

    /// The published white-box evaluation: right on every restart, among all images. It has no flag:
    /// it is what white-box accuracy means.
    pub const WHITEBOX: Self = Self {
        name: "whitebox",
        losses: &[AttackLoss::Ce],
        aggregate: Aggregate::All,
        denominator: Denominator::All,
    };

    /// Every protocol of black-box accuracy.
    pub const ALL: [Self; 2] = [Self::OFFICIAL, Self::PAPER];

    /// The accuracy, from the outcomes on clean images and on each adversarial set.
    ///
    /// # Errors
    /// If there is no set, or outcomes differ in length.
    pub fn score(&self, clean: &Outcome, sets: &[Outcome]) -> Result<Score, EvalError> {
        if sets.is_empty() {
            return Err(EvalError::Argument("a protocol needs at least 1 set".to_owned()));
        }
        if sets.iter().any(|set| set.len() != clean.len()) {
            return Err(EvalError::Argument("the sets are of different examples".to_owned()));
        }
        let counted = |i: &usize| self.denominator == Denominator::All || clean.right[*i];
        let counted: Vec<usize> = (0..clean.len()).filter(counted).collect();
        Ok(match self.aggregate {
            Aggregate::All => Score {
                right: counted.iter().filter(|i| sets.iter().all(|set| set.right[**i])).count(),
                total: counted.len(),
            },
            Aggregate::Mean => Score {
                right: sets
                    .iter()
                    .map(|set| counted.iter().filter(|i| set.right[**i]).count())
                    .sum(),
                total: counted.len() * sets.len(),
            },
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name == name)
            .ok_or_else(|| format!("unknown protocol `{name}`: use `official` or `paper`"))
    }
}

/// An accuracy as counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Score {
    /// How many were right.
    pub right: usize,
    /// Of how many.
    pub total: usize,
}

impl Score {
    /// The accuracy of an outcome by itself.
    pub fn of(outcome: &Outcome) -> Self {
        Self { right: outcome.count_right(), total: outcome.len() }
    }

    /// 100 · right / total, in [0, 100]; none if nothing was counted.
    pub fn percent(&self) -> Option<f64> {
        (0 < self.total).then(|| 100.0 * self.right as f64 / self.total as f64)
    }

    /// Wilson's 95 % confidence interval of [`Self::percent`], in [0, 100]. Under the aggregate `mean`
    /// the sets share their examples, so that it is too narrow.
    ///
    /// With p the share, n the total, z = 1.96: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).
    pub fn interval(&self) -> Option<(f64, f64)> {
        let z = 1.959_964;
        let (p, n) = (self.percent()? / 100.0, self.total as f64);
        let center = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 100.0 / (1.0 + z * z / n);
        Some((((center - half) * scale).max(0.0), ((center + half) * scale).min(100.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Protocol, Score};
    use crate::Outcome;

    fn outcome(right: [u8; 4]) -> Outcome {
        Outcome { right: right.map(|bit| bit == 1).to_vec(), margin: vec![0.0; 4] }
    }

    #[test]
    fn protocols_count_the_same_outcomes_differently() {
        let clean = outcome([1, 1, 1, 0]);
        let sets = [outcome([1, 1, 0, 1]), outcome([1, 0, 0, 1])];
        let official = Protocol::OFFICIAL.score(&clean, &sets).unwrap();
        // Example 0 alone is right everywhere; example 3 is not right before the attack.
        assert_eq!(official, Score { right: 1, total: 3 });
        let paper = Protocol::PAPER.score(&clean, &sets).unwrap();
        assert_eq!(paper, Score { right: 5, total: 8 });
        assert_eq!(paper.percent(), Some(62.5));
    }

    #[test]
    fn nothing_counted_is_no_percentage() {
        let never = outcome([0; 4]);
        let score = Protocol::OFFICIAL.score(&never, std::slice::from_ref(&never)).unwrap();
        assert_eq!((score.percent(), score.interval()), (None, None));
        assert!(Protocol::PAPER.score(&never, &[]).is_err());
        assert!(Protocol::PAPER.score(&never, &[Outcome::default()]).is_err());
    }

    #[test]
    fn intervals_are_wilson_s() {
        let (low, high) = Score { right: 80, total: 100 }.interval().unwrap();
        assert!((low - 71.11).abs() < 0.01 && (high - 86.66).abs() < 0.01, "{low} {high}");
        let (low, high) = Score { right: 0, total: 10 }.interval().unwrap();
        assert!(low == 0.0 && (high - 27.75).abs() < 0.01, "{low} {high}");
    }

    #[test]
    fn names_round_trip() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.to_string().parse::<Protocol>().unwrap(), protocol);
        }
        assert!("median".parse::<Protocol>().unwrap_err().contains("`median`"));
    }
}
