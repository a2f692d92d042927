//! The launcher of one machine: so many tasks at a time, each as soon as what it needs is there.
//!
//! Others may work on the same tasks, here or elsewhere: what somebody holds is left to them, and taken
//! over if they die.

use super::cldl::Cldl;
use super::perform::{Performed, perform};
use super::show::duration;
use crate::interrupt::{self, Interrupted};
use crate::progress::Progress;
use anyhow::{Context as _, Result};
use cldl_grid::{Grid, Task, Work, wall_time};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks at what somebody else holds.
const POLL: Duration = Duration::from_secs(1);

/// Works a grid off.
pub(crate) struct Local<'a> {
    pub(crate) cldl: &'a Cldl,
    pub(crate) grid: &'a Grid,
    /// The grid's folder, under the root.
    pub(crate) folder: &'a Path,
    pub(crate) jobs: usize,
}

/// Told of each task that is done.
type OnDone<'a> = dyn FnMut(&Task) -> Result<()> + Send + 'a;

/// What the workers share.
struct Board<'a> {
    /// Places in the grid of the tasks that nobody has begun.
    left: Vec<usize>,
    running: Vec<usize>,
    /// Held by somebody else, until we look again.
    held: BTreeMap<usize, Instant>,
    started: usize,
    error: Option<anyhow::Error>,
    on_done: &'a mut OnDone<'a>,
}

impl Local<'_> {
    /// Does all that is not done; the first failure ends it, once the tasks that run have ended.
    pub(crate) fn run<'a>(&'a self, on_done: &'a mut OnDone<'a>) -> Result<()> {
        let tasks = &self.grid.tasks;
        let left: Vec<usize> = (0..tasks.len()).filter(|&task| !tasks[task].done).collect();
        let total = left.len();
        let progress = Progress::new(left.iter().map(|&task| tasks[task].seconds).sum());
        let (running, held) = (Vec::new(), BTreeMap::new());
        let board = Mutex::new(Board { left, running, held, started: 0, error: None, on_done });
        let news = Condvar::new();
        thread::scope(|scope| {
            for _ in 0..self.jobs.min(total) {
                scope.spawn(|| self.work(&board, &news, total, &progress));
            }
        });
        progress.end();
        let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
        board.error.map_or(Ok(()), Err)
    }

    fn work(&self, board: &Mutex<Board<'_>>, news: &Condvar, total: usize, progress: &Progress) {
        loop {
            let mut now = lock(board);
            if interrupt::requested() {
                now.error.get_or_insert_with(|| Interrupted.into());
            }
            if now.error.is_some() || now.left.is_empty() {
                return;
            }
            let Some(place) = now.next(self.grid) else {
                drop(news.wait_timeout(now, POLL));
                continue;
            };
            let task = &self.grid.tasks[place];
            now.left.retain(|&other| other != place);
            now.running.push(place);
            let again = now.held.remove(&place).is_some();
            if !again {
                now.started += 1;
                let left = duration(now.seconds_left(self.grid, self.jobs));
                let line = format!("[{}/{total}] {}, about {left} left", now.started, task.name);
                progress.line(&line);
            }
            drop(now);

            let name = if 1 < self.jobs { format!("{}: ", task.name) } else { String::new() };
            let words = progress.clone();
            let done = perform(self.cldl, self.grid, self.folder, task, move |line| {
                words.line(&format!("{name}{line}"));
            });
            let mut now = lock(board);
            now.running.retain(|&other| other != place);
            match done {
                Ok(Performed::Done) => {
                    progress.advance(task.seconds);
                    if let Err(error) = (now.on_done)(task) {
                        now.error.get_or_insert(error);
                    }
                }
                Ok(Performed::Busy(holder)) => {
                    if !again {
                        progress.line(&format!("{} is held by {}", task.name, holder.place()));
                    }
                    now.held.insert(place, Instant::now() + POLL);
                    now.left.push(place);
                    now.left.sort_unstable();
                }
                Err(error) => {
                    let error = if error.is::<Interrupted>() {
                        error
                    } else {
                        Err::<(), _>(error).context(task.name.clone()).unwrap_err()
                    };
                    now.error.get_or_insert(error);
                }
            }
            news.notify_all();
        }
    }
}

impl Board<'_> {
    /// The first task that can be begun.
    fn next(&self, grid: &Grid) -> Option<usize> {
        let open = |place: &usize| {
            let id = &grid.tasks[*place].id;
            move |needed: &&String| *needed == id
        };
        let ready = |task: &Task| {
            let mut missing = self.left.iter().chain(&self.running);
            !missing.any(|place| task.needs.iter().any(|need| open(place)(&need)))
        };
        let now = Instant::now();
        let free = |place: &usize| self.held.get(place).is_none_or(|until| *until <= now);
        self.left.iter().copied().find(|place| free(place) && ready(&grid.tasks[*place]))
    }

    /// Expected seconds until all is done, if what runs had just begun.
    fn seconds_left(&self, grid: &Grid, jobs: usize) -> f64 {
        let mut places: Vec<usize> = self.left.iter().chain(&self.running).copied().collect();
        places.sort_unstable();
        let place = |id: &String| places.iter().position(|&place| grid.tasks[place].id == *id);
        let work = |&task: &usize| Work {
            seconds: grid.tasks[task].seconds,
            needs: grid.tasks[task].needs.iter().filter_map(place).collect(),
        };
        wall_time(&places.iter().map(work).collect::<Vec<_>>(), jobs)
    }
}

/// A worker that panicked has left the board as it was between two steps.
fn lock<'a, 'b>(board: &'a Mutex<Board<'b>>) -> MutexGuard<'a, Board<'b>> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}
