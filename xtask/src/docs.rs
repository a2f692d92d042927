//! `cargo xtask docs`: what the documents show is made by the commands that stand beside it.
//!
//! In a Markdown file the lines from `<!-- made by: COMMAND -->` to `<!-- end -->` are what COMMAND
//! says: one of `cldl`, `rows TABLE.json [ATTACK]`, a table of results as Markdown, `table FILE.md HEADING`,
//! the table below a heading of another page, `recorded FILE`, what a command printed when it was last run
//! for us (see [`outputs`]), or `tasks FLAGS`, the number of tasks of `cargo xtask plan FLAGS` (what those take
//! is measured, and checked by nobody). Beside each `docs/results/*/table.json` lie its report and its curves.
//! Pictures of trained ensembles need their trainings, and are made anew with `--ensembles` alone.

use crate::reproduce::Cldl;
use crate::{child, interrupt, outputs, scale, workspace};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const EXAMPLES: &str = "\
Examples:
  cargo xtask docs               bring the documents up to date
  cargo xtask docs --check       say what is stale, and change nothing
  cargo xtask docs --ensembles   also train and draw the ensembles of docs/pictures, in minutes
  cargo xtask docs --outputs     also run README's two commands, and show what they print";

/// Bring what the documents show up to date: help texts, tables, pictures
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Change nothing; fail if something is stale
    #[arg(long, conflicts_with = "ensembles")]
    check: bool,
    /// Also train the small ensembles of docs/pictures, and draw them
    #[arg(long)]
    ensembles: bool,
    /// Also run README's two commands, and keep what they print
    #[arg(long, conflicts_with = "check")]
    outputs: bool,
}

const BEGIN: &str = "<!-- made by: ";
const END: &str = "<!-- end -->";

/// The ensembles of `docs/pictures`, as they are trained, and what is drawn of both.
const ENSEMBLES: [&str; 2] = [
    "train --method baseline --limit-train 10000 --epochs 4 --out runs/docs-baseline",
    "train --method cldl --limit-train 10000 --epochs 4 --out runs/docs-cldl",
];
const DRAWN: &str = "report runs/docs-baseline runs/docs-cldl --out docs/pictures/report.html \
                     --pictures docs/pictures";

/// Runs the chore.
pub(crate) fn run(args: &Args) -> Result<()> {
    interrupt::watch()?;
    let root = workspace::root();
    let cldl = Cldl::build(&root)?;
    if args.check {
        return check(&cldl);
    }
    let folder = root.join("docs/output");
    if args.outputs {
        outputs::record_reproduce(&folder)?;
    }
    make_anew(&cldl)?;
    if args.outputs {
        outputs::record_ci(&folder)?;
        make_anew(&cldl)?;
    }
    if args.ensembles {
        for command in ENSEMBLES.iter().chain([&DRAWN]) {
            eprintln!("cldl {command}");
            cldl_says(&cldl, command)?;
        }
    }
    Ok(())
}

fn make_anew(cldl: &Cldl) -> Result<()> {
    for name in update(cldl, false)? {
        eprintln!("made anew: {name}");
    }
    Ok(())
}

/// Fails if something is stale.
pub(crate) fn check(cldl: &Cldl) -> Result<()> {
    let stale = update(cldl, true)?;
    ensure!(stale.is_empty(), "stale, run `cargo xtask docs`: {}", stale.join(", "));
    Ok(())
}

/// Brings everything up to date, or only looks (`check`); returns what was stale.
fn update(cldl: &Cldl, check: bool) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    let mut put = |path: &Path, fresh: &[u8]| {
        if fs::read(path).ok().as_deref() != Some(fresh) {
            stale.push(path.strip_prefix(&cldl.root).unwrap_or(path).display().to_string());
            if !check {
                fs::write(path, fresh)
                    .with_context(|| format!("can't write `{}`", path.display()))?;
            }
        }
        anyhow::Ok(())
    };
    for (path, fresh) in results(cldl)? {
        put(&path, &fresh)?;
    }
    for path in markdown(&cldl.root)? {
        let text = fs::read_to_string(&path)?;
        let made = |command: &str| answer(cldl, command);
        let fresh = filled(&text, made).with_context(|| format!("`{}`", path.display()))?;
        put(&path, fresh.as_bytes())?;
    }
    Ok(stale)
}

/// The report and the curves beside each table of `docs/results`.
fn results(cldl: &Cldl) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let scratch = std::env::temp_dir().join(format!("cldl-docs-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let mut files = Vec::new();
    for folder in entries(&cldl.root.join("docs/results"))? {
        if !folder.join("table.json").is_file() {
            continue;
        }
        let name = folder.strip_prefix(&cldl.root)?.display().to_string();
        let at = |file: &str| scratch.join(file).display().to_string();
        cldl_says(cldl, &format!("report {name} --out {}", at("report.html")))?;
        cldl_says(cldl, &format!("plot robustness {name} --out {}", at("robustness.svg")))?;
        for file in ["report.html", "robustness.svg", "robustness.csv"] {
            files.push((folder.join(file), fs::read(scratch.join(file))?));
        }
    }
    // A folder that stays behind in the temporary directory harms nobody.
    let _ = fs::remove_dir_all(&scratch);
    Ok(files)
}

fn markdown(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = [entries(root)?, entries(&root.join("docs"))?].concat();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read =
        fs::read_dir(folder).with_context(|| format!("can't read `{}`", folder.display()))?;
    let mut paths = read.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// `text` with every block filled by what `made` says of its command.
fn filled(text: &str, made: impl Fn(&str) -> Result<String>) -> Result<String> {
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
fn answer(cldl: &Cldl, command: &str) -> Result<String> {
    if let Some(arguments) = command.strip_prefix("cldl ") {
        let said = cldl_says(cldl, arguments)?;
        return Ok(format!("```text\n$ {command}\n{}\n```", said.trim_end()));
    }
    if let Some(arguments) = command.strip_prefix("rows ") {
        let (file, attack) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let text = fs::read_to_string(cldl.root.join(file))
            .with_context(|| format!("can't read `{file}`"))?;
        return rows(&serde_json::from_str(&text)?, attack);
    }
    if let Some(arguments) = command.strip_prefix("table ") {
        let (file, heading) =
            arguments.split_once(' ').context("`table` needs FILE and HEADING")?;
        let text = fs::read_to_string(cldl.root.join(file))
            .with_context(|| format!("can't read `{file}`"))?;
        return table(&text, heading).with_context(|| format!("`{file}`"));
    }
    if let Some(file) = command.strip_prefix("recorded ") {
        let text = fs::read_to_string(cldl.root.join(file))
            .with_context(|| format!("can't read `{file}`"))?;
        return Ok(format!("```text\n{}\n```", text.trim_end()));
    }
    if let Some(flags) = command.strip_prefix("tasks ") {
        return scale::counts(flags);
    }
    bail!("no such command: `{command}`; it begins with `cldl`, `rows`, `table`, `recorded` or `tasks`")
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

/// What `cldl` prints for these arguments.
fn cldl_says(cldl: &Cldl, arguments: &str) -> Result<String> {
    let mut command = Command::new(&cldl.program);
    command.args(arguments.split_whitespace()).current_dir(&cldl.root);
    // The width of a help text.
    command.env("COLUMNS", "100").stdout(Stdio::piped());
    let ended = child::run(&mut command)?;
    ensure!(ended.status.success(), "`cldl {arguments}` failed ({})", ended.status);
    Ok(ended.stdout.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
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
    use super::{filled, rows, table};
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
