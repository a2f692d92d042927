//! What the person can choose for `cargo xtask reproduce`.

use super::common::{Protocol, Scale, Variant};
use super::grid::Column;
use super::slurm;
use crate::Usage;
use anyhow::Result;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  cargo xtask reproduce --table 4                      smoke: minutes, to see that all works
  cargo xtask reproduce --table 4 --scale quick        half an hour, to see the order of the methods
  cargo xtask reproduce --table 6 --only cldl --dry-run
  cargo xtask reproduce --all --scale paper --variant official --seeds 5
  cargo xtask reproduce --table 1 --scale paper --launcher slurm --partition long

On a cluster, --launcher slurm submits the same plan as job arrays and returns;
`cldl status` shows how far it is, --cancel takes it back. See docs/cluster.md.

A table is written to results/table<N>-<scale>/table.{json,md,csv,tex}; trained
ensembles and the outcomes of attacks are kept in runs/ and reused: stop with
Ctrl-C whenever you like, the same command goes on where it was. The grids, the
scales and the paper's numbers are in xtask/experiments/.";

/// Arguments of `cargo xtask reproduce`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) what: What,
    /// Say what would be done and how long it takes, and stop
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Who runs it: this machine, or a cluster (and then this command submits and returns)
    #[arg(long, value_enum, default_value_t = Launcher::Local)]
    pub(super) launcher: Launcher,
    /// Local launcher: tasks at a time, which share the cores
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) jobs: u16,
    #[command(flatten)]
    pub(super) slurm: slurm::Flags,
    /// Slurm: take the grid's jobs out of the queue; tasks that run save their work
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) cancel: bool,
}

impl Args {
    /// Refuses flags of the other launcher.
    pub(super) fn check(&self) -> Result<()> {
        if self.launcher == Launcher::Local && (self.slurm.any() || self.cancel) {
            return Err(Usage("these flags are for `--launcher slurm`".to_owned()).into());
        }
        if self.launcher == Launcher::Slurm && self.jobs != 1 {
            let message = "--jobs is for `--launcher local`; Slurm has --max-parallel";
            return Err(Usage(message.to_owned()).into());
        }
        Ok(())
    }
}

/// Which tables, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct What {
    /// The paper's table, 1 to 7
    #[arg(long, required_unless_present = "all", conflicts_with = "all",
          value_parser = clap::value_parser!(u8).range(1..=7))]
    pub(crate) table: Option<u8>,
    /// All seven tables; what they share is trained once
    #[arg(long)]
    pub(super) all: bool,
    /// Fewer images, epochs and examples, or what the paper ran
    #[arg(long, value_enum, default_value_t = Scale::Smoke)]
    scale: Scale,
    /// Whom to follow where the paper and its authors' code differ
    #[arg(long, value_enum, default_value_t = Variant::Paper)]
    variant: Variant,
    /// What counts as right
    #[arg(long, value_enum, default_value_t = Protocol::Official)]
    protocol: Protocol,
    /// Train every column with so many seeds and print the mean
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    seeds: u16,
    /// Only these methods or columns, as in `cldl`, `adp,gal`, `cldl-3-4-4`
    #[arg(long, value_name = "METHOD", value_delimiter = ',')]
    only: Vec<String>,
    /// Add control columns: a baseline with smoothed labels, CLDL without one of its terms, and on
    /// CIFAR-10 what leaky ReLU and noise do alone
    #[arg(long)]
    controls: bool,
    /// Let surrogates start from the target's initial weights, as in the authors' code
    #[arg(long)]
    shared_init: bool,
    /// Where `mnist/`, `fashion-mnist/` and `cifar-10/` are
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Use this binary instead of building one, say one with the feature `cuda`
    #[arg(long, value_name = "PATH")]
    pub(super) cldl: Option<PathBuf>,
    /// Make `runs/` and `results/` in this folder instead of the workspace
    #[arg(long, value_name = "DIR", hide = true)]
    pub(super) root: Option<PathBuf>,
}

/// Who runs the tasks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Launcher {
    /// This machine, now
    Local,
    /// Slurm's arrays and dependencies
    Slurm,
}

/// What the person chose.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) scale: Scale,
    pub(super) variant: Variant,
    pub(super) protocol: Protocol,
    pub(super) seeds: usize,
    pub(super) only: Vec<String>,
    pub(super) controls: bool,
    pub(super) shared_init: bool,
    data_dir: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn new(what: &What) -> Result<Self> {
        let data_dir = what.data_dir.as_deref().map(data_dir).transpose()?;
        Ok(Self {
            scale: what.scale,
            variant: what.variant,
            protocol: what.protocol,
            seeds: usize::from(what.seeds),
            only: what.only.clone(),
            controls: what.controls,
            shared_init: what.shared_init,
            data_dir,
        })
    }

    /// Whether `--only` lets this column be trained and attacked.
    pub(super) fn selects(&self, column: &Column) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| column.is_called(name))
    }

    pub(super) fn data_args(&self) -> Vec<String> {
        let args = |folder: &PathBuf| vec!["--data-dir".to_owned(), folder.display().to_string()];
        self.data_dir.as_ref().map(args).unwrap_or_default()
    }

    /// The command that makes one table with these settings.
    pub(crate) fn command(&self, table: u8) -> String {
        let mut words =
            vec![format!("cargo xtask reproduce --table {table} --scale {}", self.scale)];
        if self.variant != Variant::Paper {
            words.push(format!("--variant {}", self.variant));
        }
        if self.protocol != Protocol::Official {
            words.push(format!("--protocol {}", self.protocol));
        }
        if self.seeds != 1 {
            words.push(format!("--seeds {}", self.seeds));
        }
        if !self.only.is_empty() {
            words.push(format!("--only {}", self.only.join(",")));
        }
        if self.controls {
            words.push("--controls".to_owned());
        }
        if self.shared_init {
            words.push("--shared-init".to_owned());
        }
        words.join(" ")
    }
}

fn data_dir(folder: &Path) -> Result<PathBuf> {
    if !folder.is_dir() {
        return Err(Usage(format!("--data-dir: no folder `{}`", folder.display())).into());
    }
    Ok(std::path::absolute(folder)?)
}

#[cfg(test)]
mod tests {
    use super::{Protocol, Scale, Settings, Variant};

    #[test]
    fn the_command_names_what_is_not_the_default() {
        let mut settings = Settings {
            scale: Scale::Quick,
            variant: Variant::Paper,
            protocol: Protocol::Official,
            seeds: 1,
            only: Vec::new(),
            controls: false,
            shared_init: false,
            data_dir: None,
        };
        assert_eq!(settings.command(4), "cargo xtask reproduce --table 4 --scale quick");
        settings.variant = Variant::Official;
        settings.seeds = 3;
        settings.only = vec!["adp".to_owned(), "cldl".to_owned()];
        settings.controls = true;
        settings.shared_init = true;
        assert_eq!(
            settings.command(4),
            "cargo xtask reproduce --table 4 --scale quick --variant official --seeds 3 \
             --only adp,cldl --controls --shared-init"
        );
    }
}
