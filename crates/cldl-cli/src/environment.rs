//! What libraries below read from the environment, set to what suits this program.

use std::env;

/// Variables, and what they are here unless somebody has set them.
const SETTINGS: [(&str, &str); 2] = [
    // candle has a pool of its own for large elementwise ops, whose threads spin between them on the cores
    // that our kernels work on. Those ops are few here, and faster alone.
    ("CANDLE_NUM_THREADS", "1"),
    // Milliseconds until the allocator hands freed pages back. Tensors of a megabyte come and go with every
    // op: by default their pages are cleared by the system again and again.
    ("MIMALLOC_PURGE_DELAY", "1000"),
];

/// Starts this process over with the settings that are missing. The process stays the same one: a library's
/// environment must be there before its threads are, and nothing changes it safely later.
pub(crate) fn settle() {
    let missing = SETTINGS.iter().filter(|(name, _)| env::var_os(name).is_none());
    let missing: Vec<_> = missing.copied().collect();
    if !missing.is_empty() {
        restart(&missing);
    }
}

/// Returns if that can't be done: all works without, only slower.
#[cfg(unix)]
fn restart(settings: &[(&str, &str)]) {
    use std::os::unix::process::CommandExt as _;
    let mut arguments = env::args_os();
    if let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) {
        let mut command = std::process::Command::new(program);
        let error = command.arg0(name).args(arguments).envs(settings.iter().copied()).exec();
        drop(error);
    }
}

#[cfg(not(unix))]
fn restart(_: &[(&str, &str)]) {}
