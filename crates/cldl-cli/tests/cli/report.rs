//! Reports and pictures of real runs, and of the tables in the repository.

use std::path::{Path, PathBuf};

use crate::run::Sandbox;

/// A table in the repository.
pub(crate) fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/results/table4-quick")
}

/// Two tiny ensembles and a report of them and of a table, in `report.html`.
pub(crate) fn report(sandbox: &Sandbox) -> serde_json::Value {
    sandbox.baseline("plain", 2);
    sandbox.json(
        "train --method cldl --members 2 --limit-train 256 --epochs 2 --tensorboard --out cldl --json",
    );
    sandbox.json(&format!(
        "report plain cldl {} --examples 40 --eps 0.1 0.2 --pictures pictures --json",
        table().display()
    ))
}

#[test]
fn a_report_of_runs_and_a_table_has_every_view() {
    let sandbox = Sandbox::new();
    let written = report(&sandbox);
    let sections: Vec<&str> =
        written["sections"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    for id in [
        "table-1",
        "runs",
        "robustness",
        "labels",
        "transfer",
        "pairs",
        "learning",
        "audit",
        "provenance",
    ] {
        assert!(sections.contains(&id), "no `{id}` in {sections:?}");
    }
    let html = std::fs::read_to_string(sandbox.path("report.html")).unwrap();
    for word in ["https://", "http://", "<link", ">NaN", "NaN %"] {
        let found = html.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(word), "`{word}` in the report");
    }
    for picture in written["pictures"].as_array().unwrap() {
        let file = |ending: &str| {
            let name = format!("pictures/{}.{ending}", picture.as_str().unwrap());
            std::fs::read(sandbox.path(&name)).unwrap()
        };
        assert!(file("png").starts_with(b"\x89PNG"), "{picture}");
        assert!(file("svg").starts_with(b"<svg"), "{picture}");
        let csv = String::from_utf8(file("csv")).unwrap();
        assert!(2 < csv.lines().count(), "{picture}: {csv}");
        // Every form says what it was computed from, and the page too.
        let digest = csv.lines().last().and_then(|line| line.rsplit(',').next()).unwrap();
        assert!(digest.len() == 64 && html.contains(digest), "{picture}: {csv}");
        for form in [file("svg"), file("png")] {
            assert!(form.windows(64).any(|window| window == digest.as_bytes()), "{picture}");
        }
    }

    // What the probe saw is in the metrics, and TensorBoard gets it.
    let metrics = std::fs::read_to_string(sandbox.path("cldl/metrics.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert_eq!(line["probe"]["of"], "sld");
    let cosine = line["probe"]["pairs"][0]["gradient_cosine"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&cosine), "{line}");
    assert_eq!(std::fs::read_dir(sandbox.path("cldl/tensorboard")).unwrap().count(), 1);
}

#[test]
fn a_picture_is_the_same_each_time_with_its_numbers_beside_it() {
    let sandbox = Sandbox::new();
    let plot = |out: &str| {
        let command = format!("plot robustness {} --out {out} --json", table().display());
        let written = sandbox.json(&command);
        assert_eq!(written["files"].as_array().unwrap().len(), 2);
        std::fs::read(sandbox.path(out)).unwrap()
    };
    assert_eq!(plot("one.svg"), plot("two.svg"));
    assert!(plot("three.png").starts_with(b"\x89PNG"));
    let csv = std::fs::read_to_string(sandbox.path("one.csv")).unwrap();
    // 7 columns at 4 attacks: clean and 4 radii of ours, 4 of the paper's where it has the column.
    assert_eq!(csv.lines().count(), 1 + 4 * (7 * 5 + 6 * 4));
    let text = std::fs::read_to_string(table().join("table.json")).unwrap();
    let numbers: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut rows = numbers["rows"].as_array().unwrap().iter();
    let row = rows.find(|row| row["attack"] == "pgd" && row["eps"] == 0.25).unwrap();
    let trs = row["cells"]["trs"]["ours"].as_f64().unwrap();
    assert!(csv.contains(&format!("PGD (mnist),TRS,0.25,{trs},")), "{trs}: {csv}");
}

#[test]
fn what_cant_be_shown_is_told_in_one_line() {
    let sandbox = Sandbox::new();
    let table = table();
    let table = table.display();
    for (command, status, words) in [
        (format!("plot labels {table} --out a.svg"), 1, "not here any more"),
        (format!("plot robustness {table} --out a.gif"), 2, "end in .svg or .png"),
        (format!("plot pie {table} --out a.svg"), 2, "`planes`"),
        ("report nowhere --out a.html".to_owned(), 1, "`nowhere` holds no checkpoint"),
    ] {
        let ran = sandbox.run(&command);
        assert_eq!(ran.status, status, "{command}: {ran:?}");
        assert!(ran.stderr.contains(words), "{command}: {}", ran.stderr);
        assert!(!sandbox.path("a.svg").exists() && !sandbox.path("a.html").exists());
    }
    std::fs::write(sandbox.path("table.json"), "{\"table\": 4}").unwrap();
    let ran = sandbox.run("report table.json");
    assert_eq!((ran.status, ran.stderr.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.stderr.contains("is no table of"), "{}", ran.stderr);
}
