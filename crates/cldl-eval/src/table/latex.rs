//! `table.tex`: a `table*` with booktabs. Each row has two lines: ours, and under it, small, the paper's
//! number and the difference.

use std::fmt::Write as _;

use super::facts::{facts, findings, printed, printed_cell, subscript, title};
use super::{Row, Table};

/// The table as LaTeX; needs the package `booktabs`.
pub fn latex(table: &Table) -> String {
    let mut out = String::new();
    for fact in facts(table).iter().chain(&findings(table)) {
        let _ = writeln!(out, "% {fact}");
    }
    let columns = table.columns.len();
    let _ = write!(
        out,
        "% needs \\usepackage{{booktabs}}\n\\begin{{table*}}\n\\centering\n\\caption{{{}}}\n\
         \\label{{tab:cldl-{}-{}}}\n\\begin{{tabular}}{{ll{}}}\n\\toprule\n",
        caption(table),
        table.table,
        table.scale,
        "r".repeat(columns)
    );
    let labels = table.columns.iter().map(|column| heading(&column.label));
    line(&mut out, ["attack".to_owned(), "$\\epsilon$".to_owned()], labels);
    out += "\\midrule\n";
    let clean = table
        .columns
        .iter()
        .map(|column| math(&printed(table.clean(&column.key), table.clean_std(&column.key))));
    line(&mut out, ["clean".to_owned(), String::new()], clean);
    let mut attack = "";
    for row in &table.rows {
        let mut name = String::new();
        if row.attack != attack {
            attack = &row.attack;
            name = attack.to_uppercase();
            out += "\\midrule\n";
        }
        let keys = || table.columns.iter().map(|column| column.key.as_str());
        line(&mut out, [name, row.eps.to_string()], keys().map(|key| ours(row, key)));
        line(&mut out, [String::new(), String::new()], keys().map(|key| beside(row, key)));
    }
    out += "\\bottomrule\n\\end{tabular}\n\\end{table*}\n";
    out
}

fn line(out: &mut String, start: [String; 2], cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = start.into_iter().chain(cells).collect();
    let _ = writeln!(out, "{} \\\\", cells.join(" & ").trim());
}

fn caption(table: &Table) -> String {
    let about = format!(
        "{}; variant {}, protocol {}, scale {}, {} examples. Below each number: the paper's and the difference.",
        title(table).trim_start_matches(&format!("Table {}. ", table.table)),
        table.variant,
        table.protocol,
        table.scale,
        table.examples
    );
    escaped(&about)
}

fn ours(row: &Row, column: &str) -> String {
    let Some(cell) = row.cell(column) else { return String::new() };
    let ours = math(&printed_cell(cell));
    if row.is_best(column) { format!("\\textbf{{{ours}}}") } else { ours }
}

fn beside(row: &Row, column: &str) -> String {
    let Some(cell) = row.cell(column) else { return String::new() };
    match (cell.paper, cell.difference) {
        (None, _) => String::new(),
        (Some(paper), None) => format!("{{\\scriptsize {paper:.2}}}"),
        (Some(paper), Some(difference)) => {
            format!("{{\\scriptsize {paper:.2} ${difference:+.2}$}}")
        }
    }
}

fn math(number: &str) -> String {
    number.replace('±', "$\\pm$")
}

fn heading(label: &str) -> String {
    match subscript(label) {
        (stem, Some(below)) => format!("{}$_{{{}}}$", escaped(stem), escaped(below)),
        (stem, None) => escaped(stem),
    }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if "%&_#${}".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::latex;
    use crate::table::fixture;

    #[test]
    fn the_table_reads_as_expected() {
        let text = latex(&fixture::table());
        let expected = r"% needs \usepackage{booktabs}
\begin{table*}
\centering
\caption{Accuracy (\%) under attack on MNIST; variant paper, protocol official, scale smoke, 200 examples. Below each number: the paper's and the difference.}
\label{tab:cldl-4-smoke}
\begin{tabular}{llrrrr}
\toprule
attack & $\epsilon$ & ADP & GAL & CLDL$_{3,4,4}$ & baseline \\
\midrule
clean &  & 98.50 & not run & 99.00 & 98.25 \\
\midrule
FGSM & 0.1 & 92.00 & not run & \textbf{95.50} & 90.00 \\
&  & {\scriptsize 93.29 $-1.29$} & {\scriptsize 90.77} & {\scriptsize 95.43 $+0.07$} & \\
& 0.25 & 30.00 & not run & \textbf{61.25} & 25.50 \\
&  & {\scriptsize 27.38 $+2.62$} & {\scriptsize 30.13} & {\scriptsize 57.51 $+3.74$} & \\
\midrule
PGD & 0.1 & \textbf{90.00} & not run & \textbf{90.00} & 85.00 \\
";
        assert!(text.contains(expected), "{text}");
        assert!(text.starts_with("% variant paper, protocol official, seeds 0"));
        assert!(text.ends_with("\\bottomrule\n\\end{tabular}\n\\end{table*}\n"));
    }
}
