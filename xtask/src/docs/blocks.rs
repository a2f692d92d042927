//! Blocks of a page and what fills them.
//!
//! In a Markdown file the lines from `<!-- made by: COMMAND -->` to `<!-- end -->` are what COMMAND says:
//!
//! - `cldl ..`: what the binary prints,
//! - `rows TABLE.json [ATTACK]`: a table of results,
//! - `table FILE.md HEADING`: the table below a heading of another page; `list FILE.md`: its last list,
//! - `recorded FILE`: what a command printed when it was last run for us (see [`super::outputs`]),
//! - `tasks FLAGS`: the number of tasks of `cargo xtask plan FLAGS` (what those take is measured, and checked by
//!   nobody).

use super::cldl_says;
use crate::reproduce::Cldl;
use crate::scale;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::fs;

const BEGIN: &str = "<!-- made by: ";
const END: &str = "<!-- end -->";

/// `text` with every block filled by what `made` says of its command.
pub(super) fn filled(text: &str, made: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out += line;
        out.push('\n');
        let Some(command) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->"))
        else {
            continue;
        };
        if !lines.by_ref().any(|line| line == END) {
            bail!("the block of `{command}` has no `{END}`");
        }
        out += made(command)?.trim_end();
        out += "\n";
        out += END;
        out.push('\n');
    }
    Ok(out)
}

/// What a block's command says, as Markdown.
pub(super) fn answer(cldl: &Cldl, command: &str) -> Result<String> {
    let read = |file: &str| {
        fs::read_to_string(cldl.root.join(file)).with_context(|| format!("can't read `{file}`"))
    };
    if let Some(arguments) = command.strip_prefix("cldl ") {
        let said = cldl_says(cldl, arguments)?;
        return Ok(format!("```text\n$ {command}\n{}\n```", said.trim_end()));
    }
    if let Some(arguments) = command.strip_prefix("rows ") {
        let (file, attack) = arguments.split_once(' ').unwrap_or((arguments, ""));
        return rows(&serde_json::from_str(&read(file)?)?, attack);
    }
    if let Some(arguments) = command.strip_prefix("table ") {
        let (file, heading) =
            arguments.split_once(' ').context("`table` needs FILE and HEADING")?;
        return table(&read(file)?, heading).with_context(|| format!("`{file}`"));
    }
    if let Some(file) = command.strip_prefix("list ") {
        return Ok(last_list(&read(file)?));
    }
    if let Some(file) = command.strip_prefix("recorded ") {
        return Ok(format!("```text\n{}\n```", read(file)?.trim_end()));
    }
    if let Some(flags) = command.strip_prefix("tasks ") {
        return scale::counts(flags);
    }
    bail!(
        "no such command: `{command}`; it begins with `cldl`, `rows`, `table`, `list`, `recorded` or `tasks`"
    )
}

/// The first table below a heading.
fn table(page: &str, heading: &str) -> Result<String> {
    let is_heading = |line: &&str| line.trim_start_matches('#').trim() == heading;
    let below = page.lines().skip_while(|line| !is_heading(line));
    let table =
        below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let lines: Vec<&str> = table.collect();
    ensure!(!lines.is_empty(), "no table below `{heading}`");
    Ok(lines.join("\n"))
}

/// The list that ends a page.
fn last_list(page: &str) -> String {
    let lines: Vec<&str> = page.trim_end().lines().collect();
    let before = lines.iter().rposition(|line| !line.starts_with("- ")).map_or(0, |at| at + 1);
    lines[before..].join("\n")
}

/// The rows of a table's JSON, of one attack or of all: ours, and the paper's in brackets.
fn rows(table: &Value, attack: &str) -> Result<String> {
    let columns = table["columns"].as_array().context("the table has no columns")?;
    let keys: Vec<&str> = columns.iter().filter_map(|column| column["key"].as_str()).collect();
    let rule = " ---: |".repeat(keys.len());
    let mut out = format!("| attack | eps | {} |\n| --- | ---: |{rule}\n", keys.join(" | "));
    let number = |value: &Value| value.as_f64().map(|number| format!("{number:.1}"));
    let line = |head: String, cells: Vec<String>| format!("| {head} | {} |\n", cells.join(" | "));
    let clean = keys.iter().map(|key| number(&table["clean"][key]).unwrap_or("-".to_owned()));
    out += &line("clean | ".to_owned(), clean.collect());
    for row in table["rows"].as_array().into_iter().flatten() {
        if !attack.is_empty() && row["attack"] != attack {
            continue;
        }
        let cell = |key: &&str| {
            let cell = &row["cells"][key];
            let ours = number(&cell["ours"]).unwrap_or("-".to_owned());
            number(&cell["paper"]).map_or(ours.clone(), |paper| format!("{ours} ({paper})"))
        };
        let head = format!("{} | {}", row["attack"].as_str().unwrap_or_default(), row["eps"]);
        out += &line(head, keys.iter().map(cell).collect());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{filled, last_list, rows, table};
    use serde_json::json;

    #[test]
    fn blocks_are_filled_and_all_else_stays() {
        let text = "a\n<!-- made by: cldl --help -->\nold\n<!-- end -->\nb\n";
        let fresh = filled(text, |command| Ok(format!("what {command} says\n"))).unwrap();
        let expected = "a\n<!-- made by: cldl --help -->\nwhat cldl --help says\n<!-- end -->\nb\n";
        assert_eq!(fresh, expected);
        assert_eq!(filled(&fresh, |_| Ok("what cldl --help says".to_owned())).unwrap(), fresh);
    }

    #[test]
    fn a_block_without_an_end_is_an_error() {
        let error = filled("<!-- made by: cldl data info -->\n", |_| Ok(String::new()));
        assert!(error.unwrap_err().to_string().contains("has no `<!-- end -->`"));
    }

    #[test]
    fn a_table_is_found_by_its_heading() {
        let page = "# P\n| x |\n## A\nwords\n\n| a |\n| - |\n| 1 |\n\n| b |\n";
        assert_eq!(table(page, "A").unwrap(), "| a |\n| - |\n| 1 |");
        assert!(table(page, "B").is_err());
    }

    #[test]
    fn the_list_at_the_end_is_found() {
        assert_eq!(last_list("# P\n\n- no\n\nwords\n- a\n- b\n"), "- a\n- b");
        assert_eq!(last_list("words\n"), "");
    }

    #[test]
    fn rows_show_ours_and_the_paper_s() {
        let table = json!({
            "columns": [{"key": "adp"}, {"key": "baseline"}],
            "clean": {"adp": 99.24, "baseline": 99.0},
            "rows": [
                {"attack": "fgsm", "eps": 0.1, "cells": {}},
                {"attack": "pgd", "eps": 0.1, "cells": {
                    "adp": {"ours": 90.06, "paper": 88.0},
                    "baseline": {"ours": null, "paper": null}
                }}
            ]
        });
        let text = rows(&table, "pgd").unwrap();
        assert!(
            text.contains("| clean |  | 99.2 | 99.0 |\n| pgd | 0.1 | 90.1 (88.0) | - |\n"),
            "{text}"
        );
        assert!(!text.contains("fgsm"));
    }
}
