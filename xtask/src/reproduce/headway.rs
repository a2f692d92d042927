//! Whether a task that was stopped got ahead: whether it left something that the next attempt need not do.
//!
//! A time limit that is too short for the first step of a training, or for one adversarial set, would else
//! have its task requeued for ever.

use super::cldl::Cldl;
use anyhow::Result;
use cldl_grid::attempt::Seen;
use cldl_grid::{Attempt, Kind, SlurmJob, Task};
use std::path::Path;

/// So often in a row a task is requeued that did not get ahead.
const IDLE: u32 = 3;

/// How far a task was when an attempt began.
pub(super) struct Headway(Option<String>);

/// The error of a task that is not started again, for it would never end.
#[derive(Debug)]
pub(super) struct Stuck(u32);

impl std::fmt::Display for Stuck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "stopped {} times in a row before it got ahead: give it a longer time limit (`--time`)",
            self.0
        )
    }
}

impl std::error::Error for Stuck {}

impl Headway {
    pub(super) fn begin(task: &Task, cldl: &Cldl) -> Self {
        Self(checkpoint(task, &cldl.root))
    }

    /// So many attempts of `job` in a row, this one the last, did not get ahead.
    pub(super) fn idle(
        &self,
        task: &Task,
        cldl: &Cldl,
        attempt: &Attempt,
        job: &SlurmJob,
    ) -> Result<u32> {
        let ahead = match task.kind {
            Kind::Train { .. } => self.0 < checkpoint(task, &cldl.root),
            Kind::Attack => kept_a_set(&std::fs::read_to_string(attempt.log()).unwrap_or_default()),
            Kind::Table => false,
        };
        if ahead {
            return Ok(0);
        }
        let ours = |seen: &Seen| seen.holder.slurm.as_ref().is_some_and(|old| old.id == job.id);
        let before = attempt.before()?.filter(ours);
        Ok(1 + before.and_then(|seen| seen.end).map_or(0, |end| end.idle))
    }
}

/// An error if a task that did not get ahead so often in a row is not to be started again.
pub(super) fn bounded(idle: u32) -> Result<()> {
    if idle <= IDLE { Ok(()) } else { Err(Stuck(idle).into()) }
}

/// The name of a training's last checkpoint: names grow as the training does.
fn checkpoint(task: &Task, root: &Path) -> Option<String> {
    let Kind::Train { run, .. } = &task.kind else { return None };
    let entries = std::fs::read_dir(root.join(run).join("checkpoint")).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with("epoch-")).max()
}

/// `cldl eval` says how far it is when it begins a set, and what it had begun before is in the store by then.
fn kept_a_set(log: &str) -> bool {
    let begins = |line: &&str| {
        let percent = line.split_once(" % ").map(|(percent, _)| percent.trim());
        percent.is_some_and(|percent| percent.parse::<u8>().is_ok())
    };
    1 < log.lines().filter(begins).count()
}

#[cfg(test)]
mod tests {
    use super::kept_a_set;

    #[test]
    fn a_set_is_kept_when_the_next_one_begins() {
        let first = "cldl: reading models\n  0 % clean\n";
        assert!(!kept_a_set(first));
        assert!(!kept_a_set(&format!("{first}cldl: interrupted at 10 % or so\n")));
        assert!(kept_a_set(&format!("{first} 12 % pgd, eps 0.1, seed 0 on surrogate\n")));
    }
}
