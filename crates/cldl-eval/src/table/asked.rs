//! Whether a table shows what was asked for, and nothing else: rows, columns, settings, and numbers that
//! agree with each other.

use std::convert::Infallible;

use serde_json::Value;

use super::data::tidy;
use super::{Cell, PaperRow, Request, Row, Table};

/// Where `table` shows something else than `request` asks for, in a line; numbers of ours are left out.
pub(super) fn unlike(request: &Request, table: &Table) -> Option<String> {
    let Ok(asked) = Table::fill(request, |_| Ok::<_, Infallible>(None));
    let shown = without_numbers(table);
    let keys = |table: &Table| -> Vec<String> {
        table.columns.iter().map(|column| column.key.clone()).collect()
    };
    let names = |table: &Table| -> Vec<String> { table.rows.iter().map(name).collect() };
    unlike_names("column", &keys(&asked), &keys(&shown))
        .or_else(|| unlike_names("row", &names(&asked), &names(&shown)))
        .or_else(|| unlike_values("", &json(&asked), &json(&shown)))
}

/// The request that a table says it answers, to check the table by itself.
pub(super) fn implied(table: &Table) -> Request {
    let mut attacks: Vec<String> = Vec::new();
    let mut eps: Vec<f64> = Vec::new();
    for row in &table.rows {
        if !attacks.contains(&row.attack) {
            attacks.push(row.attack.clone());
        }
        if !eps.contains(&row.eps) {
            eps.push(row.eps);
        }
    }
    let printed = |row: &Row| PaperRow {
        attack: row.attack.clone(),
        eps: row.eps,
        cells: row
            .cells
            .iter()
            .filter_map(|(key, cell)| Some((key.clone(), cell.paper?)))
            .collect(),
    };
    let table = table.clone();
    Request {
        paper: table.rows.iter().map(printed).collect(),
        table: table.table,
        title: table.title,
        dataset: table.dataset,
        arch: table.arch,
        members: table.members,
        scale: table.scale,
        variant: table.variant,
        protocol: table.protocol,
        seeds: table.seeds,
        shared_init: table.shared_init,
        limit_train: table.limit_train,
        epochs: table.epochs,
        examples: table.examples,
        wall_seconds: table.wall_seconds,
        command: table.command,
        columns: table.columns,
        surrogates: table.surrogates,
        attacks,
        eps,
        losses: table.losses,
        attack_seeds: table.attack_seeds,
        steps: table.steps,
    }
}

/// A number of ours that can't be, in a line.
pub(super) fn impossible(table: &Table) -> Option<String> {
    let percent = |percent: f64| (0.0..=100.0).contains(&percent);
    for (key, clean) in &table.clean {
        if !table.columns.iter().any(|column| column.key == *key && column.runs.is_some()) {
            return Some(format!("clean accuracy of `{key}`, which was not run"));
        }
        if !percent(*clean) {
            return Some(format!("clean accuracy of `{key}` is {clean} %"));
        }
    }
    for row in &table.rows {
        for (key, cell) in &row.cells {
            let place = format!("row `{}`, column `{key}`", name(row));
            let run = table.columns.iter().any(|c| c.key == *key && c.runs.is_some());
            let Some(ours) = cell.ours else {
                if cell.difference.is_some() {
                    return Some(format!("{place}: a difference without a number of ours"));
                }
                continue;
            };
            if !run || cell.undefined {
                return Some(format!("{place}: a number where there is none to have"));
            }
            if !percent(ours) {
                return Some(format!("{place}: {ours} %"));
            }
            let difference = cell.paper.map(|paper| tidy(ours - paper));
            // Four decimals of the one are not always four of the other.
            let off = difference.zip(cell.difference).map(|(a, b)| (a - b).abs());
            if difference.is_some() != cell.difference.is_some()
                || off.is_some_and(|off| off > 1.5e-4)
            {
                return Some(format!("{place}: the difference is not ours less the paper's"));
            }
        }
    }
    None
}

