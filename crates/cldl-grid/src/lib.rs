//! A grid: tasks that many processes on many machines work off, in one directory of a shared file system.
//!
//! Nobody is in charge. Each task is claimed by whoever takes it ([`attempt`]), a dead holder's claim is
//! recovered ([`Holder`]), and whoever looks reads the same files ([`Status`]): a local launcher, Slurm
//! jobs, `cldl status`. No candle here, so that the launcher builds in seconds.
//!
//! | file, under the grid's root | what it says |
//! | --- | --- |
//! | `results/<grid>/grid.json` | the tasks, what they need, what they are expected to take ([`Grid`]) |
//! | `runs/tasks/<task>/attempt-NNNN.json` | who took the task |
//! | `runs/tasks/<task>/attempt-NNNN.beat` | touched while they live |
//! | `runs/tasks/<task>/attempt-NNNN.log` | what the task said |
//! | `runs/tasks/<task>/attempt-NNNN.end.json` | how it ended |
//! | `runs/tasks/<task>/job` | the Slurm job that was submitted for it |

pub mod attempt;
mod end;
mod files;
mod grid;
mod holder;
mod schedule;
pub mod slurm;
mod status;

pub use attempt::{Attempt, Taken};
pub use end::{End, How};
pub use files::write_whole;
pub use grid::{GRID_FILE, Grid, Kind, Task};
pub use holder::Holder;
pub use schedule::{Work, critical_path, wall_time};
pub use slurm::{Queue, SlurmJob};
pub use status::{State, Status, TaskStatus, look};
