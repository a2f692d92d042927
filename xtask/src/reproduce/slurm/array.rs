//! Tasks in arrays: those that need the same tasks, and ask for as much time and memory.

use super::profile::Profile;
use cldl_grid::{Kind, Task};
use std::collections::BTreeSet;

/// Minutes that are asked for: few different ones, so that few arrays.
const MINUTES: [u64; 13] = [10, 20, 30, 60, 120, 240, 480, 720, 1440, 2880, 4320, 7200, 10080];
const GIGABYTES: [u64; 11] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64];
/// Where the system does not tell what a step needs.
const UNKNOWN_GIGABYTES: u64 = 4;
/// Slurm's usual `MaxArraySize` is 1001.
const LARGEST: usize = 1000;

/// One job array.
#[derive(Clone, Debug)]
pub(crate) struct Array<'a> {
    /// `train-1`.
    pub(crate) name: String,
    /// The longest first, so that none is left over at the end.
    pub(crate) tasks: Vec<&'a Task>,
    pub(crate) asks: Asks,
    /// Ids of tasks, in this grid, that must be done before.
    pub(crate) needs: BTreeSet<&'a str>,
}

/// What a task asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asks {
    pub(crate) minutes: u64,
    pub(crate) gigabytes: u64,
}

impl Asks {
    /// Twice the expected time and five minutes, for nodes differ and so do their neighbours; half as much
    /// memory again as was measured.
    pub(crate) fn of(task: &Task) -> Self {
        let minutes = (2.0 * task.seconds / 60.0 + 5.0).ceil() as u64;
        let gigabytes = task.memory.map_or(UNKNOWN_GIGABYTES, |bytes| {
            (1.5 * bytes as f64 / f64::from(1 << 30)).ceil() as u64
        });
        Self { minutes: at_least(minutes, &MINUTES), gigabytes: at_least(gigabytes, &GIGABYTES) }
    }

    /// As `sbatch --time` takes it.
    pub(crate) fn time(self, profile: &Profile) -> String {
        let (days, hours, minutes) =
            (self.minutes / 1440, self.minutes % 1440 / 60, self.minutes % 60);
        profile.time.clone().unwrap_or_else(|| format!("{days}-{hours:02}:{minutes:02}:00"))
    }
}

/// The first step that is enough, or the last: what runs into a limit is requeued.
fn at_least(wanted: u64, steps: &[u64]) -> u64 {
    let enough = steps.iter().find(|&&step| wanted <= step).or(steps.last());
    enough.copied().unwrap_or(wanted)
}

/// The arrays of `tasks`, in their order; tasks that are `there` need not be waited for.
pub(crate) fn arrays<'a>(tasks: &[&'a Task], there: &BTreeSet<&str>) -> Vec<Array<'a>> {
    let mut arrays: Vec<Array<'a>> = Vec::new();
    for &task in tasks {
        let needs = task.needs.iter().map(String::as_str);
        let needs: BTreeSet<&str> = needs.filter(|id| !there.contains(id)).collect();
        let (asks, stage) = (Asks::of(task), stage(task));
        let known = arrays.iter_mut().find(|array| {
            array.name == stage
                && array.asks == asks
                && array.needs == needs
                && array.tasks.len() < LARGEST
        });
        match known {
            Some(array) => array.tasks.push(task),
            None => arrays.push(Array { name: stage.to_owned(), tasks: vec![task], asks, needs }),
        }
    }
    for (number, array) in arrays.iter_mut().enumerate() {
        array.name = format!("{}-{}", number + 1, array.name);
        array.tasks.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    }
    arrays
}

fn stage(task: &Task) -> &'static str {
    match task.kind {
        Kind::Train { .. } => "train",
        Kind::Attack => "attack",
        Kind::Table => "table",
    }
}

#[cfg(test)]
mod tests {
    use super::{Asks, arrays};
    use crate::reproduce::slurm::profile::Profile;
    use cldl_grid::{Kind, Task};
    use std::collections::BTreeSet;

    fn task(id: &str, seconds: f64, needs: &[&str]) -> Task {
        Task {
            id: id.to_owned(),
            name: id.to_owned(),
            kind: Kind::Attack,
            args: Vec::new(),
            needs: needs.iter().map(|&id| id.to_owned()).collect(),
            seconds,
            memory: Some(700 << 20),
            done: false,
            earlier: 0,
        }
    }

    #[test]
    fn time_and_memory_are_rounded_up() {
        let asks = Asks::of(&task("a", 4000.0, &[]));
        assert_eq!(asks, Asks { minutes: 240, gigabytes: 2 });
        assert_eq!(asks.time(&Profile::default()), "0-04:00:00");
        assert_eq!(Asks::of(&task("a", 1.0, &[])).minutes, 10);
        assert_eq!(Asks::of(&task("a", 1e9, &[])).time(&Profile::default()), "7-00:00:00");
    }

    #[test]
    fn equal_tasks_share_an_array_longest_first() {
        let tasks = [
            task("a", 10.0, &[]),
            task("b", 20.0, &[]),
            task("c", 5000.0, &[]),
            task("d", 1.0, &["a", "z"]),
        ];
        let arrays = arrays(&tasks.each_ref(), &BTreeSet::from(["z"]));
        let ids = arrays.iter().map(|array| array.tasks.iter().map(|t| t.id.as_str()).collect());
        assert_eq!(ids.collect::<Vec<Vec<_>>>(), [vec!["b", "a"], vec!["c"], vec!["d"]]);
        assert_eq!(arrays[2].needs, BTreeSet::from(["a"]));
        assert_eq!(arrays[2].name, "3-attack");
    }
}
