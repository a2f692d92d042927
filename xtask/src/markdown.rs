//! Tables in Markdown.

use std::fmt::Write as _;

/// The head of a table; all columns but the first are numbers.
pub(crate) fn head(cells: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    row(&mut text, cells);
    let rules: Vec<&str> = (0..cells.len()).map(|at| if at == 0 { "---" } else { "--:" }).collect();
    row(&mut text, &rules);
    text
}

/// Adds a row to a table.
pub(crate) fn row(text: &mut String, cells: &[impl AsRef<str>]) {
    let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
    // Writing to a string can't fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::{head, row};

    #[test]
    fn a_table_has_a_head_and_rows() {
        let mut text = head(&["step", "seconds"]);
        row(&mut text, &["ce".to_owned(), "1.5".to_owned()]);
        assert_eq!(text, "| step | seconds |\n| --- | --: |\n| ce | 1.5 |\n");
    }
}
