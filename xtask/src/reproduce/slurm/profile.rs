//! What the cluster wants to be told: flags, and a file for what is always the same.

use crate::Usage;
use crate::reproduce::grid::read_toml;
use anyhow::Result;
use serde::Deserialize;
use std::path::PathBuf;

/// Flags for Slurm.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Slurm (--launcher slurm)")]
pub(crate) struct Flags {
    /// Read these settings from a TOML file; flags win. Its `sbatch = ["--constraint=avx512"]` adds
    /// options for which there is no flag
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Partition [default: the cluster's]
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account to charge
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Time limit of a task, as sbatch takes it; a task that runs into it is requeued and goes on
    /// [default: from our own estimate]
    #[arg(long, value_name = "LIMIT")]
    time: Option<String>,
    /// Devices of a task, as in `gpu:1`; needs a `--cldl` that was built for them
    #[arg(long, value_name = "LIST")]
    gres: Option<String>,
    /// Cores of a task [default: 4, or this machine's if it has fewer]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    cpus: Option<u16>,
    /// Run at most so many tasks of an array at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_parallel: Option<u32>,
}

/// The settings that hold.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Profile {
    pub(crate) partition: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) time: Option<String>,
    pub(crate) gres: Option<String>,
    pub(crate) cpus: Option<u16>,
    pub(crate) max_parallel: Option<u32>,
    /// More options of `sbatch`, one each.
    pub(crate) sbatch: Vec<String>,
}

impl Flags {
    /// The profile's settings, and the flags over them.
    pub(crate) fn profile(&self) -> Result<Profile> {
        let file: Profile = match &self.profile {
            Some(path) => read_toml(path).map_err(|error| Usage(format!("{error:#}")))?,
            None => Profile::default(),
        };
        let profile = Profile {
            partition: self.partition.clone().or(file.partition),
            account: self.account.clone().or(file.account),
            time: self.time.clone().or(file.time),
            gres: self.gres.clone().or(file.gres),
            cpus: self.cpus.or(file.cpus),
            max_parallel: self.max_parallel.or(file.max_parallel),
            sbatch: file.sbatch,
        };
        let named = [&profile.partition, &profile.account, &profile.time, &profile.gres];
        let words = named.into_iter().flatten().chain(&profile.sbatch);
        if let Some(bad) = words.into_iter().find(|word| word.contains(char::is_whitespace)) {
            return Err(Usage(format!("`{bad}`: an option of sbatch has no space in it")).into());
        }
        if let Some(bad) = profile.sbatch.iter().find(|option| !option.starts_with('-')) {
            let message = format!("profile: `{bad}` is no option of sbatch; it begins with `-`");
            return Err(Usage(message).into());
        }
        Ok(profile)
    }

    /// Whether any of them is given.
    pub(crate) fn any(&self) -> bool {
        let words = [&self.partition, &self.account, &self.time, &self.gres];
        words.iter().any(|word| word.is_some())
            || self.profile.is_some()
            || self.cpus.is_some()
            || self.max_parallel.is_some()
    }

    /// As they stand on a command line.
    pub(crate) fn words(&self) -> String {
        let profile = self.profile.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("profile", profile),
            ("partition", self.partition.clone()),
            ("account", self.account.clone()),
            ("time", self.time.clone()),
            ("gres", self.gres.clone()),
            ("cpus", self.cpus.map(|count| count.to_string())),
            ("max-parallel", self.max_parallel.map(|count| count.to_string())),
        ];
        let word = |(flag, value): (&str, Option<String>)| Some(format!(" --{flag} {}", value?));
        flags.into_iter().filter_map(word).collect()
    }
}

impl Profile {
    /// Cores of a task.
    pub(crate) fn cores(&self) -> usize {
        let here = || std::thread::available_parallelism().map_or(1, usize::from).min(4);
        self.cpus.map_or_else(here, usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::{Flags, Profile};

    fn flags(text: &str) -> (tempfile::TempDir, Flags) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cluster.toml");
        std::fs::write(&file, text).unwrap();
        (folder, Flags { profile: Some(file), cpus: Some(8), ..Flags::default() })
    }

    #[test]
    fn flags_win_over_the_file() {
        let (_folder, flags) =
            flags("partition = \"long\"\ncpus = 2\nsbatch = [\"--constraint=avx512\"]\n");
        let expected = Profile {
            partition: Some("long".to_owned()),
            cpus: Some(8),
            sbatch: vec!["--constraint=avx512".to_owned()],
            ..Profile::default()
        };
        assert_eq!(flags.profile().unwrap(), expected);
    }

    #[test]
    fn a_bad_profile_is_one_line() {
        for text in ["partitoin = \"a\"", "sbatch = [\"constraint\"]", "account = \"a; rm b\""] {
            let (_folder, flags) = flags(text);
            let error = format!("{:#}", flags.profile().unwrap_err());
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
