//! The table itself. Its JSON form is a contract with scripts of others: names and order of the keys
//! are those of the fields; keys may be added after `rows`.

use serde::{Deserialize, Serialize};

use super::entries::{self, Entries};
use super::request::{Column, Request};
use super::sources::Sources;

/// A table: ours beside the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Number in the paper.
    pub table: u8,
    /// `smoke`, `quick` or `paper`.
    pub scale: String,
    /// `paper` or `official`.
    pub variant: String,
    /// `official` or `paper`.
    pub protocol: String,
    /// Seeds of the targets.
    pub seeds: Vec<u64>,
    /// Test images under attack.
    pub examples: usize,
    /// Seconds spent on it.
    pub wall_seconds: f64,
    /// Clean accuracy in percent by column key; columns that are not run are absent.
    #[serde(with = "entries")]
    pub clean: Entries<f64>,
    /// The rows, in order.
    pub rows: Vec<Row>,
    /// Title.
    pub title: String,
    /// Data set.
    pub dataset: String,
    /// Architecture.
    pub arch: String,
    /// Members of a target.
    pub members: usize,
    /// Training images; none means all.
    pub limit_train: Option<usize>,
    /// Passes over them.
    pub epochs: usize,
    /// Whether surrogates start from the target's initial weights.
    pub shared_init: bool,
    /// The command that made it.
    pub command: String,
    /// The columns, in order, with their run directories.
    pub columns: Vec<Column>,
    /// For each seed, the run directories of the surrogates.
    pub surrogates: Vec<Vec<String>>,
    /// Losses that the attacks maximize.
    pub losses: Vec<String>,
    /// Random starts of attacks that have them.
    pub attack_seeds: usize,
    /// Steps of the attacks.
    pub steps: usize,
    /// Standard deviation of clean accuracy over seeds, where there are several.
    #[serde(with = "entries", default, skip_serializing_if = "Vec::is_empty")]
    pub clean_std: Entries<f64>,
    /// What it was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed_from: Option<Sources>,
}

/// One attack with one radius.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The attack.
    pub attack: String,
    /// Its radius.
    pub eps: f64,
    /// By column key, in the order of the columns.
    #[serde(with = "entries")]
    pub cells: Entries<Cell>,
}

/// Robust accuracy in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Our number, the mean over seeds; none if it is not run, or undefined.
    pub ours: Option<f64>,
    /// The printed number.
    pub paper: Option<f64>,
    /// Ours less the paper's.
    pub difference: Option<f64>,
    /// Standard deviation of ours over seeds, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// It is run, but no image was right before the attack: 0 of 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undefined: bool,
}

/// What has to be known for one cell and one seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question<'a> {
    /// Run directory of the target.
    pub run: &'a str,
    /// Run directories of the surrogates.
    pub surrogates: &'a [String],
    /// Attack and radius; none asks for clean accuracy.
    pub attack: Option<(&'a str, f64)>,
}

impl Table {
    /// Fills a request: `ask` answers with a percentage (NaN if it is one of no images), or none if it
    /// is not known yet. A cell has a number once every seed has one.
    ///
    /// # Errors
    /// The first that `ask` returns.
    pub fn fill<E>(
        request: &Request,
        mut ask: impl FnMut(Question<'_>) -> Result<Option<f64>, E>,
    ) -> Result<Self, E> {
        let (mut clean, mut clean_std) = (Vec::new(), Vec::new());
        for column in &request.columns {
            let cell = cell(request, column, None, &mut ask)?;
            clean.extend(cell.ours.map(|percent| (column.key.clone(), percent)));
            clean_std.extend(cell.std.map(|std| (column.key.clone(), std)));
        }
        let mut rows = Vec::new();
        for attack in &request.attacks {
            for &eps in &request.eps {
                let cells = request.columns.iter().map(|column| {
                    let cell = cell(request, column, Some((attack, eps)), &mut ask)?;
                    Ok((column.key.clone(), cell))
                });
                let cells = cells.collect::<Result<_, E>>()?;
                rows.push(Row { attack: attack.clone(), eps, cells });
            }
        }
        let request = request.clone();
        Ok(Self {
            table: request.table,
            scale: request.scale,
            variant: request.variant,
            protocol: request.protocol,
            seeds: request.seeds,
            examples: request.examples,
            wall_seconds: request.wall_seconds,
            clean,
            rows,
            title: request.title,
            dataset: request.dataset,
            arch: request.arch,
            members: request.members,
            limit_train: request.limit_train,
            epochs: request.epochs,
            shared_init: request.shared_init,
            command: request.command,
            columns: request.columns,
            surrogates: request.surrogates,
            losses: request.losses,
            attack_seeds: request.attack_seeds,
            steps: request.steps,
            clean_std,
            computed_from: None,
        })
    }

    /// Clean accuracy of a column.
    pub fn clean(&self, column: &str) -> Option<f64> {
        entries::get(&self.clean, column).copied()
    }

    /// Standard deviation of a column's clean accuracy over seeds.
    pub fn clean_std(&self, column: &str) -> Option<f64> {
        entries::get(&self.clean_std, column).copied()
    }
}

impl Row {
    /// The cell of a column.
    pub fn cell(&self, column: &str) -> Option<&Cell> {
        entries::get(&self.cells, column)
    }

