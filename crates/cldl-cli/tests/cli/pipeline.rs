//! Train, evaluate, attack: what a user does first.

use crate::run::Sandbox;

#[test]
fn train_evaluate_attack() {
    let sandbox = Sandbox::new();
    let trained = sandbox
        .json("train --method baseline --limit-train 2000 --epochs 2 --runs runs --json --seed 3");
    assert_eq!(trained["state"], "done");
    let run = trained["run"].as_str().unwrap();
    assert!(run.starts_with("runs/baseline-"), "{run}");
    // A finished run is left as it is.
    let again = sandbox.run("train --method baseline --limit-train 2000 --epochs 2 --seed 3");
    assert!(again.stdout.contains("was trained before"), "{again:?}");

    let clean = sandbox.json(&format!("eval clean {run} --examples 500 --json"));
    assert_eq!(clean["examples"], 500);
    let accuracy = clean["clean"].as_f64().unwrap();
    assert!(accuracy > 80.0, "{accuracy}");

    let attack =
        format!("attack {run} --attack pgd --eps 0.3 --examples 100 --out adv.safetensors --json");
    let attacked = sandbox.json(&attack);
    let adversarial = attacked["adversarial"].as_f64().unwrap();
    assert!(adversarial < attacked["clean"].as_f64().unwrap() - 30.0, "{attacked}");
    assert!(sandbox.path("adv.safetensors").exists());
}

#[test]
fn black_box_outcomes_are_computed_once() {
    let sandbox = Sandbox::new();
    sandbox.baseline("target", 2);
    sandbox.baseline("surrogate", 3);
    let command = "eval blackbox target --surrogates surrogate --attacks fgsm pgd --eps 0.1 \
                   --examples 64 --attack-seeds 2 --steps 2 --store outcomes --json";
    let first = sandbox.json(command);
    let count = || walk(&sandbox.path("outcomes"));
    let files = count();
    assert!(!files.is_empty());
    let second = sandbox.json(command);
    assert_eq!(first, second);
    assert_eq!(files, count(), "the second call must reuse every outcome");
}

#[test]
fn a_dry_run_plans_and_writes_nothing() {
    let sandbox = Sandbox::new();
    let plan = sandbox.json("train --limit-train 640 --epochs 2 --dry-run --json");
    assert_eq!(plan["state"], "new");
    assert_eq!(plan["steps"], 10);
    assert!(plan["expected_seconds"].as_f64().unwrap() > 0.0);
    assert!(plan["expected_attack_seconds"].as_f64().unwrap() > 0.0);
    assert!(!sandbox.path("runs").exists());
}

#[test]
fn help_teaches() {
    let sandbox = Sandbox::new();
    for (command, words) in [
        ("--help", &["train", "eval", "attack", "data", "table", "Examples:"][..]),
        ("train --help", &["--gamma", "Eq. 6", "--limit-train", "--resume", "Examples:"]),
        ("data fetch --help", &["--mirror", "checksum"]),
    ] {
        let ran = sandbox.run(command);
        assert_eq!(ran.status, 0, "{ran:?}");
        for word in words {
            assert!(ran.stdout.contains(word), "`{command}` lacks `{word}`:\n{}", ran.stdout);
        }
    }
}

/// Every file below `folder` with its time of change.
fn walk(folder: &std::path::Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            let changed = path.metadata().unwrap().modified().unwrap();
            files.push((path, changed));
        }
    }
    files.sort();
    files
}
