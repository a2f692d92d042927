//! What a table was computed from, by digest, and whether its files still are what they say.

use std::path::Path;

use cldl_core::sums::sha256;
use serde::{Deserialize, Serialize};

use super::entries::{self, Entries};
use super::{Request, Table, forms};
use crate::{Answers, EvalError, Store};

/// What a table was computed from. With these digests, the outcome store alone gives its numbers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// SHA-256 of `request.json`.
    pub request: String,
    /// Digest of the test images and their order, see [`Examples::digest`](crate::Examples::digest).
    pub examples: String,
    /// SHA-256 of the model file of each run that was asked about.
    #[serde(with = "entries")]
    pub models: Entries<String>,
}

impl Sources {
    /// One digest of all of them, which every form of a table carries: the SHA-256 of them as JSON without
    /// spaces.
    pub fn digest(&self) -> String {
        // Texts alone: nothing that JSON has no form for.
        sha256(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// What was looked at, and what was found: a remark, or what is wrong.
type Finding = (String, Result<String, String>);

/// Checks the folder of a table: that every form of it says what `table.json` says, that this is an answer
/// to `request.json`, that the models are those that were measured (`digest_of` tells a run's, none if it
/// is not there), and that the outcome store, where it is at hand, gives the same numbers.
pub fn verify_table(
    folder: &Path,
    store: &Store,
    digest_of: impl Fn(&str) -> Option<Result<String, String>>,
) -> Vec<Finding> {
    let (table, request) = match read(folder) {
        Ok(both) => both,
        Err(problem) => return vec![("table.json".to_owned(), Err(problem))],
    };
    let mut findings = Vec::new();
    for (name, expected) in forms(&table).unwrap_or_default() {
        let says = match std::fs::read_to_string(folder.join(name)) {
            Err(e) => Err(format!("can't be read: {e}")),
            Ok(text) if text == expected => Ok("says what table.json says".to_owned()),
            Ok(_) => Err("says something else than table.json".to_owned()),
        };
        findings.push((name.to_owned(), says));
    }
    let Some(sources) = &table.computed_from else {
        findings.push(("table.json".to_owned(), Err("names no sources".to_owned())));
        return findings;
    };
    let answers = if request.1 == sources.request {
        Ok("is what was answered".to_owned())
    } else {
        Err("is not the one that was answered: run its `command` again".to_owned())
    };
    findings.push(("request.json".to_owned(), answers));
    for (run, measured) in &sources.models {
        let same = match digest_of(run) {
            None => Ok("not here: can't be compared".to_owned()),
            Some(Ok(found)) if found == *measured => {
                Ok("is the model that was measured".to_owned())
            }
            Some(Ok(found)) => Err(format!("is {found}, measured was {measured}")),
            Some(Err(problem)) => Err(problem),
        };
        findings.push((run.clone(), same));
    }
    findings.push(("numbers".to_owned(), numbers(&table, &request.0, sources, store)));
    findings
}

/// The table, and its request with the digest of the request's file.
fn read(folder: &Path) -> Result<(Table, (Request, String)), String> {
    let bytes =
        std::fs::read(folder.join("table.json")).map_err(|e| format!("can't be read: {e}"))?;
    let table = serde_json::from_slice(&bytes).map_err(|e| format!("is no table: {e}"))?;
    let path = folder.join("request.json");
    let bytes = std::fs::read(&path).map_err(|e| format!("has no request.json: {e}"))?;
    let request = Request::read(&path).map_err(|e| e.to_string())?;
    Ok((table, (request, sha256(&bytes))))
}

/// Whether the outcome store gives the numbers of the table.
fn numbers(
    table: &Table,
    request: &Request,
    sources: &Sources,
    store: &Store,
) -> Result<String, String> {
    if !store.exists() {
        return Ok("the outcome store is not here: not counted again".to_owned());
    }
    let digest = |run: &String| {
        let found = entries::get(&sources.models, run);
        found.cloned().ok_or_else(|| EvalError::Argument(format!("no digest of `{run}`")))
    };
    let again = Answers::about(request, store, &sources.examples).and_then(|answers| {
        Table::fill(request, |question| {
            let target = digest(&question.run.to_owned())?;
            let surrogates = question.surrogates.iter().map(digest);
            let surrogates = surrogates.collect::<Result<Vec<_>, _>>()?;
            answers.percent(&target, &surrogates, question.attack)
        })
    });
    let again = again.map_err(|e| e.to_string())?;
    if (&again.clean, &again.rows) == (&table.clean, &table.rows) {
        let known = table.rows.iter().flat_map(|row| &row.cells);
        let known = known.filter(|(_, cell)| cell.ours.is_some()).count();
        return Ok(format!("{known} cells counted again from the outcome store"));
    }
    Err("the outcome store gives other numbers".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Sources, verify_table};
    use crate::Store;
    use crate::table::{fixture, write_table};

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
        let problems = |digest: &str| {
            let found = verify_table(folder.path(), &store, |_| Some(Ok(digest.to_owned())));
            let problems = found.into_iter().filter(|(_, result)| result.is_err());
            problems.map(|(what, _)| what).collect::<Vec<_>>()
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
    }
}
