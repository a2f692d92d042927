//! The tables: ours beside the paper's, and the runs beside each other.

use cldl_eval::table::{Cell, Row, Table, facts, findings};
use cldl_eval::{Bench, Denominator, Observe, Protocol, Score, Store};

use super::{Grid, GridCell, Section};
use crate::{ReportError, Study};

/// A difference of so many points has the fullest color.
const FULL: f64 = 20.0;

/// A section for each table.
pub(super) fn sections(study: &Study) -> Vec<Section> {
    let section = |(i, (path, table)): (usize, &(std::path::PathBuf, Table))| {
        let mut notes = facts(table);
        notes.extend(findings(table));
        notes.push(format!("read from {}", path.display()));
        Section {
            grids: vec![grid(table)],
            notes,
            ..Section::new(
                &format!("table-{}", i + 1),
                &format!("Table {}: ours beside the paper's", table.table),
                &format!(
                    "{}. Each cell is ours, with the paper's number and the difference below. Blue: \
                     ours is higher, orange: lower; the fuller, the more. The best of ours in a row is \
                     bold. Point at a cell for counts and the 95 % confidence interval.",
                    table.title
                ),
            )
        }
    };
    study.tables.iter().enumerate().map(section).collect()
}

fn grid(table: &Table) -> Grid {
    let mut grid = Grid::new("Robust accuracy in percent", &["attack", "eps"]);
    grid.head.extend(table.columns.iter().map(|column| {
        let (name, below) = column.label.split_once('_').unwrap_or((&column.label, ""));
        (name.to_owned(), below.to_owned())
    }));
    let clean = table.columns.iter().map(|column| match table.clean(&column.key) {
        None => GridCell::text("not run"),
        Some(percent) => {
            let total = table.examples * table.seeds.len();
            GridCell::number(percent, 2).tip(counted(percent, total, "clean images", true))
        }
    });
    let first = [GridCell::text("clean"), GridCell::number(0.0, 0)];
    grid.rows.push(first.into_iter().chain(clean).collect());
    for row in &table.rows {
        let eps = GridCell { text: row.eps.to_string(), ..GridCell::number(row.eps, 2) };
        let first = [GridCell::text(&row.attack), eps];
        let cells = table.columns.iter().map(|column| cell(table, row, &column.key));
        grid.rows.push(first.into_iter().chain(cells).collect());
    }
    grid
}

fn cell(table: &Table, row: &Row, column: &str) -> GridCell {
    let Some(found) = row.cell(column) else { return GridCell::default() };
    let paper = found.paper.map(|paper| match found.difference {
        Some(difference) => format!("{paper:.2}  {difference:+.2}"),
        None => format!("{paper:.2}"),
    });
    let text = match (found.ours, found.undefined) {
        (Some(ours), _) => format!("{ours:.2}"),
        (None, true) => "0 of 0".to_owned(),
        (None, false) => "not run".to_owned(),
    };
    GridCell {
        text,
        small: paper.unwrap_or_default(),
        tip: tip(table, row, column, found),
        number: found.ours,
        shade: found.difference.map(|difference| (difference / FULL).clamp(-1.0, 1.0)),
        best: found.ours.is_some() && row.is_best(column),
    }
}

/// Counts and interval of a cell, as far as the table tells.
fn tip(table: &Table, row: &Row, column: &str, cell: &Cell) -> String {
    let mut lines = vec![format!("{column} under {} at eps {}", row.attack, row.eps)];
    if let Some(ours) = cell.ours {
        lines.push(total(table, column).map_or_else(String::new, |(total, exact)| {
            let what = match protocol(table).map(|protocol| protocol.denominator) {
                Some(Denominator::CleanRight) => "images that were right before",
                _ => "images, as a mean over the adversarial sets",
            };
            counted(ours, total, what, exact)
        }));
    }
    if let Some(std) = cell.std {
        lines.push(format!("standard deviation over seeds {std:.2}"));
    }
    if let Some(paper) = cell.paper {
        lines.push(format!("paper {paper:.2}"));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// Of how many images a percentage of `column` is a share, and whether its count is a whole number.
fn total(table: &Table, column: &str) -> Option<(usize, bool)> {
    let images = table.examples * table.seeds.len();
    match protocol(table)?.denominator {
        Denominator::All => Some((images, false)),
        Denominator::CleanRight => {
            let right = table.clean(column)? / 100.0 * images as f64;
            Some((right.round() as usize, table.seeds.len() == 1))
        }
    }
}

/// The interval of a table's cell in percent, as far as the table tells.
pub(super) fn interval(table: &Table, column: &str, ours: f64) -> Option<(f64, f64)> {
    let (total, _) = total(table, column)?;
    of(ours, total).interval()
}

fn protocol(table: &Table) -> Option<Protocol> {
    table.protocol.parse().ok()
}

fn of(percent: f64, total: usize) -> Score {
    Score { right: (percent / 100.0 * total as f64).round() as usize, total }
}

fn counted(percent: f64, total: usize, what: &str, exact: bool) -> String {
    let score = of(percent, total);
    let interval = score.interval().map_or_else(String::new, |(low, high)| {
        format!("\n95 % interval {low:.1} to {high:.1} (Wilson)")
    });
    if exact {
        format!("{} of {total} {what}{interval}", score.right)
    } else {
        format!("{percent:.2} % of {total} {what}{interval}")
    }
}

/// The runs beside each other: clean accuracy, and what is left under white-box attacks.
pub(super) fn runs(study: &Study, observe: &mut Observe<'_>) -> Result<Section, ReportError> {
    let lead = format!(
        "Clean accuracy, and accuracy under white-box attacks at eps {}: by someone who knows the \
         whole ensemble, one random start, cross-entropy.",
        study.eps()
    );
    let mut section = Section::new("runs", "The ensembles", &lead);
    let (found, sets) = super::curves::measure(study, observe)?;
    let Some(examples) = study.examples(study.settings.examples)? else { return Ok(section) };
    let store = Store::new(&study.settings.store);
    let bench = Bench {
        examples: &examples,
        store: &store,
        device: study.settings.device.clone(),
        batch_size: super::curves::BATCH,
    };
    let mut grid = Grid::new(
        &format!("Accuracy in percent of {} test images", examples.len()),
        &["ensemble", "members", "epochs", "clean"],
    );
    grid.head.extend(super::curves::ATTACKS.map(|attack| (attack.to_string(), String::new())));
    for run in &study.runs {
        let clean = bench.key(&run.inner.digest);
        let scored = |score: Option<Score>| {
            let cell = score.and_then(|score| Some((score, score.percent()?)));
            cell.map_or_else(GridCell::default, |(score, percent)| {
                GridCell::number(percent, 2).tip(counted(percent, score.total, "images", true))
            })
        };
        let before = store.load_intact(&clean)?.map(|record| Score::of(&record.outcome));
        let mut row = vec![
            GridCell::text(&run.label).tip(run.path.clone()),
            GridCell::number(run.inner.ensemble.members.len() as f64, 0),
            GridCell::number(run.inner.epochs_done as f64, 0),
            scored(before),
        ];
        for attack in super::curves::ATTACKS {
            row.push(scored(found.score(&sets, &clean, attack, study.eps())?));
        }
        grid.rows.push(row);
    }
    section.grids.push(grid);
    Ok(section)
}
