//! `grid.json`: the tasks of a grid, as its launcher planned them.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;

/// Name of the file, in the folder of the grid's results.
pub const GRID_FILE: &str = "grid.json";

/// A grid of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// As a person calls it: `table 4, smoke`.
    pub name: String,
    /// The command that goes on with it.
    pub command: String,
    /// The folder that holds `runs/` and `results/`, seen from the grid's own.
    pub root: PathBuf,
    /// Seconds since 1970 when it was planned.
    pub planned: u64,
    /// So many tasks run at once, as far as the launcher knows.
    pub workers: Option<usize>,
    /// In the order in which they are started; what a task needs stands before it.
    pub tasks: Vec<Task>,
}

/// One unit of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name in files: equal work has equal ids, whichever grid it is in.
    pub id: String,
    /// As a person calls it: `train adp, seed 0`.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Arguments of `cldl`, run in the root.
    pub args: Vec<String>,
    /// Ids of tasks that must be done before.
    pub needs: Vec<String>,
    /// Expected seconds from the time of planning.
    pub seconds: f64,
    /// Expected peak of memory, in bytes.
    pub memory: Option<u64>,
    /// It was done when the grid was planned.
    pub done: bool,
    /// Attempts that there were when the grid was planned: how those ended says nothing any more.
    pub earlier: u32,
}

/// What a task is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// `cldl train` into the run directory `run`.
    Train {
        /// Relative to the root.
        run: PathBuf,
        /// Passes over the data in all.
        epochs: usize,
    },
    /// `cldl eval blackbox` of one attack with one radius.
    Attack,
    /// `cldl table`, once all is there.
    Table,
}

impl Grid {
    /// Reads the grid in `folder`.
    ///
    /// # Errors
    /// If there is none, or it is damaged: one line that names the file.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let path = folder.join(GRID_FILE);
        let text = std::fs::read(&path).map_err(|e| files::named(&path, &e))?;
        Self::parse(&text).map_err(|e| files::named(&path, &e))
    }

    /// Reads the bytes of a `grid.json`.
    ///
    /// # Errors
    /// If they are none, or an id or a time makes no sense.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let grid: Self = serde_json::from_slice(bytes)?;
        for Task { id, seconds, .. } in &grid.tasks {
            // Ids name folders: they must not lead anywhere else.
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if id.is_empty() || id.starts_with('.') || !id.chars().all(plain) {
                return Err(io::Error::other(format!("{id:?} is no id of a task")));
            }
            if *seconds < 0.0 {
                return Err(io::Error::other(format!("the task `{id}` takes {seconds} seconds")));
            }
        }
        Ok(grid)
    }

    /// Writes the grid into `folder`.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        files::write_whole(&folder.join(GRID_FILE), &json)
    }

    /// The task with this id.
    pub fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }
}

impl Task {
    /// Where its attempts are, under the grid's root.
    pub fn folder(&self, root: &Path) -> PathBuf {
        root.join("runs/tasks").join(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn ids_stay_in_their_folder() {
        let grid = |id: &str, seconds: f64| {
            let task = serde_json::json!({
                "id": id, "name": "a task", "kind": "attack", "args": [], "needs": [],
                "seconds": seconds, "memory": null, "done": false, "earlier": 0,
            });
            let grid = serde_json::json!({
                "name": "a grid", "command": "", "root": "../..", "planned": 0, "workers": 1,
                "tasks": [task],
            });
            Grid::parse(grid.to_string().as_bytes()).map(drop).map_err(|e| e.to_string())
        };
        grid("train-adp-0_1.5", 2.0).unwrap();
        for id in ["../../x", "a/b", "", ".", "..", "a\nb"] {
            assert!(grid(id, 2.0).unwrap_err().ends_with("is no id of a task"), "{id}");
        }
        assert!(grid("a", -1.0).unwrap_err().contains("takes -1 seconds"));
    }
}
