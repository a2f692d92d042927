//! How many tasks there are: what a plan says on every machine, so that a page of it can be checked.

use crate::reproduce::{Common, Plan, Settings, What, everything, tables};
use crate::workspace::experiments;
use anyhow::Result;
use clap::Parser as _;
use cldl_grid::Task;
use serde::Serialize;
use std::fmt::Write as _;

/// The number of tasks of a table.
#[derive(Debug, Serialize)]
pub(super) struct Count {
    pub(super) name: String,
    pub(super) trainings: usize,
    pub(super) attacks: usize,
}

impl Count {
    pub(super) fn of(name: String, tasks: &[Task]) -> Self {
        let trainings = tasks.iter().filter(|task| task.needs.is_empty()).count();
        Self { name, trainings, attacks: tasks.len() - trainings }
    }
}

/// The flags of `plan` that say which tasks.
#[derive(clap::Parser)]
#[command(no_binary_name = true)]
struct Line {
    #[command(flatten)]
    what: What,
}

/// The counts of `plan` with these flags, as Markdown.
pub(crate) fn counts(flags: &str) -> Result<String> {
    let what = Line::try_parse_from(flags.split_whitespace())?.what;
    let settings = Settings::new(&what)?;
    let common = Common::read(&experiments())?;
    let (mut counts, mut all) = (Vec::new(), Vec::new());
    for table in tables(&what, &settings)? {
        let name = format!("table {}", table.table);
        let mut plan = Plan::imagine(table, &common, &settings)?;
        let tasks = everything(&mut plan, &common, &settings);
        counts.push(Count::of(name, &tasks));
        all.extend(fresh(tasks, &all));
    }
    counts.push(Count::of("all".to_owned(), &all));
    Ok(markdown(&counts.iter().collect::<Vec<_>>()))
}

/// What is not among the `known`.
pub(super) fn fresh(mut tasks: Vec<Task>, known: &[Task]) -> Vec<Task> {
    tasks.retain(|task| known.iter().all(|known| known.id != task.id));
    tasks
}

pub(super) fn markdown(counts: &[&Count]) -> String {
    let mut text =
        "| table | trainings | attacks | tasks |\n| --- | --: | --: | --: |\n".to_owned();
    for Count { name, trainings, attacks } in counts {
        // Writing to a string can't fail.
        let _ = writeln!(text, "| {name} | {trainings} | {attacks} | {} |", trainings + attacks);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::counts;

    #[test]
    fn what_tables_share_counts_once_in_all() {
        let text = counts("--all --scale paper --seeds 2").unwrap();
        let rows: Vec<Vec<usize>> = (text.lines().skip(2))
            .map(|row| row.split(" | ").skip(1).map(|cell| cell.trim_end_matches(" |").parse()))
            .map(|cells| cells.collect::<Result<_, _>>().unwrap())
            .collect();
        let (all, tables) = rows.split_last().unwrap();
        assert_eq!(tables.len(), 7);
        let sum = |at: usize| tables.iter().map(|row| row[at]).sum::<usize>();
        assert!(all[0] < sum(0), "surrogates are shared");
        assert!(rows.iter().all(|row| row[0] + row[1] == row[2]));
    }

    #[test]
    fn more_seeds_are_more_trainings() {
        let trainings = |flags: &str| {
            let text = counts(flags).unwrap();
            text.lines().last().unwrap().split(" | ").nth(1).unwrap().parse::<usize>().unwrap()
        };
        let [one, two] = [1, 2].map(|seeds| trainings(&format!("--table 4 --seeds {seeds}")));
        // Seven columns more; surrogates are the same for all seeds.
        assert_eq!(two, one + 7);
    }
}
