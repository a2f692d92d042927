//! The plan: which trainings and attacks a table needs, what is there already, what the rest takes.

use super::args::Settings;
use super::cldl::{Cldl, DryRun, RunState};
use super::common::{Common, Size};
use super::grid::{Column, Experiment};
use super::job::{self, Job};
use super::timing::{Cost, Timings};
use anyhow::Result;
use cldl_grid::{Kind, Task};
use std::path::Path;

/// All that one table needs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) table: Experiment,
    pub(crate) size: Size,
    /// Each training once, in the order they are run: surrogates first.
    pub(crate) trainings: Vec<Training>,
    /// For each seed, the surrogates (indices of `trainings`).
    pub(crate) surrogates: Vec<Vec<usize>>,
    pub(crate) columns: Vec<PlannedColumn>,
}

#[derive(Debug)]
pub(crate) struct PlannedColumn {
    pub(crate) column: Column,
    pub(crate) seeds: Vec<u64>,
    /// For each seed, the training (an index of `trainings`).
    pub(crate) trainings: Vec<usize>,
    /// `--only` names this column, or nobody gave it.
    pub(crate) selected: bool,
}

#[derive(Debug)]
pub(crate) struct Training {
    pub(crate) job: Job,
    /// The run directory.
    pub(crate) run: String,
    pub(crate) state: RunState,
    /// Steps to go.
    pub(crate) steps: f64,
    /// What its steps take; nothing is known before [`Plan::time`].
    pub(crate) cost: Cost,
}

/// Targets that share their surrogates, so that each adversarial set is crafted once for all of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Group {
    /// Indices of `trainings`.
    pub(crate) surrogates: Vec<usize>,
    /// Indices of `trainings`, seed by seed.
    pub(crate) targets: Vec<usize>,
}

impl Plan {
    /// Asks the binary about every training of the table.
    pub(crate) fn ask(
        cldl: &Cldl,
        table: Experiment,
        common: &Common,
        settings: &Settings,
    ) -> Result<Self> {
        Self::new(table, common, settings, &mut |job| cldl.dry_run(&job.args, false))
    }

    /// A plan of which nothing is there, without asking about every training.
    pub(crate) fn imagine(table: Experiment, common: &Common, settings: &Settings) -> Result<Self> {
        Self::new(table, common, settings, &mut |job| Ok(DryRun::imagined(&job.args)))
    }

    fn new(
        table: Experiment,
        common: &Common,
        settings: &Settings,
        ask: &mut dyn FnMut(&Job) -> Result<DryRun>,
    ) -> Result<Self> {
        let size = common.size(&table, settings.scale, settings.variant)?;
        let (surrogates, columns) = (Vec::new(), Vec::new());
        let mut plan = Self { table, size, trainings: Vec::new(), surrogates, columns };
        for index in 0..settings.seeds {
            let jobs = job::surrogates(index, &plan.table, &plan.size, common, settings);
            let jobs = jobs.into_iter().map(|job| plan.add(job, ask)).collect::<Result<_>>()?;
            plan.surrogates.push(jobs);
        }
        for column in plan.table.columns.clone() {
            let seeds = job::seeds_of(&column, common, settings);
            let mut trainings = Vec::new();
            for &seed in &seeds {
                let job = job::target(&column, seed, &plan.table, &plan.size, common, settings);
                trainings.push(plan.add(job, ask)?);
            }
            let selected = settings.selects(&column);
            plan.columns.push(PlannedColumn { column, seeds, trainings, selected });
        }
        Ok(plan)
    }

    /// Measures what the wanted trainings and attacks on them take.
    pub(crate) fn time(&mut self, cldl: &Cldl, timings: &mut Timings) -> Result<()> {
        for index in self.wanted() {
            self.trainings[index].cost = timings.cost(cldl, &self.trainings[index].job)?;
        }
        Ok(())
    }

    /// The trainings that are wanted, in order.
    pub(crate) fn wanted(&self) -> Vec<usize> {
        let columns = self.columns.iter().filter(|column| column.selected);
        let targets = columns.flat_map(|column| &column.trainings);
        let mut wanted: Vec<usize> =
            targets.chain(self.surrogates.iter().flatten()).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// The trainings that are wanted and not finished, in order.
    pub(crate) fn to_train(&self) -> Vec<usize> {
        let mut wanted = self.wanted();
        wanted.retain(|&index| self.trainings[index].state != RunState::Done);
        wanted
    }

    /// Who is attacked with whose help.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (seed, surrogates) in self.surrogates.iter().enumerate() {
            let columns = self.columns.iter().filter(|column| column.selected);
            let targets = columns.map(|column| column.trainings[seed]);
            match groups.iter_mut().find(|group| group.surrogates == *surrogates) {
                Some(group) => group.targets.extend(targets),
                None => groups
                    .push(Group { surrogates: surrogates.clone(), targets: targets.collect() }),
            }
        }
        groups.retain(|group| !group.targets.is_empty());
        groups
    }

    /// Notes that a task is done.
    pub(crate) fn finish(&mut self, task: &Task) {
        let Kind::Train { run, .. } = &task.kind else { return };
        for training in self.trainings.iter_mut().filter(|it| Path::new(&it.run) == run) {
            training.state = RunState::Done;
        }
    }

    /// The run directories of a column, one for each seed, if all of them are finished.
    pub(crate) fn runs(&self, column: &PlannedColumn) -> Option<Vec<String>> {
        self.finished(&column.trainings)
    }

    /// The run directories of these trainings, if all of them are finished.
    pub(crate) fn finished(&self, trainings: &[usize]) -> Option<Vec<String>> {
        let done = trainings.iter().all(|&index| self.trainings[index].state == RunState::Done);
        done.then(|| self.run_names(trainings))
    }

    /// The run directories of these trainings, finished or not.
    pub(crate) fn run_names(&self, trainings: &[usize]) -> Vec<String> {
        trainings.iter().map(|&index| self.trainings[index].run.clone()).collect()
    }

    fn add(&mut self, job: Job, ask: &mut dyn FnMut(&Job) -> Result<DryRun>) -> Result<usize> {
        if let Some(index) = self.trainings.iter().position(|known| known.job.args == job.args) {
            return Ok(index);
        }
        let answer = ask(&job)?;
        self.trainings.push(Training {
            job,
            run: answer.run,
            state: answer.state,
            steps: answer.steps,
            cost: Cost::default(),
        });
        Ok(self.trainings.len() - 1)
    }
}

impl Training {
    /// Expected seconds of what is left.
    pub(crate) fn seconds(&self) -> f64 {
        self.steps * self.cost.step_seconds
    }

    /// The run directory's name: a digest of all that the training depends on is in it.
    pub(crate) fn id(&self) -> String {
        let name = Path::new(&self.run).file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// What its steps depend on: `adp, 3 members`.
    pub(crate) fn shape(&self) -> String {
        let value = |flag: &str| {
            let place = self.job.args.iter().position(|arg| arg == flag);
            place.and_then(|place| self.job.args.get(place + 1)).map_or("?", String::as_str)
        };
        format!("{}, {} members", value("--method"), value("--members"))
    }
}
