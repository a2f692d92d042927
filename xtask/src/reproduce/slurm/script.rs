//! The script of an array.

use super::array::Array;
use super::profile::Profile;
use crate::reproduce::show::duration;
use std::fmt::Write as _;
use std::path::Path;

/// Seconds before its time limit at which a task is told to save and be requeued.
const NOTICE: u64 = 60;

/// What a script has to know of where things are; all paths absolute.
pub(crate) struct Paths<'a> {
    pub(crate) xtask: &'a Path,
    pub(crate) cldl: &'a Path,
    pub(crate) root: &'a Path,
    /// Of the grid.
    pub(crate) folder: &'a Path,
}

/// What `sbatch` gets.
pub(crate) fn script(
    array: &Array<'_>,
    grid: &str,
    paths: &Paths<'_>,
    profile: &Profile,
) -> String {
    let last = array.tasks.len() - 1;
    let at_once = profile.max_parallel.map_or(String::new(), |count| format!("%{count}"));
    let logs = paths.folder.join("slurm").join(format!("{}-%A_%a.log", array.name));
    let mut options = vec![
        format!("--job-name={grid}-{}", array.name),
        format!("--array=0-{last}{at_once}"),
        format!("--time={}", array.asks.time(profile)),
        format!("--mem={}G", array.asks.gigabytes),
        format!("--nodes=1 --ntasks=1 --cpus-per-task={}", profile.cores()),
        format!("--requeue --open-mode=append --signal=B:TERM@{NOTICE}"),
        format!("--chdir={}", quoted(paths.root)),
        format!("--output={}", quoted(&logs)),
    ];
    let named =
        [("partition", &profile.partition), ("account", &profile.account), ("gres", &profile.gres)];
    for (flag, value) in named {
        options.extend(value.as_ref().map(|value| format!("--{flag}={value}")));
    }
    options.extend_from_slice(&profile.sbatch);
    let mut text = "#!/bin/sh\n".to_owned();
    for option in options {
        // Writing to a string can't fail.
        let _ = writeln!(text, "#SBATCH {option}");
    }
    let expected = array.tasks.first().map_or(0.0, |task| task.seconds);
    let memory = array.tasks.iter().filter_map(|task| task.memory).max();
    let memory = memory.map_or_else(|| "not measured".to_owned(), |b| format!("{} MB", b >> 20));
    let _ = write!(
        text,
        "# Written by `cargo xtask reproduce`. Expected: {} and {memory} a task, at most.\n\
         # The worker takes SIGTERM as \"save and requeue\"; killed, it goes on at its last checkpoint.\n\
         set --",
        duration(expected)
    );
    for task in &array.tasks {
        let _ = write!(text, " \\\n    {}", task.id);
    }
    if let Some(data) = std::env::var_os("CLDL_DATA_DIR") {
        // Clusters whose jobs do not inherit the environment need it said.
        let _ = write!(text, "\nexport CLDL_DATA_DIR={}", quoted(Path::new(&data)));
    }
    let _ = write!(
        text,
        "\nshift \"$SLURM_ARRAY_TASK_ID\"\nexport RAYON_NUM_THREADS=\"$SLURM_CPUS_PER_TASK\"\n\
         exec {} work {} \"$1\" --root {} --cldl {}\n",
        quoted(paths.xtask),
        quoted(paths.folder),
        quoted(paths.root),
        quoted(paths.cldl),
    );
    text
}

/// A path as a shell, and sbatch, read it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-%".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
