//! Nobody gets fooled silently: a table, its runs and its outcomes, one thing changed at a time, and what
//! `cldl verify` says.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::binary;
use crate::kills::small_table;
use crate::sandbox::{Ran, Sandbox};

/// One thing that is changed: of the first file whose path ends so.
struct Case {
    file: &'static str,
    change: Change,
    /// What the verdict names; if it is only not checked, that.
    says: Says,
}

enum Change {
    /// Other bytes.
    To(fn(Vec<u8>) -> Vec<u8>),
    /// The file is gone.
    Gone,
}

enum Says {
    Wrong(&'static str),
    NotChecked(&'static str),
}

use Change::{Gone, To};
use Says::{NotChecked, Wrong};

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes
}

fn cut(bytes: Vec<u8>) -> Vec<u8> {
    bytes[..bytes.len() - 1].to_vec()
}

/// So much that little more than the file's kind is left.
fn cut_short(bytes: Vec<u8>) -> Vec<u8> {
    bytes[..20].to_vec()
}

/// The file as JSON, with `change` made.
fn edited(bytes: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(bytes).unwrap();
    change(&mut value);
    serde_json::to_vec_pretty(&value).unwrap()
}

/// The text with the first of its digits after `at` replaced by another.
fn digit(bytes: Vec<u8>, at: &str) -> Vec<u8> {
    let mut text = String::from_utf8(bytes).unwrap();
    let from = text.find(at).unwrap() + at.len();
    let at = from + text[from..].find(|c: char| c.is_ascii_digit()).unwrap();
    let other = if text.as_bytes()[at] == b'7' { "8" } else { "7" };
    text.replace_range(at..=at, other);
    text.into_bytes()
}

const CASES: [Case; 23] = [
    Case {
        file: "table.json",
        change: To(|b| edited(&b, |t| drop(t["rows"].as_array_mut().unwrap().pop()))),
        says: Wrong("table.json"),
    },
    Case {
        file: "table.json",
        change: To(|b| {
            edited(&b, |t| {
                let cell = &mut t["rows"][0]["cells"]["adp"];
                let ours = cell["ours"].as_f64().unwrap();
                cell["ours"] = (ours + 1.0).into();
            })
        }),
        says: Wrong("table.json"),
    },
    Case {
        file: "table.json",
        change: To(|b| edited(&b, |t| t["seeds"] = vec![7].into())),
        says: Wrong("table.json"),
    },
    Case {
        file: "table.json",
        change: To(|b| edited(&b, |t| t["columns"][0]["label"] = "OURS".into())),
        says: Wrong("table.json"),
    },
    Case { file: "table.json", change: Gone, says: NotChecked("table.json") },
    Case { file: "table.json", change: To(cut), says: Wrong("table.json") },
    Case { file: "table.csv", change: To(|b| digit(b, "adp,run,")), says: Wrong("table.csv") },
    Case { file: "table.md", change: To(|b| digit(b, "|")), says: Wrong("table.md") },
    Case { file: "table.tex", change: To(cut), says: Wrong("table.tex") },
    Case { file: "request.json", change: To(|b| digit(b, "\"eps\"")), says: Wrong("request.json") },
    Case { file: "request.json", change: Gone, says: NotChecked("request.json") },
    Case {
        file: "report.html",
        change: To(|b| digit(b, "table.json, SHA-256 ")),
        says: Wrong("report.html"),
    },
    Case { file: "report.html", change: Gone, says: NotChecked("pictures") },
    Case {
        file: "robustness.svg",
        change: To(|b| digit(b, "computed from ")),
        says: Wrong("robustness.svg"),
    },
    Case { file: "robustness.png", change: To(cut_short), says: Wrong("robustness.png") },
    Case { file: "model.safetensors", change: To(flipped), says: Wrong("model.safetensors") },
    Case { file: "model.safetensors", change: Gone, says: Wrong("checkpoint") },
    Case { file: "optimizer.safetensors", change: To(cut), says: Wrong("checkpoint") },
    Case { file: "config.toml", change: To(|b| digit(b, "seed = ")), says: Wrong("config.toml") },
    Case { file: "config.toml", change: Gone, says: Wrong("config.toml") },
    Case {
        file: "metrics.jsonl",
        change: To(|b| digit(b, "\"loss\"")),
        says: Wrong("metrics.jsonl"),
    },
    Case { file: "/done", change: To(|_| Vec::new()), says: Wrong("done") },
    Case { file: "/SHA256SUMS", change: Gone, says: Wrong("SHA256SUMS") },
];

#[test]
fn by_nothing_that_is_changed() {
    let sandbox = Sandbox::new();
    let root = sandbox.path("root");
    let package = small_table(&sandbox, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask"));
    std::fs::create_dir_all(&root).unwrap();
    let mut reproduce = Command::new(binary::xtask());
    reproduce.args("reproduce --table 4 --scale smoke --only adp --root".split_whitespace());
    reproduce.arg(&root).arg("--cldl").arg(binary::cldl());
    let datasets = concat!(env!("CARGO_MANIFEST_DIR"), "/../datasets");
    reproduce.env("CLDL_DATA_DIR", datasets).env("RAYON_NUM_THREADS", "2");
    let made = Ran::of(reproduce.env("CARGO_MANIFEST_DIR", &package).output().unwrap());
    assert_eq!(made.status, Some(0), "{made:?}");

    let verify = || {
        let mut command = sandbox.command("verify runs results");
        Ran::of(command.current_dir(&root).output().unwrap())
    };
    let whole = verify();
    assert_eq!(whole.status, Some(0), "{whole:?}");
    assert!(!whole.stdout.contains("not checked"), "{whole:?}");

    for Case { file, change, says } in CASES {
        let path = first(&root, file);
        let bytes = std::fs::read(&path).unwrap();
        match change {
            To(change) => std::fs::write(&path, change(bytes.clone())).unwrap(),
            Gone => std::fs::remove_file(&path).unwrap(),
        }
        holds(file, &verify(), &says);
        std::fs::write(&path, bytes).unwrap();
    }

    // Each whole, but the one is not the other.
    let models: Vec<PathBuf> = all(&root, "model.safetensors");
    let bytes = [&models[0], &models[1]].map(|path| std::fs::read(path).unwrap());
    assert_ne!(bytes[0], bytes[1]);
    std::fs::write(&models[0], &bytes[1]).unwrap();
    std::fs::write(&models[1], &bytes[0]).unwrap();
    holds("two models swapped", &verify(), &Wrong("model.safetensors"));
    for (model, bytes) in models.iter().zip(bytes) {
        std::fs::write(model, bytes).unwrap();
    }

    // A damaged outcome is found; one that is gone is missed if the table has a number of it.
    let mut missed = 0;
    for outcome in all(&root.join("runs/outcomes"), ".safetensors") {
        let bytes = std::fs::read(&outcome).unwrap();
        std::fs::write(&outcome, flipped(bytes.clone())).unwrap();
        holds("outcome", &verify(), &Wrong("runs/outcomes"));
        std::fs::remove_file(&outcome).unwrap();
        let ran = verify();
        assert_eq!(ran.status, Some(0), "{ran:?}");
        missed += usize::from(ran.stdout.contains("not checked: `results/table4-smoke`, numbers"));
        std::fs::write(&outcome, bytes).unwrap();
    }
    assert!(0 < missed);
    assert_eq!(verify().status, Some(0));
}

fn holds(file: &str, ran: &Ran, says: &Says) {
    match says {
        Wrong(word) => {
            assert_eq!(ran.status, Some(1), "{file}: {ran:?}");
            assert!(ran.complaint().contains(word), "{file}: {}", ran.complaint());
        }
        NotChecked(word) => {
            assert_eq!(ran.status, Some(0), "{file}: {ran:?}");
            let line = |line: &str| line.starts_with("not checked: ") && line.contains(word);
            assert!(ran.stdout.lines().any(line), "{file}: {ran:?}");
        }
    }
}

fn first(root: &Path, ending: &str) -> PathBuf {
    let found = all(root, ending).into_iter().next();
    found.unwrap_or_else(|| panic!("no file ends in {ending}"))
}

fn all(root: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = crate::sandbox::files_below(root)
        .into_keys()
        .filter(|name| format!("/{name}").ends_with(ending))
        .map(|name| root.join(name))
        .collect();
    found.sort();
    found
}
