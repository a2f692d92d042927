//! A dataset of one's own, from a folder to a robustness figure.

use std::fs;

use crate::run::Sandbox;

/// `count` images of 28x28 whose class shows as a bright half, in MNIST's format and file names.
fn write(sandbox: &Sandbox, names: [&str; 2], count: u32) {
    let folder = sandbox.path("halves");
    let labels: Vec<u8> = (0..count).map(|i| (i % 3 % 2) as u8).collect();
    let pixel =
        |label: u8, at: u32| if (at / 392 == 1) == (label == 1) { 220 } else { (at % 40) as u8 };
    let pixels: Vec<u8> =
        labels.iter().flat_map(|label| (0..784).map(|at| pixel(*label, at))).collect();
    let file = |dimensions: &[u32], elements: &[u8]| {
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        bytes.extend(dimensions.iter().flat_map(|dimension| dimension.to_be_bytes()));
        [&bytes, elements].concat()
    };
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(names[0]), file(&[count, 28, 28], &pixels)).unwrap();
    fs::write(folder.join(names[1]), file(&[count], &labels)).unwrap();
}

#[test]
fn a_folder_is_trained_on_attacked_and_measured() {
    let sandbox = Sandbox::new();
    write(&sandbox, ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"], 256);
    write(&sandbox, ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"], 100);
    let description = sandbox.path("halves/dataset.toml");
    fs::write(&description, "format = 'idx'\nclasses = ['up', 'down']\n").unwrap();

    let info = sandbox.json("data info ./halves --json");
    assert_eq!(info["splits"][1]["class_counts"], serde_json::json!([67, 33]));
    sandbox.json("train --dataset ./halves --method baseline --epochs 2 --out run --json");
    let config = fs::read_to_string(sandbox.path("run/config.toml")).unwrap();
    assert!(config.contains(r#"classes = ["up", "down"]"#), "{config}");

    let clean = sandbox.json("eval clean run --data-dir . --json");
    assert_eq!((clean["clean"].as_f64(), &clean["examples"]), (Some(100.0), &100.into()));
    // Of 100 test images 10 are for tuning.
    let attacked = sandbox.json("attack run --data-dir . --eps 0.05 --json");
    assert_eq!((&attacked["examples"], &attacked["dataset"]), (&90.into(), &"halves".into()));
    let ran = sandbox.run("attack run --data-dir . --examples 91");
    assert!(ran.status == 2 && ran.stderr.contains("expected 1 to 90"), "{ran:?}");

    let ran = sandbox.run("eval clean run");
    assert!(ran.status == 1 && ran.stderr.contains("`halves/dataset.toml` not found"), "{ran:?}");
    fs::write(&description, "format = 'idx'\nclasses = ['left', 'right']\n").unwrap();
    let ran = sandbox.run("eval clean run --data-dir .");
    assert!(ran.status == 1 && ran.stderr.contains(r#"["left", "right"]"#), "{ran:?}");
    let ran = sandbox.run("train --dataset quarters");
    assert!(ran.status == 2 && ran.stderr.contains("unknown data set `quarters`"), "{ran:?}");
}
