//! Whether the folder of a table is what it says, from its files alone.

use std::io::ErrorKind;
use std::path::Path;

use cldl_core::sums::sha256;
use cldl_core::{Finding, Verdict};

use super::asked::{implied, impossible, name, unlike};
use super::drawn;
use super::{Cell, Request, Sources, Table, entries, forms};
use crate::{Answers, EvalError, Store};

const TABLE: &str = "table.json";
const REQUEST: &str = "request.json";

/// Checks the folder of a table: that every form of it says what `table.json` says, that this is an answer
/// to `request.json`, that the models are those that were measured (`digest_of` tells a run's, none if it
/// is not there), and that the outcome store gives the same numbers. A folder as one shares it, without
/// request, models or outcomes, is not wrong: what they would tell is not checked, and said to be.
pub fn verify_table(
    folder: &Path,
    store: &Store,
    digest_of: impl Fn(&str) -> Option<Result<String, String>>,
) -> Vec<Finding> {
    let table = match read(folder) {
        Ok(table) => table,
        Err(problem) => return vec![(TABLE.to_owned(), Verdict::Wrong(problem))],
    };
    let mut findings = Vec::new();
    for (form, expected) in forms(&table).unwrap_or_default() {
        findings.push((form.to_owned(), says(folder, form, &expected)));
    }
    // What contradicts itself answers no request: one finding is enough.
    let itself = unlike(&implied(&table), &table).or_else(|| impossible(&table));
    if let Some(problem) = itself {
        findings.push((TABLE.to_owned(), Verdict::Wrong(format!("contradicts itself: {problem}"))));
    }
    findings.push((REQUEST.to_owned(), request(folder, &table)));
    findings.extend(drawn::findings(folder, TABLE));
    let Some(sources) = &table.computed_from else {
        let remark = "table.json names no sources (it is of an older version): models and numbers";
        findings.push(("sources".to_owned(), Verdict::NotChecked(remark.to_owned())));
        return findings;
    };
    findings.extend(models(sources, digest_of));
    findings.push(("numbers".to_owned(), numbers(&table, sources, store)));
    findings
}

fn read(folder: &Path) -> Result<Table, String> {
    let bytes = std::fs::read(folder.join(TABLE)).map_err(|e| format!("can't be read: {e}"))?;
    serde_json::from_slice(&bytes).map_err(|e| format!("is no table: {e}"))
}

fn says(folder: &Path, form: &str, expected: &str) -> Verdict {
    match std::fs::read(folder.join(form)) {
        Ok(bytes) if bytes == expected.as_bytes() => {
            Verdict::Ok("says what table.json says".to_owned())
        }
        Ok(_) if form == TABLE => Verdict::Wrong(
            "what it says of itself (layout, agreement, checks) is not so".to_owned(),
        ),
        Ok(_) => Verdict::Wrong("says something else than table.json".to_owned()),
        Err(e) if e.kind() == ErrorKind::NotFound => Verdict::NotChecked("is not here".to_owned()),
        Err(e) => Verdict::Wrong(format!("can't be read: {e}")),
    }
}

/// Whether the table answers the request beside it.
fn request(folder: &Path, table: &Table) -> Verdict {
    let bytes = match std::fs::read(folder.join(REQUEST)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let remark = "is not here: whether the table shows all that was asked for";
            return Verdict::NotChecked(remark.to_owned());
        }
        Err(e) => return Verdict::Wrong(format!("can't be read: {e}")),
    };
    let request = match Request::parse(&bytes) {
        Ok(request) => request,
        Err(problem) => return Verdict::Wrong(format!("is no request for a table: {problem}")),
    };
    if let Some(problem) = unlike(&request, table) {
        return Verdict::Wrong(format!("table.json does not show what it asks for: {problem}"));
    }
    match &table.computed_from {
        Some(sources) if sources.request != sha256(&bytes) => {
            Verdict::Wrong("is not the one that was answered: run its `command` again".to_owned())
        }
        _ => Verdict::Ok("is what was answered".to_owned()),
    }
}

/// Whether the models are those that were measured; one line for all that are not here.
fn models(
    sources: &Sources,
    digest_of: impl Fn(&str) -> Option<Result<String, String>>,
) -> Vec<Finding> {
    let (mut findings, mut absent) = (Vec::new(), 0);
    for (run, measured) in &sources.models {
        let verdict = match digest_of(run) {
            None => {
                absent += 1;
                continue;
            }
            Some(Ok(found)) if found == *measured => {
                Verdict::Ok("is the model that was measured".to_owned())
            }
            Some(Ok(found)) => Verdict::Wrong(format!("is {found}, measured was {measured}")),
            Some(Err(problem)) => Verdict::Wrong(problem),
        };
        findings.push((run.clone(), verdict));
    }
    if 0 < absent {
        let remark = format!("{absent} of {} runs are not here", sources.models.len());
        findings.push(("models".to_owned(), Verdict::NotChecked(remark)));
    }
    findings
}

