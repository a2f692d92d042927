//! The four files of a table.

use std::path::Path;

use cldl_core::files::write_atomically;

use super::{Table, csv, json, latex, markdown};
use crate::EvalError;

/// Writes `table.json`, `table.md`, `table.csv` and `table.tex` into `folder`, each whole or not at all.
///
/// # Errors
/// If a file can't be written; the message names it.
pub fn write_table(table: &Table, folder: &Path) -> Result<(), EvalError> {
    for (name, text) in forms(table)? {
        write_atomically(&folder.join(name), text.as_bytes()).map_err(EvalError::Write)?;
    }
    Ok(())
}

/// The four files by name.
pub(super) fn forms(table: &Table) -> Result<Vec<(&'static str, String)>, EvalError> {
    let json = json(table)
        .and_then(|json| serde_json::to_string_pretty(&json))
        .map_err(|e| EvalError::Argument(format!("the table is no JSON: {e}")))?;
    Ok(vec![
        ("table.json", json + "\n"),
        ("table.md", markdown(table)),
        ("table.csv", csv(table)),
        ("table.tex", latex(table)),
    ])
}

#[cfg(test)]
mod tests {
    use super::write_table;
    use crate::table::{Table, fixture};

    #[test]
    fn writes_four_files_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("results/table4-smoke");
        write_table(&fixture::table(), &out).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["table.csv", "table.json", "table.md", "table.tex"]);
        let json = std::fs::read(out.join("table.json")).unwrap();
        assert_eq!(serde_json::from_slice::<Table>(&json).unwrap(), fixture::table());
    }

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        std::fs::write(&blocked, "").unwrap();
        let error = write_table(&fixture::table(), &blocked).unwrap_err();
        assert!(error.to_string().contains("table.json"), "{error}");
    }
}
