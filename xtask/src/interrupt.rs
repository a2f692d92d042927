//! Ctrl-C and SIGTERM: noted, and handed on to the child, so that it can end in its own way and we can say
//! how to go on.

use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};

static REQUESTS: AtomicUsize = AtomicUsize::new(0);

/// Notes Ctrl-C (and SIGTERM) from now on, instead of dying of it.
pub(crate) fn watch() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        REQUESTS.fetch_add(1, Ordering::SeqCst);
    })?;
    Ok(())
}

/// Whether somebody asked us to stop.
pub(crate) fn requested() -> bool {
    0 < requests()
}

/// How often somebody asked us to stop.
pub(crate) fn requests() -> usize {
    REQUESTS.load(Ordering::SeqCst)
}

/// Asks a child, who leads a process group, and its children to stop.
#[cfg(unix)]
pub(crate) fn hand_on(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // One who is gone already needs no asking.
    let _ = pid.map(|pid| kill_process_group(pid, Signal::TERM));
}

/// Elsewhere Ctrl-C reaches the whole console.
#[cfg(not(unix))]
pub(crate) fn hand_on(_: &Child) {}

/// The error of work that was stopped by request.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}
