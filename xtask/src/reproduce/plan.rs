//! The plan: which trainings and attacks a table needs, what is there already, what the rest takes.

use super::args::Settings;
use super::cldl::{Cldl, RunState};
use super::common::{Common, Size};
use super::grid::{Column, Experiment};
use super::job::{self, Job};
use anyhow::Result;

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
    pub(crate) state: State,
    /// Of one gradient step on one image.
    pub(crate) attack_seconds: f64,
}

/// How far a training is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    Done { run: String },
    ToDo { run: String, started: bool, seconds: f64 },
}

impl Plan {
    /// Asks the binary about every training of the table.
    pub(crate) fn ask(
        cldl: &Cldl,
        table: Experiment,
        common: &Common,
        settings: &Settings,
    ) -> Result<Self> {
        let size = common.size(&table, settings.scale, settings.variant)?;
        let (surrogates, columns) = (Vec::new(), Vec::new());
        let mut plan = Self { table, size, trainings: Vec::new(), surrogates, columns };
        for index in 0..settings.seeds {
            let jobs = job::surrogates(index, &plan.table, &plan.size, common, settings);
            let jobs = jobs.into_iter().map(|job| plan.add(cldl, job)).collect::<Result<_>>()?;
            plan.surrogates.push(jobs);
        }
        for column in plan.table.columns.clone() {
            let seeds = job::seeds_of(&column, common, settings);
            let mut trainings = Vec::new();
            for &seed in &seeds {
                let job = job::target(&column, seed, &plan.table, &plan.size, common, settings);
                trainings.push(plan.add(cldl, job)?);
            }
            let selected = settings.selects(&column);
            plan.columns.push(PlannedColumn { column, seeds, trainings, selected });
        }
        Ok(plan)
    }

    /// The trainings that are wanted and not finished, in order.
    pub(crate) fn to_train(&self) -> Vec<usize> {
        let wanted: Vec<usize> = (self.columns.iter())
            .filter(|column| column.selected)
            .flat_map(|column| column.trainings.iter().copied())
            .chain(self.surrogates.iter().flatten().copied())
            .collect();
        let unfinished = |index: &usize| matches!(self.trainings[*index].state, State::ToDo { .. });
        (0..self.trainings.len()).filter(|i| wanted.contains(i)).filter(unfinished).collect()
    }

    /// The run directories of a column, one for each seed, if all of them are finished.
    pub(crate) fn runs(&self, column: &PlannedColumn) -> Option<Vec<String>> {
        self.finished(&column.trainings)
    }

    /// The run directories of these trainings, if all of them are finished.
    pub(crate) fn finished(&self, trainings: &[usize]) -> Option<Vec<String>> {
        let run = |&index: &usize| match &self.trainings[index].state {
            State::Done { run } => Some(run.clone()),
            State::ToDo { .. } => None,
        };
        trainings.iter().map(run).collect()
    }

    fn add(&mut self, cldl: &Cldl, job: Job) -> Result<usize> {
        if let Some(index) = self.trainings.iter().position(|known| known.job.args == job.args) {
            return Ok(index);
        }
        let answer = cldl.dry_run(&job.args)?;
        let run = answer.run;
        let state = match answer.state {
            RunState::Done => State::Done { run },
            RunState::New | RunState::Partial => State::ToDo {
                run,
                started: answer.state == RunState::Partial,
                seconds: answer.expected_seconds.unwrap_or(0.0),
            },
        };
        let attack_seconds = answer.expected_attack_seconds.unwrap_or(0.0);
        self.trainings.push(Training { job, state, attack_seconds });
        Ok(self.trainings.len() - 1)
    }
}
