//! `experiments/common.toml`: what all tables share, and how large a scale is.

use super::grid::{Experiment, read_toml};
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Common {
    pub(crate) seeds: Seeds,
    pub(crate) training: Training,
    pub(crate) surrogates: Surrogates,
    pub(crate) attack: Attack,
    scales: Scales,
}

/// The first seed of each role.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seeds {
    pub(crate) target: u64,
    pub(crate) surrogate: u64,
    pub(crate) control: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Training {
    pub(crate) batch_size: usize,
    pub(crate) lr: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Surrogates {
    pub(crate) method: String,
    pub(crate) members: Vec<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attack {
    losses: Losses,
    pub(crate) seeds: usize,
    pub(crate) steps: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Losses {
    official: Vec<String>,
    paper: Vec<String>,
}

impl Attack {
    /// The losses of a protocol's sets.
    pub(crate) fn losses(&self, protocol: Protocol) -> &[String] {
        match protocol {
            Protocol::Official => &self.losses.official,
            Protocol::Paper => &self.losses.paper,
        }
    }
}

/// How much of everything: the same code path with fewer images, epochs and examples.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Scale {
    /// Minutes: shows that everything works
    Smoke,
    /// Half an hour for the LeNet-5 tables: shows the order of the methods
    Quick,
    /// What the paper ran
    Paper,
}

/// Which text is followed where the paper and its authors' code differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Variant {
    /// The equations as printed
    Paper,
    /// The published code
    Official,
}

/// How the outcomes of the attacks become one number.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Protocol {
    /// Right on every transferred set, among the clean images it gets right
    Official,
    /// The mean over all transferred sets and all images
    Paper,
}

/// The size of one scale for one table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Size {
    /// Training images; all of them if none is said.
    pub(crate) limit_train: Option<usize>,
    pub(crate) epochs: usize,
    pub(crate) examples: usize,
    /// Images of a step, if not as many as usual.
    pub(crate) batch: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scales {
    smoke: BTreeMap<String, Size>,
    quick: BTreeMap<String, Size>,
    paper: PaperScale,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PaperScale {
    examples: usize,
    /// variant -> data set -> passes
    epochs: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Common {
    /// Reads the file from the folder of experiments.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        read_toml(&folder.join("common.toml"))
    }

    /// How large `experiment` is at a scale.
    pub(crate) fn size(&self, table: &Experiment, scale: Scale, variant: Variant) -> Result<Size> {
        let by_arch = match scale {
            Scale::Smoke => &self.scales.smoke,
            Scale::Quick => &self.scales.quick,
            Scale::Paper => return self.paper_size(table, variant),
        };
        let size = by_arch.get(&table.arch);
        size.cloned().with_context(|| format!("common.toml: no {scale} for `{}`", table.arch))
    }

    fn paper_size(&self, table: &Experiment, variant: Variant) -> Result<Size> {
        let scale = &self.scales.paper;
        let epochs = scale.epochs.get(&variant.to_string()).and_then(|by| by.get(&table.dataset));
        let epochs = *epochs
            .with_context(|| format!("common.toml: no {variant} epochs for `{}`", table.dataset))?;
        Ok(Size { limit_train: None, epochs, examples: scale.examples, batch: None })
    }
}

macro_rules! shown_as_its_flag {
    ($($name:ty),*) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
            }
        }
    )*};
}
shown_as_its_flag!(Scale, Variant, Protocol);

#[cfg(test)]
mod tests {
    use super::{Common, Scale, Size, Variant};
    use crate::reproduce::grid::{Experiment, TABLES};
    use crate::workspace::experiments;

    #[test]
    fn every_table_has_every_scale_in_both_variants() {
        let common = Common::read(&experiments()).unwrap();
        for number in TABLES {
            let table = Experiment::read(&experiments(), number).unwrap();
            for scale in [Scale::Smoke, Scale::Quick, Scale::Paper] {
                for variant in [Variant::Paper, Variant::Official] {
                    let size = common.size(&table, scale, variant).unwrap();
                    assert!(0 < size.epochs && (1..=9000).contains(&size.examples));
                }
            }
        }
    }

    #[test]
    fn the_authors_passes_are_one_more_than_their_epochs() {
        let common = Common::read(&experiments()).unwrap();
        let epochs = |number, variant| {
            let table = Experiment::read(&experiments(), number).unwrap();
            common.size(&table, Scale::Paper, variant).unwrap()
        };
        let full = |epochs| Size { limit_train: None, epochs, examples: 9000, batch: None };
        assert_eq!(epochs(1, Variant::Official), full(201));
        assert_eq!(epochs(4, Variant::Official), full(21));
        assert_eq!(epochs(6, Variant::Official), full(31));
        assert_eq!(epochs(6, Variant::Paper), full(200));
    }
}