/// A row as a person names it: `pgd 0.25`.
pub(super) fn name(row: &Row) -> String {
    format!("{} {}", row.attack, row.eps)
}

fn without_numbers(table: &Table) -> Table {
    let mut table = table.clone();
    table.clean.clear();
    table.clean_std.clear();
    table.computed_from = None;
    for (_, cell) in table.rows.iter_mut().flat_map(|row| &mut row.cells) {
        *cell = Cell::new(&[], cell.paper);
    }
    table
}

fn json(table: &Table) -> Value {
    // A table that was read has nothing that JSON has no form for.
    serde_json::to_value(table).unwrap_or_default()
}

fn unlike_names(what: &str, asked: &[String], shown: &[String]) -> Option<String> {
    if asked == shown {
        return None;
    }
    let lacks = asked.iter().find(|name| !shown.contains(name));
    let lacks = lacks.map(|name| format!("{what} `{name}` is missing"));
    let more = shown.iter().find(|name| !asked.contains(name));
    let more = more.map(|name| format!("{what} `{name}` was not asked for"));
    Some(lacks.or(more).unwrap_or_else(|| format!("its {what}s are not in the order asked for")))
}

fn unlike_values(path: &str, asked: &Value, shown: &Value) -> Option<String> {
    match (asked, shown) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            let dot = if path.is_empty() { "" } else { "." };
            let mut both = one.iter().zip(other.values());
            both.find_map(|((key, one), other)| {
                unlike_values(&format!("{path}{dot}{key}"), one, other)
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut both = one.iter().zip(other).enumerate();
            both.find_map(|(i, (one, other))| unlike_values(&format!("{path}[{i}]"), one, other))
        }
        _ => (asked != shown).then(|| format!("`{path}` is {shown}, asked for was {asked}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{implied, impossible, unlike};
    use crate::table::{Table, fixture};

    fn says(change: impl Fn(&mut Table)) -> String {
        let mut table = fixture::table();
        change(&mut table);
        unlike(&fixture::request(), &table).unwrap_or_default()
    }

    #[test]
    fn what_was_not_asked_for_is_named() {
        assert_eq!(says(|_| ()), "");
        assert_eq!(says(|t| drop(t.rows.remove(1))), "row `fgsm 0.25` is missing");
        assert_eq!(says(|t| t.rows[3].eps = 0.3), "row `pgd 0.25` is missing");
        assert_eq!(says(|t| t.rows.swap(0, 1)), "its rows are not in the order asked for");
        assert_eq!(says(|t| drop(t.columns.remove(0))), "column `adp` is missing");
        let label = says(|t| t.columns[0].label = "ADQ".to_owned());
        assert_eq!(label, "`columns[0].label` is \"ADQ\", asked for was \"ADP\"");
        assert_eq!(says(|t| t.seeds = vec![1]), "`seeds[0]` is 1, asked for was 0");
        let paper = says(|t| t.rows[0].cells[0].1.paper = Some(1.0));
        assert_eq!(paper, "`rows[0].cells.adp.paper` is 1.0, asked for was 93.29");
    }

    #[test]
    fn a_table_is_an_answer_to_what_it_implies() {
        let mut table = fixture::table();
        assert_eq!(unlike(&implied(&table), &table), None);
        table.rows.remove(1);
        assert_eq!(unlike(&implied(&table), &table).unwrap(), "row `fgsm 0.25` is missing");
    }

    #[test]
    fn numbers_that_can_t_be_are_named() {
        assert_eq!(impossible(&fixture::table()), None);
        let says = |change: &dyn Fn(&mut Table)| {
            let mut table = fixture::table();
            change(&mut table);
            impossible(&table).unwrap()
        };
        let edited = says(&|t| t.rows[0].cells[0].1.ours = Some(93.0));
        assert!(edited.contains("row `fgsm 0.1`, column `adp`: the difference"), "{edited}");
        assert!(says(&|t| t.clean[0].1 = 985.0).contains("985"));
        assert!(says(&|t| t.rows[0].cells[1].1.ours = Some(93.0)).contains("none to have"));
    }
}
