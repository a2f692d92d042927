//! Where in a training a checkpoint stands, and how often one is written.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A point between two steps of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Epochs that are done.
    pub epochs: usize,
    /// Steps done of the epoch after them.
    pub step: usize,
}

impl Position {
    /// The name of a checkpoint's directory: `epoch-0003`, or `epoch-0003-step-000120` inside the
    /// fourth epoch.
    pub(crate) fn folder(self) -> String {
        let Self { epochs, step } = self;
        match step {
            0 => format!("epoch-{epochs:04}"),
            step => format!("epoch-{epochs:04}-step-{step:06}"),
        }
    }

    /// The position that a directory's name says.
    pub(crate) fn of_folder(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("epoch-")?;
        let (epochs, step) = rest.split_once("-step-").unwrap_or((rest, "0"));
        Some(Self { epochs: epochs.parse().ok()?, step: step.parse().ok()? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            0 => write!(f, "after epoch {}", self.epochs),
            step => write!(f, "in epoch {}, after step {step}", self.epochs + 1),
        }
    }
}

/// How often a training is saved inside an epoch; it always is after one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// After so many steps.
    Steps(usize),
    /// After the first step that ends so long after the last checkpoint.
    Time(Duration),
}

impl Default for Interval {
    /// Five minutes: little to lose, and far more than a checkpoint takes.
    fn default() -> Self {
        Self::Time(Duration::from_mins(5))
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let seconds = match unit.trim() {
            "step" | "steps" => None,
            "s" => Some(1),
            "m" | "min" => Some(60),
            "h" => Some(3600),
            _ => {
                return Err(format!(
                    "`{text}` is no interval: say `30s`, `5m`, `1h` or `100steps`"
                ));
            }
        };
        match (number.parse::<u32>(), seconds) {
            (Ok(1..), None) => Ok(Self::Steps(number.parse().unwrap_or(1))),
            (Ok(count @ 1..), Some(seconds)) => {
                Ok(Self::Time(Duration::from_secs(u64::from(count) * seconds)))
            }
            _ => Err(format!("`{text}` is no interval: expected a whole number of at least 1")),
        }
    }
}

/// Sums of an epoch's terms over its images so far, in the order in which an objective names them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Means {
    sums: Vec<(Cow<'static, str>, f64)>,
    images: usize,
}

impl Means {
    pub(crate) fn add(&mut self, terms: &[(&'static str, f64)], images: usize) {
        self.images += images;
        for &(name, value) in terms {
            let weighted = value * images as f64;
            match self.sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += weighted,
                None => self.sums.push((name.into(), weighted)),
            }
        }
    }

    pub(crate) fn finish(self) -> impl Iterator<Item = (String, Value)> {
        let images = self.images.max(1) as f64;
        self.sums.into_iter().map(move |(name, sum)| (name.into_owned(), json!(sum / images)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Duration, Interval, Means, Position};

    proptest! {
        #[test]
        fn a_folder_s_name_is_its_position(epochs in 0usize..100_000, step in 0usize..10_000_000) {
            let position = Position { epochs, step };
            prop_assert_eq!(Position::of_folder(&position.folder()), Some(position));
        }

        #[test]
        fn sums_survive_a_checkpoint_to_the_bit(values in prop::collection::vec(-1e300f64..1e300, 1..9)) {
            let mut means = Means::default();
            for value in values {
                means.add(&[("loss", value), ("ce", value / 3.0)], 1);
            }
            let json = serde_json::to_string(&means).unwrap();
            prop_assert_eq!(serde_json::from_str::<Means>(&json).unwrap(), means);
        }

        #[test]
        fn any_text_is_an_interval_or_an_error(text: String) {
            let _ = text.parse::<Interval>();
        }
    }

    #[test]
    fn positions_are_ordered_as_training_goes() {
        let at = |epochs, step| Position { epochs, step };
        assert!(at(0, 7) < at(1, 0) && at(1, 0) < at(1, 1) && at(1, 999) < at(2, 0));
        assert_eq!(at(3, 0).folder(), "epoch-0003");
        assert_eq!(at(3, 120).folder(), "epoch-0003-step-000120");
        for name in [".epoch-0001.tmp", "epoch-", "epoch-1-step-", "model"] {
            assert_eq!(Position::of_folder(name), None, "{name}");
        }
    }

    #[test]
    fn intervals_are_of_time_or_of_steps() {
        assert_eq!("30s".parse(), Ok(Interval::Time(Duration::from_secs(30))));
        assert_eq!("5m".parse(), Ok(Interval::default()));
        assert_eq!("100steps".parse(), Ok(Interval::Steps(100)));
        for text in ["", "0s", "0steps", "5", "-1s", "1.5m", "99999999999999999999s"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }
}
