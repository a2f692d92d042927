//! Broken and hostile files: each gives one clear line, and the exit status says whose fault it was.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::record;
use crate::sandbox::{Sandbox, TINY, files_below};

/// What is broken, how, the command that meets it, and words that its complaint must have.
struct Case {
    what: &'static str,
    file: &'static str,
    spoil: fn(Vec<u8>) -> Vec<u8>,
    command: &'static str,
    words: &'static [&'static str],
}

const TRAIN: &str =
    "train --method baseline --dataset data/digits --members 1 --epochs 1 --out new";
const EVAL: &str = "eval clean run --examples 20";
const MODEL: &str = "run/checkpoint/epoch-0003/model.safetensors";
const OPTIMIZER: &str = "run/checkpoint/epoch-0003/optimizer.safetensors";
const IMAGES: &str = "data/digits/train-images-idx3-ubyte";
const LABELS: &str = "data/digits/train-labels-idx1-ubyte";
const DESCRIPTION: &str = "data/digits/dataset.toml";
const CIFAR: &str = "data/things/data_batch_1.bin";
const TRAIN_CIFAR: &str =
    "train --method baseline --dataset data/things --members 1 --epochs 1 --out new";
const IMPORT: &str = "import weights.pth --dataset data/digits --out new";
const IMPORT_MODEL: &str =
    "import run/checkpoint/epoch-0003/model.safetensors --dataset data/digits --out new";
const CARD: &str = "pub/config.json";
const EVAL_PUBLISHED: &str = "eval clean pub --examples 20";

fn half(bytes: Vec<u8>) -> Vec<u8> {
    bytes[..bytes.len() / 2].to_vec()
}

/// A file of `fuzz/regressions/pytorch`, whatever it takes the place of.
macro_rules! pytorch {
    ($name:literal) => {
        |_| include_bytes!(concat!("../../fuzz/regressions/pytorch/", $name)).to_vec()
    };
}

/// `bytes` with the first `from` replaced by `to`, which is as long where offsets matter.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.unwrap_or_else(|| panic!("no {from}"));
    [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
}

