//! `table.csv`: one line a number, so that tables of several scales and variants can be put together.

use super::facts::numbers;
use super::{Cell, Sources, Table};

const HEADER: &str = "table,scale,variant,protocol,seeds,examples,wall_seconds,attack,eps,method,state,\
                      ours,std,paper,difference,computed_from\n";

/// The table as CSV. Clean accuracy is the attack `clean` with eps 0; a number that is not there is an empty
/// field, and `state` says `run` or `not run`; `computed_from` is [`Sources::digest`](super::Sources::digest).
pub fn csv(table: &Table) -> String {
    let start = format!(
        "{},{},{},{},{},{},{}",
        table.table,
        table.scale,
        table.variant,
        table.protocol,
        numbers(&table.seeds).replace(", ", " "),
        table.examples,
        table.wall_seconds
    );
    let sources = table.computed_from.as_ref().map(Sources::digest).unwrap_or_default();
    let mut out = HEADER.to_owned();
    let mut line = |attack: &str, eps: f64, method: &str, cell: &Cell| {
        let state = if cell.ours.is_some() || cell.undefined { "run" } else { "not run" };
        let fields = [cell.ours, cell.std, cell.paper, cell.difference];
        let fields = fields.map(|field| field.map(|number| number.to_string()).unwrap_or_default());
        let (eps, fields) = (eps.to_string(), fields.join(","));
        out += &[start.as_str(), attack, &eps, method, state, &fields, &sources].join(",");
        out.push('\n');
    };
    for column in &table.columns {
        let (ours, std) = (table.clean(&column.key), table.clean_std(&column.key));
        let cell = Cell { ours, paper: None, difference: None, std, undefined: false };
        line("clean", 0.0, &column.key, &cell);
    }
    for row in &table.rows {
        for (method, cell) in &row.cells {
            line(&row.attack, row.eps, method, cell);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::csv;
    use crate::table::fixture;

    #[test]
    fn every_line_speaks_for_itself() {
        let text = csv(&fixture::table());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 4 + 16);
        let fields = lines[0].split(',').count();
        assert!(lines.iter().all(|line| line.split(',').count() == fields));
        assert_eq!(lines[1], "4,smoke,paper,official,0,200,83.4,clean,0,adp,run,98.5,,,,");
        assert_eq!(lines[5], "4,smoke,paper,official,0,200,83.4,fgsm,0.1,adp,run,92,,93.29,-1.29,");
        assert_eq!(lines[6], "4,smoke,paper,official,0,200,83.4,fgsm,0.1,gal,not run,,,90.77,,");
    }
}
