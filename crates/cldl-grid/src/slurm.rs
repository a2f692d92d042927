//! What Slurm says about its jobs: asked with `squeue`, once for all.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::files::write_whole;

/// The Slurm job that a process runs in.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SlurmJob {
    /// `17`, or `17_3` for a task of an array.
    pub id: String,
    /// How often it had been requeued.
    pub restarts: u32,
}

impl SlurmJob {
    /// The job that this process runs in, if any.
    pub fn current() -> Option<Self> {
        let var = |name: &str| std::env::var(name).ok();
        let id = match (var("SLURM_ARRAY_JOB_ID"), var("SLURM_ARRAY_TASK_ID")) {
            (Some(array), Some(index)) => format!("{array}_{index}"),
            _ => var("SLURM_JOB_ID")?,
        };
        let restarts = var("SLURM_RESTART_COUNT").and_then(|count| count.parse().ok());
        Some(Self { id, restarts: restarts.unwrap_or(0) })
    }
}

/// What Slurm knows of some jobs.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// Job -> state, as `squeue` prints it; none if Slurm can't be asked.
    states: Option<BTreeMap<String, String>>,
}

impl Queue {
    /// Asks Slurm about `jobs`. What it does not list is over.
    pub fn ask<'a>(jobs: impl IntoIterator<Item = &'a str>) -> Self {
        let mut arrays: Vec<&str> =
            jobs.into_iter().map(|job| job.split('_').next().unwrap_or(job)).collect();
        arrays.sort_unstable();
        arrays.dedup();
        if arrays.is_empty() {
            return Self { states: Some(BTreeMap::new()) };
        }
        let mut squeue = Command::new("squeue");
        squeue.args(["--noheader", "--array", "--format=%i %T", "--jobs", &arrays.join(",")]);
        let Ok(output) = squeue.stdin(Stdio::null()).output() else { return Self::default() };
        let said = String::from_utf8_lossy(&output.stderr);
        // A job that is long over is unknown: an answer, not a failure.
        if !output.status.success() && !said.contains("Invalid job id") {
            return Self::default();
        }
        Self { states: Some(parse(&String::from_utf8_lossy(&output.stdout))) }
    }

    /// Whether the job waits or runs; none if Slurm can't be asked.
    pub fn lists(&self, job: &str) -> Option<bool> {
        Some(self.states.as_ref()?.contains_key(job))
    }

    /// Whether the job is on a node; none if Slurm can't be asked.
    pub fn runs(&self, job: &str) -> Option<bool> {
        let state = self.states.as_ref()?.get(job);
        Some(state.is_some_and(|state| {
            !["PENDING", "REQUEUED", "REQUEUE_HOLD"].contains(&state.as_str())
        }))
    }
}

fn parse(lines: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| Some(line.trim().split_once(' ')?).map(|(a, b)| (a.into(), b.into()));
    lines.lines().filter_map(pair).collect()
}

/// Notes the job that was submitted for the task in `folder`.
///
/// # Errors
/// Whatever the file system says.
pub fn note_job(folder: &Path, job: &str) -> std::io::Result<()> {
    write_whole(&folder.join("job"), format!("{job}\n").as_bytes())
}

/// The job that was last submitted for the task in `folder`.
pub fn noted_job(folder: &Path) -> Option<String> {
    Some(std::fs::read_to_string(folder.join("job")).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Queue, parse};

    #[test]
    fn squeue_s_words_are_understood() {
        let queue = Queue { states: Some(parse("12_0 RUNNING\n12_1 PENDING\n13 COMPLETING\n")) };
        let asked = ["12_0", "12_1", "13", "14"].map(|job| (queue.lists(job), queue.runs(job)));
        let [yes, no] = [Some(true), Some(false)];
        assert_eq!(asked, [(yes, yes), (yes, no), (yes, yes), (no, no)]);
        assert_eq!(Queue::default().runs("12_0"), None);
    }
}