    /// Whether our number of this column is the best of ours, as printed (two decimals); ties all are.
    pub fn is_best(&self, column: &str) -> bool {
        let printed = |cell: &Cell| cell.ours.map(|ours| (ours * 100.0).round() as i64);
        let best = self.cells.iter().filter_map(|(_, cell)| printed(cell)).max();
        best.is_some() && self.cell(column).and_then(printed) == best
    }
}

impl Cell {
    /// A cell from one number for each seed (none at all if it is not run, NaN if it is undefined).
    pub fn new(ours: &[f64], paper: Option<f64>) -> Self {
        let n = ours.len() as f64;
        let mean = (!ours.is_empty()).then(|| ours.iter().sum::<f64>() / n);
        let undefined = mean.is_some_and(f64::is_nan);
        let mean = mean.filter(|mean| !mean.is_nan());
        let deviation = |mean: f64| {
            let squares: f64 = ours.iter().map(|one| (one - mean).powi(2)).sum();
            (squares / (n - 1.0)).sqrt()
        };
        Self {
            ours: mean.map(tidy),
            paper,
            difference: mean.zip(paper).map(|(ours, paper)| tidy(ours - paper)),
            std: mean.filter(|_| 1 < ours.len()).map(deviation).map(tidy),
            undefined,
        }
    }
}

fn cell<E>(
    request: &Request,
    column: &Column,
    attack: Option<(&str, f64)>,
    ask: &mut impl FnMut(Question<'_>) -> Result<Option<f64>, E>,
) -> Result<Cell, E> {
    let paper = attack.and_then(|(attack, eps)| request.paper(&column.key, attack, eps));
    let mut ours = Vec::new();
    let runs = column.runs.as_deref().unwrap_or_default();
    for (run, surrogates) in runs.iter().zip(&request.surrogates) {
        // Before the surrogates are trained, only clean images can be asked for.
        if surrogates.is_empty() && attack.is_some() {
            return Ok(Cell::new(&[], paper));
        }
        match ask(Question { run, surrogates, attack })? {
            Some(percent) => ours.push(percent),
            None => return Ok(Cell::new(&[], paper)),
        }
    }
    Ok(Cell::new(&ours, paper))
}

/// Four decimals: more are noise of the division.
pub(super) fn tidy(percent: f64) -> f64 {
    // Adding zero turns -0 into 0.
    (percent * 1e4).round() / 1e4 + 0.0
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table};
    use crate::table::fixture;

    #[test]
    fn a_cell_is_the_mean_over_seeds() {
        let cell = Cell::new(&[90.0, 93.0], Some(94.48));
        assert_eq!((cell.ours, cell.difference), (Some(91.5), Some(-2.98)));
        assert_eq!(cell.std, Some(2.1213));
        assert_eq!(Cell::new(&[90.0], None).std, None);
        assert_eq!(Cell::new(&[], Some(1.0)).difference, None);
    }

    #[test]
    fn a_percentage_of_no_images_is_undefined_and_not_missing() {
        let cell = Cell::new(&[f64::NAN], Some(50.0));
        assert!(cell.undefined && cell.ours.is_none() && cell.difference.is_none());
        let json = serde_json::to_string(&cell).unwrap();
        assert!(json.ends_with(r#""undefined":true}"#), "{json}");
        assert!(!Cell::new(&[], None).undefined);
    }

    #[test]
    fn a_cell_waits_for_every_seed() {
        let mut request = fixture::request();
        request.surrogates.push(vec!["s".to_owned()]);
        for column in &mut request.columns {
            column.seeds.push(1);
            if let Some(runs) = &mut column.runs {
                runs.push("late".to_owned());
            }
        }
        let answer = |late: Option<f64>| {
            Table::fill(&request, |question| {
                Ok::<_, ()>(if question.run == "late" { late } else { Some(50.0) })
            })
        };
        let waiting = answer(None).unwrap();
        assert_eq!(waiting.rows[0].cell("adp").unwrap().ours, None);
        assert!(waiting.clean.is_empty());
        let complete = answer(Some(60.0)).unwrap();
        assert_eq!(complete.rows[0].cell("adp").unwrap().ours, Some(55.0));
        assert_eq!(complete.clean("adp"), Some(55.0));
    }

    #[test]
    fn nothing_is_asked_before_the_surrogates_are_trained() {
        let mut request = fixture::request();
        request.surrogates = vec![Vec::new()];
        let table = Table::fill(&request, |question| {
            assert_eq!(question.attack, None);
            Ok::<_, ()>(Some(99.0))
        });
        assert!(table.unwrap().rows.iter().all(|row| row.cell("adp").unwrap().ours.is_none()));
    }

    #[test]
    fn the_best_is_taken_as_printed_and_ties_all_are() {
        let mut row = fixture::table().rows[0].clone();
        row.cells[0].1.ours = Some(65.391);
        row.cells[2].1.ours = Some(65.389);
        row.cells[3].1.ours = Some(65.0);
        let best: Vec<bool> = row.cells.iter().map(|(key, _)| row.is_best(key)).collect();
        assert_eq!(best, [true, false, true, false]);
        for cell in &mut row.cells {
            cell.1.ours = None;
        }
        assert!(!row.is_best("adp"));
    }
}
