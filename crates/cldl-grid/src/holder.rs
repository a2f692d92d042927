//! Who works on a task, and whether they still live.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Queue, SlurmJob};

/// A holder on another machine that was silent for so long is dead. Longer than a file server's clients
/// may keep old attributes for, and twenty heartbeats.
pub(crate) const SILENCE: Duration = Duration::from_mins(10);

/// A process that took a task.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of its machine.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// When it started, in the kernel's ticks since boot: a number alone may be somebody else's by now.
    pub started: Option<u64>,
    /// Boot and name space in which the number means something.
    pub machine: Option<String>,
    /// The Slurm job that it runs in.
    pub slurm: Option<SlurmJob>,
    /// Seconds since 1970 when it took the task.
    pub since: u64,
}

impl Holder {
    /// This process, now.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self {
            host: host(),
            pid,
            started: started(pid),
            machine: machine(),
            slurm: SlurmJob::current(),
            since: now(),
        }
    }

    /// As a person reads it: `node7, Slurm job 12_3`.
    pub fn place(&self) -> String {
        match &self.slurm {
            Some(job) => format!("{}, Slurm job {}", self.host, job.id),
            None => format!("{}, process {}", self.host, self.pid),
        }
    }

    /// Whether it lives, as far as somebody on this machine can tell: by its process, by its Slurm job,
    /// or by how long ago (`silence`) it was heard of.
    pub(crate) fn lives(&self, queue: &Queue, silence: Duration) -> bool {
        if self.machine.is_some() && self.machine == machine() && self.started.is_some() {
            return started(self.pid) == self.started;
        }
        match (&self.slurm, SlurmJob::current()) {
            // We are what that job became when it was requeued.
            (Some(job), Some(ours)) if job.id == ours.id && job.restarts < ours.restarts => false,
            (Some(job), _) => queue.runs(&job.id).unwrap_or(silence < SILENCE),
            (None, _) => silence < SILENCE,
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this machine".to_owned())
}

/// Linux only; elsewhere a holder is judged by its heartbeat.
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), space.display()))
}

/// When process `pid` started; none if there is none, or it is a dead one that nobody has waited for.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, a name in parentheses, may hold anything; the state is the third, the start the 22nd.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if ["Z", "X"].contains(&fields.next()?) {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Holder, SILENCE};
    use crate::{Queue, SlurmJob};
    use std::time::Duration;

    const HEARD: Duration = Duration::from_secs(20);

    #[test]
    fn on_this_machine_the_process_tells() {
        let me = Holder::current();
        let lives = |holder: &Holder| holder.lives(&Queue::default(), SILENCE);
        assert!(lives(&me));
        if me.started.is_some() {
            let reused = Holder { started: me.started.map(|ticks| ticks + 1), ..me.clone() };
            assert!(!lives(&reused), "the number belongs to another process now");
            assert!(!lives(&Holder { pid: u32::MAX - 1, ..me }));
        }
    }

    #[test]
    fn elsewhere_the_heartbeat_tells() {
        let elsewhere = Holder { machine: Some("other".to_owned()), ..Holder::current() };
        assert!(elsewhere.lives(&Queue::default(), HEARD));
        assert!(!elsewhere.lives(&Queue::default(), SILENCE));
    }

    #[test]
    fn slurm_knows_better_than_a_heartbeat() {
        let slurm = Some(SlurmJob { id: "12_3".to_owned(), restarts: 0 });
        let holder = Holder { machine: Some("other".to_owned()), slurm, ..Holder::current() };
        // Nobody was asked about: whatever is not listed is over.
        assert!(!holder.lives(&Queue::ask([]), HEARD));
        assert!(holder.lives(&Queue::default(), HEARD), "Slurm can't be asked");
    }
}
