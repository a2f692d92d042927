//! The table for a terminal.

use comfy_table::{CellAlignment, ContentArrangement, Table as Grid, presets};

use super::facts::{UNDEFINED, facts, findings, title};
use super::{Row, Table};

/// The table as text: how it was made, the table (one decimal, to be narrow), what it shows.
pub fn text(table: &Table) -> String {
    let mut grid = Grid::new();
    grid.load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Disabled)
        .force_no_tty();
    let labels = table.columns.iter().map(|column| column.label.clone());
    grid.set_header(["attack".to_owned(), "eps".to_owned()].into_iter().chain(labels));
    let clean = table.columns.iter().map(|column| printed(table.clean(&column.key)));
    grid.add_row(["clean".to_owned(), String::new()].into_iter().chain(clean));
    for row in &table.rows {
        let cells = table.columns.iter().map(|column| cell(row, &column.key));
        grid.add_row([row.attack.clone(), row.eps.to_string()].into_iter().chain(cells));
    }
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!(
        "{}\n{}\n\n{grid}\nours; below it the paper's and the difference; * best of ours in its row\n\n{}\n",
        title(table),
        facts(table).join("\n"),
        findings(table).join("\n")
    )
}

fn cell(row: &Row, column: &str) -> String {
    let Some(cell) = row.cell(column) else { return String::new() };
    let star = if row.is_best(column) { "*" } else { "" };
    let beside = match (cell.paper, cell.difference) {
        (None, _) => String::new(),
        (Some(paper), None) => format!("{paper:.1}"),
        (Some(paper), Some(difference)) => format!("{paper:.1} {difference:+.1}"),
    };
    format!(
        "{star}{}\n{beside}",
        if cell.undefined { UNDEFINED.to_owned() } else { printed(cell.ours) }
    )
}

fn printed(ours: Option<f64>) -> String {
    ours.map_or("not run".to_owned(), |ours| format!("{ours:.1}"))
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::table::fixture;

    #[test]
    fn the_table_reads_as_expected() {
        let text = text(&fixture::table());
        let expected = "\
┌────────┬──────┬───────────┬─────────┬────────────┬──────────┐
│ attack ┆  eps ┆       ADP ┆     GAL ┆ CLDL_3,4,4 ┆ baseline │
╞════════╪══════╪═══════════╪═════════╪════════════╪══════════╡
│ clean  ┆      ┆      98.5 ┆ not run ┆       99.0 ┆     98.2 │
│ fgsm   ┆  0.1 ┆      92.0 ┆ not run ┆      *95.5 ┆     90.0 │
│        ┆      ┆ 93.3 -1.3 ┆    90.8 ┆  95.4 +0.1 ┆          │
";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("\n\nKendall's tau between"), "{text}");
    }
}
