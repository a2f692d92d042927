//! Checkpoints that travel: exported, imported, loaded from wherever they lie.

use std::path::Path;

use crate::run::Sandbox;

/// A number of right images, for places that hold the same ensemble.
fn right(sandbox: &Sandbox, place: &str) -> i64 {
    let clean = sandbox.json(&format!("eval clean {place} --examples 500 --json"));
    clean["right"].as_i64().unwrap()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn an_export_is_what_the_run_is_byte_for_byte_each_time() {
    let sandbox = Sandbox::new();
    sandbox.baseline("run", 2);
    for (from, to) in [("run", "one"), ("run", "two"), ("one", "three")] {
        sandbox.json(&format!("export {from} --out {to} --json"));
    }
    let one = files(&sandbox.path("one"));
    let names: Vec<_> = one.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["README.md", "config.json", "model.safetensors"]);
    assert_eq!(one, files(&sandbox.path("two")));
    assert_eq!(one, files(&sandbox.path("three")));
    let expected = right(&sandbox, "run");
    assert_eq!(right(&sandbox, "one"), expected);
    assert_eq!(right(&sandbox, "one/model.safetensors"), expected);
    let ran = sandbox.run("export run --out one");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("--force"), "{ran:?}");
}

#[test]
fn a_state_dict_goes_out_and_comes_back_exactly() {
    let sandbox = Sandbox::new();
    sandbox.json("train --method cldl --members 2 --limit-train 256 --epochs 1 --out run --json");
    sandbox.json("export run --out weights.safetensors --format pytorch --json");
    sandbox.json("import weights.safetensors --dataset mnist --out back --json");
    sandbox.json("export back --out again.safetensors --format pytorch --json");
    let read = |name| std::fs::read(sandbox.path(name)).unwrap();
    assert_eq!(read("weights.safetensors"), read("again.safetensors"));
    assert_eq!(right(&sandbox, "run"), right(&sandbox, "back"));
    // Fine-tuning from what was imported.
    sandbox.json(
        "train --method gal --members 2 --limit-train 128 --epochs 1 --init back --out next --json",
    );
    let ran = sandbox.run("import weights.safetensors --dataset cifar-10 --out wrong");
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("lenet5"), "{ran:?}");
    assert!(!sandbox.path("wrong").exists());
}

#[test]
fn a_damaged_checkpoint_is_refused_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.baseline("run", 1);
    sandbox.json("export run --out out --json");
    let model = sandbox.path("out/model.safetensors");
    let good = std::fs::read(&model).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [&good[..100], &flipped, b""] {
        std::fs::write(&model, bad).unwrap();
        let ran = sandbox.run("eval clean out");
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.stderr.contains("manifest") && ran.stderr.lines().count() == 1, "{ran:?}");
    }
    std::fs::write(&model, good).unwrap();
    for bad in ["{}", "", "{\"format\": \"cldl-checkpoint\", \"format_version\": 9}"] {
        std::fs::write(sandbox.path("out/config.json"), bad).unwrap();
        let ran = sandbox.run("eval clean out");
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.stderr.contains("config.json") && ran.stderr.lines().count() == 1, "{ran:?}");
    }
}
