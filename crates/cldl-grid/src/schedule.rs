//! How long a grid takes: list scheduling on so many equal workers, and the longest chain of tasks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A task as the clock sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// What it takes.
    pub seconds: f64,
    /// Tasks that must be done before, by their places in the list: all before its own.
    pub needs: Vec<usize>,
}

/// Seconds of the longest chain of tasks that need one another: no number of workers is faster.
pub fn critical_path(work: &[Work]) -> f64 {
    let mut ends: Vec<f64> = Vec::with_capacity(work.len());
    for task in work {
        let start = task.needs.iter().map(|&need| ends[need]).fold(0.0, f64::max);
        ends.push(start + task.seconds);
    }
    ends.into_iter().fold(0.0, f64::max)
}

/// Seconds until all is done by `workers` who each take, when they are free, the task that is ready and has the
/// longest chain behind it.
pub fn wall_time(work: &[Work], workers: usize) -> f64 {
    let tails = tails(work);
    let mut missing: Vec<usize> = work.iter().map(|task| task.needs.len()).collect();
    let mut ready: BinaryHeap<(Time, Reverse<usize>)> = BinaryHeap::new();
    let put =
        |ready: &mut BinaryHeap<_>, task: usize| ready.push((Time(tails[task]), Reverse(task)));
    (0..work.len()).filter(|&task| missing[task] == 0).for_each(|task| put(&mut ready, task));

    let mut running: BinaryHeap<Reverse<(Time, usize)>> = BinaryHeap::new();
    let mut clock = 0.0;
    loop {
        while running.len() < workers.max(1) {
            let Some((_, Reverse(task))) = ready.pop() else { break };
            running.push(Reverse((Time(clock + work[task].seconds), task)));
        }
        let Some(Reverse((Time(end), done))) = running.pop() else { return clock };
        clock = end;
        for (task, other) in work.iter().enumerate().skip(done + 1) {
            let freed = other.needs.iter().filter(|&&need| need == done).count();
            if 0 < freed {
                missing[task] -= freed;
                if missing[task] == 0 {
                    put(&mut ready, task);
                }
            }
        }
    }
}

/// For each task the seconds of the longest chain that begins with it.
fn tails(work: &[Work]) -> Vec<f64> {
    let mut behind = vec![0.0_f64; work.len()];
    for (task, this) in work.iter().enumerate().rev() {
        let tail = behind[task] + this.seconds;
        behind[task] = tail;
        for &need in &this.needs {
            behind[need] = behind[need].max(tail);
        }
    }
    behind
}

/// Seconds, in order.
#[derive(Clone, Copy, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Work, critical_path, wall_time};
    use proptest::prelude::*;

    fn work(tasks: &[(f64, &[usize])]) -> Vec<Work> {
        tasks.iter().map(|&(seconds, needs)| Work { seconds, needs: needs.to_vec() }).collect()
    }

    #[test]
    fn a_grid_by_hand() {
        // Two trainings, two attacks that need both.
        let tasks = work(&[(3.0, &[]), (5.0, &[]), (2.0, &[0, 1]), (1.0, &[0, 1])]);
        assert_eq!([1, 2, 8].map(|workers| wall_time(&tasks, workers)), [11.0, 7.0, 7.0]);
        assert_eq!(critical_path(&tasks), 7.0);
        assert_eq!(wall_time(&[], 4), 0.0);
    }

    #[test]
    fn the_longest_goes_first() {
        let tasks = work(&[(1.0, &[]), (1.0, &[]), (1.0, &[]), (3.0, &[])]);
        assert_eq!(wall_time(&tasks, 2), 3.0);
    }

    proptest! {
        #[test]
        fn wall_time_is_between_its_bounds(
            tasks in proptest::collection::vec((0.1_f64..10.0, any::<u64>()), 1..30),
            workers in 1_usize..40,
        ) {
            let work: Vec<Work> = (tasks.iter().enumerate())
                .map(|(at, &(seconds, bits))| Work {
                    seconds,
                    needs: (0..at).filter(|need| bits >> (need % 64) & 7 == 7).collect(),
                })
                .collect();
            let total: f64 = work.iter().map(|task| task.seconds).sum();
            let (wall, path) = (wall_time(&work, workers), critical_path(&work));
            let least = path.max(total / workers as f64);
            prop_assert!(least <= wall + 1e-9);
            // Graham's bound of list scheduling.
            prop_assert!(wall <= total / workers as f64 + path + 1e-9);
            prop_assert!((wall_time(&work, 1) - total).abs() < 1e-6);
        }
    }
}