/// [`replaced`] in the header of a safetensors file, whose length is told anew.
fn retold(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) + to.len() as u64;
    let length = length - from.len() as u64;
    [&length.to_le_bytes(), &replaced(rest, from, to)[..]].concat()
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { what: "IDX images cut in half", file: IMAGES, spoil: half, command: TRAIN,
        words: &["train-images", "bytes of content, expected"] },
    Case { what: "IDX header that promises 4 billion images", file: IMAGES,
        spoil: |mut b| { b[4..8].fill(255); b }, command: TRAIN, words: &["train-images", "expected"] },
    Case { what: "IDX images with the magic number of labels", file: IMAGES,
        spoil: |mut b| { b[3] = 1; b }, command: TRAIN, words: &["magic number is 0x00000801"] },
    Case { what: "IDX file that ends within its header", file: IMAGES,
        spoil: |b| b[..9].to_vec(), command: TRAIN, words: &["ends within its header"] },
    Case { what: "empty IDX file", file: LABELS, spoil: |_| vec![], command: TRAIN,
        words: &["train-labels", "ends within its header"] },
    Case { what: "IDX labels for fewer images", file: LABELS,
        spoil: |mut b| { b[7] -= 1; b.pop(); b }, command: TRAIN, words: &["bytes of images, expected"] },
    Case { what: "a label outside the classes", file: LABELS,
        spoil: |mut b| { b[20] = 200; b }, command: TRAIN, words: &["label of example 12", "200"] },
    Case { what: "gzip that is damaged", file: IMAGES,
        spoil: |b| [&[0x1f, 0x8b, 8, 0][..], &b[4..]].concat(), command: TRAIN, words: &["train-images", "damaged within its header"] },
    Case { what: "xz that is damaged", file: IMAGES,
        spoil: |b| [&b"\xfd7zXZ\0"[..], &b[6..]].concat(), command: TRAIN, words: &["train-images", "damaged within its header"] },
    Case { what: "CIFAR file cut within an image", file: CIFAR, spoil: |b| b[..7000].to_vec(), command: TRAIN_CIFAR,
        words: &["data_batch_1.bin", "bytes"] },
    Case { what: "CIFAR file with a label outside the classes", file: CIFAR,
        spoil: |mut b| { b[3073] = 77; b }, command: TRAIN_CIFAR, words: &["example 1", "77"] },
    Case { what: "`dataset.toml` that is no TOML", file: DESCRIPTION, spoil: |_| b"format = idx\n".to_vec(),
        command: TRAIN, words: &["dataset.toml", "line 1"] },
    Case { what: "`dataset.toml` with an unknown key", file: DESCRIPTION,
        spoil: |b| [&b[..], b"colour = true\n"].concat(), command: TRAIN, words: &["unknown field `colour`"] },
    Case { what: "`dataset.toml` with NaN in it", file: DESCRIPTION,
        spoil: |b| replaced(&b, "0.2", "nan"), command: TRAIN, words: &["mean"] },
    Case { what: "`dataset.toml` with sides of a billion", file: DESCRIPTION,
        spoil: |b| [&b[..], b"image_shape = [1, 1000000000, 1000000000]\n"].concat(), command: TRAIN,
        words: &["image_shape", "outside 1 to 4096"] },
    Case { what: "`dataset.toml` that names files elsewhere", file: DESCRIPTION,
        spoil: |b| [&b[..], b"train = [\"../../run/config.toml\", \"x\"]\n"].concat(), command: TRAIN,
        words: &["dataset.toml", "config.toml"] },
    Case { what: "a checkpoint cut in half", file: MODEL, spoil: half, command: EVAL,
        words: &["model.safetensors", "damaged"] },
    Case { what: "a checkpoint that is empty", file: MODEL, spoil: |_| vec![], command: EVAL,
        words: &["model.safetensors", "damaged"] },
    Case { what: "a checkpoint whose header claims exabytes", file: MODEL,
        spoil: |mut b| { b[..8].fill(255); b }, command: EVAL, words: &["model.safetensors", "damaged"] },
    Case { what: "a pickle in place of a checkpoint", file: MODEL,
        spoil: |_| b"\x80\x02cos\nsystem\n(S'touch owned'\ntR.".to_vec(), command: EVAL, words: &["damaged"] },
    Case { what: "a checkpoint with one bit flipped", file: MODEL,
        spoil: |mut b| { let n = b.len(); b[n - 3] ^= 1; b }, command: EVAL,
        words: &["SHA-256", "SHA256SUMS"] },
    Case { what: "a checkpoint with NaN for a weight", file: MODEL,
        spoil: |mut b| { let n = b.len(); b[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes()); b },
        command: EVAL, words: &["of member 1 that is not finite"] },
    Case { what: "a checkpoint that says another number of members", file: MODEL,
        spoil: |b| replaced(&b, r#"\"members\":2"#, r#"\"members\":3"#), command: EVAL,
        words: &["does not fit its own config", "model_2."] },
    Case { what: "a checkpoint that says another architecture", file: MODEL,
        spoil: |b| retold(&b, r#"\"arch\":\"lenet5\""#, r#"\"arch\":\"resnet20\""#),
        command: EVAL, words: &["does not fit its own config"] },
    Case { what: "a checkpoint that says another normalisation", file: MODEL,
        spoil: |b| replaced(&b, r#"\"leaky_slope\":0.0,\"mean\":[0.2]"#, r#"\"leaky_slope\":0.0,\"mean\":[0.7]"#),
        command: EVAL, words: &["normalized by mean [0.7]", "[0.2]"] },
    Case { what: "a checkpoint of another dataset than its run's", file: MODEL,
        spoil: |b| replaced(&b, r#"\"name\":\"digits\""#, r#"\"name\":\"digitz\""#), command: EVAL,
        words: &["`data.dataset.name` digitz", "has digits"] },
    Case { what: "a checkpoint that leads to another folder", file: MODEL,
        spoil: |b| replaced(&b, r#"\"name\":\"digits\""#, r#"\"name\":\"../../\""#), command: EVAL,
        words: &["is no name of a dataset"] },
    Case { what: "a published `config.json` of another architecture", file: CARD,
        spoil: |b| replaced(&b, "lenet5", "resnet20"), command: EVAL_PUBLISHED,
        words: &["config.json", "`resnet20` takes images"] },
    Case { what: "a published `config.json` of another normalization", file: CARD,
        spoil: |b| replaced(&b, "0.2", "0.7"), command: EVAL_PUBLISHED,
        words: &["`ensemble.mean` is [0.7], and [0.2] in `training`"] },
    Case { what: "a published `config.json` of another dataset", file: CARD,
        spoil: |b| replaced(&b, "\"digits\"", "\"digitz\""), command: EVAL_PUBLISHED,
        words: &["`dataset.name` is digitz, and digits in `training`"] },
    Case { what: "a published `config.json` with classes missing", file: CARD,
        spoil: |b| replaced(&b, "\"n_classes\": 10", "\"n_classes\": 7"), command: EVAL_PUBLISHED,
        words: &["a model of 7 classes, 10 names"] },
    Case { what: "a published `config.json` that leads to another folder", file: CARD,
        spoil: |b| replaced(&b, "\"digits\"", "\"../../x\""), command: EVAL_PUBLISHED,
        words: &["`../../x` is no name of a dataset"] },
    Case { what: "a published `config.json` of a newer version", file: CARD,
        spoil: |b| replaced(&b, "\"format_version\": 1", "\"format_version\": 9"), command: EVAL_PUBLISHED,
        words: &["has version 9, this program reads version 1"] },
    Case { what: "a PyTorch archive cut in half", file: "weights.pth",
        spoil: |b| half(pytorch!("zip.pth")(b)), command: IMPORT, words: &["weights.pth", "damaged"] },
    Case { what: "a PyTorch file whose pickle runs a command", file: "weights.pth",
        spoil: pytorch!("evil.pth"), command: IMPORT, words: &["`posix.system`", "nothing was run"] },
    Case { what: "an old PyTorch file whose pickle evaluates a text", file: "weights.pth",
        spoil: pytorch!("legacy-reduce"), command: IMPORT, words: &["`builtins.eval`", "nothing was run"] },
    Case { what: "an old PyTorch file that ends in its numbers", file: "weights.pth",
        spoil: pytorch!("legacy-cut"), command: IMPORT, words: &["ends in the middle of its numbers"] },
    Case { what: "a PyTorch archive whose entries share bytes", file: "weights.pth",
        spoil: pytorch!("entries-share-bytes"), command: IMPORT, words: &["more numbers than the file can hold"] },
    Case { what: "a PyTorch archive with a view of billions", file: "weights.pth",
        spoil: pytorch!("view-repeats"), command: IMPORT, words: &["larger than the file itself"] },
    Case { what: "a PyTorch archive whose names multiply", file: "weights.pth",
        spoil: pytorch!("names-without-end"), command: IMPORT, words: &["a name of more than 256 bytes"] },
    Case { what: "a PyTorch archive with a dictionary in itself", file: "weights.pth",
        spoil: pytorch!("dictionary-in-itself"), command: IMPORT, words: &["nested too deep"] },
    Case { what: "a PyTorch archive of member 999 alone", file: "weights.pth",
        spoil: pytorch!("members-999"), command: IMPORT, words: &["missing: `model_0.", "more"] },
    Case { what: "a PyTorch archive with a storage outside its folder", file: "weights.pth",
        spoil: pytorch!("leads-out"), command: IMPORT, words: &["weights.pth", "etc/passwd`"] },
    Case { what: "a PyTorch archive that is compressed", file: "weights.pth",
        spoil: pytorch!("deflated"), command: IMPORT, words: &["weights.pth", "data.pkl"] },
    Case { what: "weights to import with NaN among them", file: MODEL,
        spoil: |mut b| { let n = b.len(); b[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes()); b },
        command: IMPORT_MODEL, words: &["of member 1 that is not finite"] },
    Case { what: "an outcome cut in half", file: "outcomes", spoil: half, command: "verify outcomes",
        words: &["outcomes/", ".safetensors", "no safetensors file"] },
    Case { what: "an outcome with one bit flipped", file: "outcomes",
        spoil: |mut b| { let n = b.len(); b[n - 1] ^= 1; b }, command: "verify outcomes",
        words: &["outcomes/", "do not have their checksum"] },
    Case { what: "moments with one bit flipped", file: OPTIMIZER,
        spoil: |mut b| { let n = b.len(); b[n - 3] ^= 1; b }, command: "verify run", words: &["optimizer", "damaged"] },
    Case { what: "a `config.toml` with another seed", file: "run/config.toml",
        spoil: |b| replaced(&b, "seed = 0", "seed = 9"), command: EVAL, words: &["`seed` 0", "has 9"] },
    Case { what: "a `config.toml` that is none", file: "run/config.toml", spoil: |_| b"[[[".to_vec(),
        command: EVAL, words: &["config.toml"] },
    Case { what: "metrics with a line missing", file: "run/metrics.jsonl",
        spoil: |b| { let at = b.iter().position(|c| *c == b'\n').unwrap(); b[at + 1..].to_vec() },
        command: "verify run", words: &["metrics.jsonl", "is of epoch 2"] },
    Case { what: "options with an unknown key", file: "options.toml", spoil: |_| b"epoch = 3\n".to_vec(),
        command: "train --config options.toml", words: &["options.toml", "line 1", "`epoch`"] },
    Case { what: "options with a number for a name", file: "options.toml", spoil: |_| b"\nmethod = 3\n".to_vec(),
        command: "train --config options.toml", words: &["options.toml", "line 2"] },
    Case { what: "options with NaN for a number", file: "options.toml",
        spoil: |_| b"lr = nan\n".to_vec(), command: "train --config options.toml", words: &["lr", "NaN"] },
    Case { what: "options with a number below zero", file: "options.toml",
        spoil: |_| b"epochs = -1\n".to_vec(), command: "train --config options.toml",
        words: &["options.toml", "line 1"] },
    Case { what: "a table's request that is none", file: "request.json", spoil: |_| b"{\"table\": 4".to_vec(),
        command: "table request.json --out table", words: &["request.json", "no request"] },
    Case { what: "a learning rate that makes NaN at once", file: "unused", spoil: |b| b,
        command: "train --method baseline --dataset data/digits --members 2 --batch-size 32 --epochs 1 --lr 1e30 --out nan",
        words: &["`ce` is NaN", "member 0's scores", "step 2", "no checkpoint yet"] },
    Case { what: "a learning rate that makes NaN after a checkpoint", file: "unused", spoil: |b| b,
        command: "train --method cldl --dataset data/digits --members 2 --batch-size 32 --epochs 1 --lr 1e4 --checkpoint-every 1steps --out nan-later",
        words: &["`gd` is NaN", "member 0's input gradients", "step 2", "its last checkpoint, in epoch 1, after step 1, is good"] },
];

#[test]
fn one_clear_line_for_each() {
    let sandbox = Sandbox::new();
    sandbox.succeeds(&format!("train --method baseline {TINY} --out run"));
    for name in ["options.toml", "request.json", "weights.pth", "unused"] {
        fs::write(sandbox.path(name), "").unwrap();
    }
    sandbox.write_things(20, 20);
    sandbox.succeeds("export run --out pub");
    sandbox.succeeds("eval whitebox run --attacks fgsm --eps 0.1 --examples 20 --store outcomes");
    let mut rows = Vec::new();
    for case in CASES {
        let path = sandbox.path(case.file);
        // What an outcome is called follows from its key.
        let inside = path.is_dir().then(|| files_below(&path).into_keys().next().unwrap());
        let path = inside.map_or(path.clone(), |name| path.join(name));
        let good = fs::read(&path).unwrap();
        fs::write(&path, (case.spoil)(good.clone())).unwrap();
        let ran = sandbox.run(case.command);
        let complaint = ran.complaint();
        assert!(matches!(ran.status, Some(1 | 2)), "{}: {ran:?}", case.what);
        for word in case.words {
            assert!(complaint.contains(word), "{}: no `{word}` in: {complaint}", case.what);
        }
        let root = sandbox.root().display().to_string();
        rows.push(
            json!({"what": case.what, "exit": ran.status, "says": complaint.replace(&root, "")}),
        );
        fs::write(&path, good).unwrap();
        let left: Vec<&str> = ["new", "table", "owned"]
            .into_iter()
            .filter(|name| sandbox.path(name).exists())
            .collect();
        assert!(left.is_empty(), "{}: left {left:?}", case.what);
    }
    sandbox.succeeds("verify run");
    sandbox.succeeds("eval clean nan-later --examples 20");
    record::keep("input", &json!(rows));
}

#[test]
fn files_that_were_broken_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/regressions");
    for (name, target) in cldl_tests::hostile::TARGETS {
        let files = fs::read_dir(folder.join(name)).into_iter().flatten();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "no regressions of `{name}`");
        for file in files {
            target(&fs::read(file).unwrap());
        }
    }
}

#[test]
fn another_dataset_takes_force() {
    let sandbox = Sandbox::new();
    sandbox.succeeds(&format!("train --method baseline {TINY} --out run"));
    fs::create_dir(sandbox.path("data/letters")).unwrap();
    for entry in fs::read_dir(sandbox.path("data/digits")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, sandbox.path("data/letters").join(path.file_name().unwrap())).unwrap();
    }
    let ran = sandbox.run("eval clean run --dataset data/letters");
    assert_eq!(ran.status, Some(2), "{ran:?}");
    let complaint = ran.complaint();
    assert!(complaint.contains("trained on `digits`, not on `letters`"), "{complaint}");
    sandbox.succeeds("eval clean run --dataset data/letters --force --data-dir data");
    sandbox.succeeds("eval clean run --dataset data/digits");
}
