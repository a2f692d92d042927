//! `table.md`.

use std::fmt::Write as _;

use super::facts::{beside, facts, findings, printed, printed_cell, subscript, title};
use super::{Row, Table};

/// The table as Markdown: how it was made, the table, what it shows.
pub fn markdown(table: &Table) -> String {
    let mut out = format!("# {}\n\n{}\n", title(table), list(&facts(table)));
    out += "A cell is ours (the paper's, the difference); the best of ours in a row is bold.\n\n";
    let labels: Vec<String> = table.columns.iter().map(|column| heading(&column.label)).collect();
    line(&mut out, ["attack", "eps"], &labels);
    line(&mut out, ["---", "---:"], &vec!["---:".to_owned(); labels.len()]);
    let clean = table
        .columns
        .iter()
        .map(|column| printed(table.clean(&column.key), table.clean_std(&column.key)));
    line(&mut out, ["clean", ""], &clean.collect::<Vec<_>>());
    for row in &table.rows {
        let cells = table.columns.iter().map(|column| cell(row, &column.key));
        line(&mut out, [&row.attack, &row.eps.to_string()], &cells.collect::<Vec<_>>());
    }
    let _ = write!(out, "\n{}", list(&findings(table)));
    out
}

fn line(out: &mut String, start: [&str; 2], cells: &[String]) {
    let _ = writeln!(out, "| {} | {} |", start.join(" | "), cells.join(" | "));
}

fn cell(row: &Row, column: &str) -> String {
    let Some(cell) = row.cell(column) else { return String::new() };
    let ours = printed_cell(cell);
    let ours = if row.is_best(column) { format!("**{ours}**") } else { ours };
    match beside(cell) {
        beside if beside.is_empty() => ours,
        beside => format!("{ours} ({beside})"),
    }
}

fn heading(label: &str) -> String {
    match subscript(label) {
        (stem, Some(below)) => format!("{stem}<sub>{below}</sub>"),
        (stem, None) => stem.to_owned(),
    }
}

fn list(items: &[String]) -> String {
    items.iter().fold(String::new(), |list, item| list + "- " + item + "\n")
}

#[cfg(test)]
mod tests {
    use super::markdown;
    use crate::table::fixture;

    #[test]
    fn the_table_reads_as_expected() {
        let text = markdown(&fixture::table());
        assert!(
            text.starts_with("# Table 4. Accuracy (%) under attack on MNIST\n\n- variant paper")
        );
        let expected = "\
| attack | eps | ADP | GAL | CLDL<sub>3,4,4</sub> | baseline |
| --- | ---: | ---: | ---: | ---: | ---: |
| clean |  | 98.50 | not run | 99.00 | 98.25 |
| fgsm | 0.1 | 92.00 (93.29, -1.29) | not run (90.77) | **95.50** (95.43, +0.07) | 90.00 |
| fgsm | 0.25 | 30.00 (27.38, +2.62) | not run (30.13) | **61.25** (57.51, +3.74) | 25.50 |
| pgd | 0.1 | **90.00** (89.66, +0.34) | not run (84.87) | **90.00** (93.75, -3.75) | 85.00 |
| pgd | 0.25 | 4.50 (3.06, +1.44) | not run (6.44) | **20.00** (24.81, -4.81) | not run |

- Kendall's tau between our columns and the paper's: 1.00, mean over 3 rows
- holds: pgd is the strongest attack (ours 4 of 4, paper 4 of 4)
";
        assert!(text.contains(expected), "{text}");
    }
}