/// Whether the outcome store gives the numbers of the table.
fn numbers(table: &Table, sources: &Sources, store: &Store) -> Verdict {
    let not_here = format!("their outcomes are not in `{}`", store.root().display());
    if !store.exists() {
        return Verdict::NotChecked(not_here);
    }
    let again = match count(table, sources, &store.strict()) {
        Ok(again) => again,
        Err(error) => return Verdict::Wrong(error.to_string()),
    };
    let (mut counted, mut missing) = (0, 0);
    for (place, shown, found) in pairs(table, &again) {
        let known = |cell: &Cell| cell.ours.is_some() || cell.undefined;
        match (known(&shown), known(&found)) {
            (true, false) => missing += 1,
            _ if shown != found => {
                let says = |cell: &Cell| match cell.ours {
                    Some(ours) => ours.to_string(),
                    None if cell.undefined => "0 of 0".to_owned(),
                    None => "not run".to_owned(),
                };
                return Verdict::Wrong(format!(
                    "{place}: the outcome store gives {}, the table says {}",
                    says(&found),
                    says(&shown)
                ));
            }
            (true, true) => counted += 1,
            _ => {}
        }
    }
    match missing {
        0 => Verdict::Ok(format!("{counted} numbers counted again from the outcome store")),
        _ => Verdict::NotChecked(format!("{missing} of {}: {not_here}", counted + missing)),
    }
}

/// The table as the store has it.
fn count(table: &Table, sources: &Sources, store: &Store) -> Result<Table, EvalError> {
    let request = implied(table);
    let answers = Answers::about(&request, store, &sources.examples)?;
    let digest = |run: &String| entries::get(&sources.models, run).cloned();
    Table::fill(&request, |question| {
        // A model without a digest can have no outcomes.
        let Some(target) = digest(&question.run.to_owned()) else { return Ok(None) };
        let surrogates: Option<Vec<_>> = question.surrogates.iter().map(digest).collect();
        let Some(surrogates) = surrogates else { return Ok(None) };
        answers.percent(&target, &surrogates, question.attack)
    })
}

/// Every number of a table (clean accuracy as a cell) with its namesake of another with the same rows.
fn pairs(one: &Table, other: &Table) -> Vec<(String, Cell, Cell)> {
    let clean = |table: &Table, key: &str| Cell {
        std: table.clean_std(key),
        ours: table.clean(key),
        ..Cell::new(&[], None)
    };
    let first = one.columns.iter().map(|column| {
        let key = &column.key;
        (format!("clean, column `{key}`"), clean(one, key), clean(other, key))
    });
    let rows = one.rows.iter().zip(&other.rows).flat_map(|(row, its)| {
        row.cells.iter().map(move |(key, cell)| {
            let found = its.cell(key).copied().unwrap_or_else(|| Cell::new(&[], cell.paper));
            (format!("row `{}`, column `{key}`", name(row)), *cell, found)
        })
    });
    first.chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use cldl_core::Verdict;

    use super::verify_table;
    use crate::Store;
    use crate::table::{Sources, fixture, write_table};

    #[test]
    fn a_form_that_says_something_else_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let request = serde_json::to_vec(&fixture::request()).unwrap();
        std::fs::write(folder.path().join("request.json"), &request).unwrap();
        let mut table = fixture::table();
        table.computed_from = Some(Sources {
            request: cldl_core::sums::sha256(&request),
            examples: "examples".to_owned(),
            models: vec![("run".to_owned(), "abc".to_owned())],
        });
        write_table(&table, folder.path()).unwrap();
        let store = Store::new(&folder.path().join("nowhere"));
        let found =
            |digest: &str| verify_table(folder.path(), &store, |_| Some(Ok(digest.to_owned())));
        let problems = |digest: &str| {
            let wrong = found(digest).into_iter().filter(|(_, verdict)| verdict.is_wrong());
            wrong.map(|(what, _)| what).collect::<Vec<_>>()
        };
        assert_eq!(problems("abc"), Vec::<String>::new());
        let digest = table.computed_from.unwrap().digest();
        for form in ["table.md", "table.csv", "table.tex"] {
            let text = std::fs::read_to_string(folder.path().join(form)).unwrap();
            assert!(text.contains(&digest), "{form}");
        }
        assert_eq!(problems("def"), ["run"]);
        let text = std::fs::read_to_string(folder.path().join("table.md")).unwrap();
        std::fs::write(folder.path().join("table.md"), text.replacen("95", "96", 1)).unwrap();
        assert_eq!(problems("abc"), ["table.md"]);
        std::fs::write(folder.path().join("request.json"), [&request[..], b"\n"].concat()).unwrap();
        assert_eq!(problems("abc"), ["table.md", "request.json"]);
        // What is not here is neither right nor wrong.
        for file in ["table.md", "request.json"] {
            std::fs::remove_file(folder.path().join(file)).unwrap();
        }
        let silent = |(what, verdict): (String, Verdict)| {
            matches!(verdict, Verdict::NotChecked(_)).then_some(what)
        };
        let silent: Vec<String> = found("abc").into_iter().filter_map(silent).collect();
        assert_eq!(silent, ["table.md", "request.json", "numbers"]);
    }
}
