//! `cldl status`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use cldl_grid::{GRID_FILE, State, Status, TaskStatus};
use indicatif::HumanDuration;

use crate::common;
use crate::failure::Usage;
use crate::output::Grid;

/// Show how far the tasks of a table are, whoever runs them.
///
/// Reads the files that `cargo xtask reproduce` and its Slurm jobs keep; asks Slurm too, where there is
/// one. A task that failed comes with the last line of its log and the command that runs it again.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A folder of results, or the folder above several
    #[arg(value_name = "DIR", default_value = "results")]
    folder: PathBuf,
    /// Print what each task took beside what was expected, as a table
    #[arg(long)]
    costs: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  cldl status                           every table that was begun
  cldl status results/table4-smoke      one of them
  cldl status results/table4-smoke --costs
  watch cldl status                     again and again";

/// Waiting tasks that are named.
const SHOWN: usize = 5;

impl Args {
    pub(crate) fn run(self) -> Result<()> {
        let folders = folders(&self.folder)?;
        let grids = folders.iter().map(|folder| cldl_grid::look(folder));
        let grids = grids.collect::<std::io::Result<Vec<Status>>>()?;
        let shown = if self.costs { costs } else { text };
        let text: Vec<String> = grids.iter().map(shown).collect();
        // A folder of one grid gives that grid; a folder above gives a list.
        if self.folder.join(GRID_FILE).exists() {
            return common::print(self.json, &grids[0], &text[0]);
        }
        common::print(self.json, &serde_json::json!({ "grids": grids }), &text.join("\n"))
    }
}

/// The folder itself, or those in it that hold a grid.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join(GRID_FILE).exists() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join(GRID_FILE).exists());
    folders.sort();
    if folders.is_empty() {
        let message = format!(
            "no `{GRID_FILE}` in `{}`: `cargo xtask reproduce` writes one when it begins a table",
            folder.display()
        );
        return Err(Usage(message).into());
    }
    Ok(folders)
}

fn text(grid: &Status) -> String {
    let mut text = format!(
        "{} ({}): {} of {} done, {} running, {} waiting, {} failed",
        grid.name,
        grid.folder.display(),
        grid.done,
        grid.tasks.len(),
        grid.running,
        grid.waiting,
        grid.failed
    );
    // Writing to a string can't fail.
    if let Some(seconds) = grid.seconds_left {
        let _ = write!(text, "; about {} left", human(seconds));
    }
    text.push('\n');
    for task in &grid.tasks {
        let _ = match task.state {
            State::Running => writeln!(text, "  running  {}", running(task)),
            State::Failed => writeln!(text, "  failed   {}", failed(task)),
            State::Waiting | State::Done => Ok(()),
        };
    }
    let waiting = grid.tasks.iter().filter(|task| task.state == State::Waiting);
    for (place, task) in waiting.enumerate() {
        let job = task.job.as_ref().map_or(String::new(), |job| format!(" (Slurm job {job})"));
        if place == SHOWN {
            let _ = writeln!(text, "  waiting  and {} more", grid.waiting - SHOWN);
            break;
        }
        let _ = writeln!(text, "  waiting  {}{job}", task.name);
    }
    if !grid.alive && grid.done < grid.tasks.len() {
        let _ = writeln!(text, "  nobody works on it; `{}` goes on", grid.command);
    }
    text
}

fn running(task: &TaskStatus) -> String {
    let epochs = match (task.epoch, task.epochs) {
        (Some(epoch), Some(epochs)) => format!(", epoch {} of {epochs}", (epoch + 1).min(epochs)),
        _ => String::new(),
    };
    format!(
        "{} on {}{epochs}, for {} of about {}",
        task.name,
        task.place.as_deref().unwrap_or("?"),
        human(task.seconds.unwrap_or(0.0)),
        human(task.expected_seconds)
    )
}

fn failed(task: &TaskStatus) -> String {
    let mut text = format!("{} on {}", task.name, task.place.as_deref().unwrap_or("?"));
    let told = [
        ("it said", task.last_line.clone()),
        ("log", task.log.as_ref().map(|log| log.display().to_string())),
        ("again", task.again.clone()),
    ];
    for (what, words) in told {
        let _ = words.map(|words| write!(text, "\n             {what}: {words}"));
    }
    text
}

/// What was expected beside what was measured.
fn costs(grid: &Status) -> String {
    let seconds = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    let megabytes =
        |value: Option<u64>| value.map_or("-".to_owned(), |bytes| (bytes >> 20).to_string());
    let head = ["task", "expected s", "took s", "expected MB", "peak MB"];
    let row = |task: &TaskStatus| {
        vec![
            task.name.clone(),
            seconds(Some(task.expected_seconds)),
            seconds(task.seconds),
            megabytes(task.expected_memory),
            megabytes(task.memory),
        ]
    };
    let rows = grid.tasks.iter().filter(|task| task.seconds.is_some()).map(row).collect();
    Grid { head: head.map(str::to_owned).to_vec(), rows }.text("")
}

/// `3 minutes`.
fn human(seconds: f64) -> String {
    HumanDuration(Duration::from_secs_f64(seconds.max(0.0).ceil())).to_string()
}
