//! The bytes of a tiny training of each method, pinned.
//!
//! They may differ between instruction-set families, where the vectors' length sets the order of sums, and
//! nowhere else: not between 1, 2 and 4 threads, not between debug and release. After a change that is
//! meant to change them: `UPDATE_PINNED=1 cargo test --release -p cldl-tests --test torture pinned`.

use std::collections::BTreeMap;
use std::path::Path;

use cldl_core::kernels::family;
use cldl_core::sums::sha256;
use serde_json::json;

use crate::sandbox::{Ran, Sandbox, result_of};
use crate::{binary, record};

/// Every method, with settings that make its steps quick.
pub(crate) const METHODS: [&str; 7] = [
    "baseline",
    "adp",
    "gal",
    "dverge --distill-steps 2",
    "trs",
    "cldl",
    "adversarial --adv-steps 2",
];

/// Family, then method, then the SHA-256 of the model file.
type Pinned = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn pinned_bytes() {
    let sandbox = Sandbox::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("torture/pinned.json");
    let mut pinned: Pinned =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or("{}".to_owned())).unwrap();
    let (mut found, mut rows) = (BTreeMap::new(), Vec::new());
    for method in METHODS {
        let digest = |binary: &Path, threads: usize| {
            let out = format!("{}-{threads}", method.split(' ').next().unwrap());
            let arguments = format!(
                "train --method {method} --dataset data/digits --members 2 --limit-train 96 --batch-size 32 \
                 --epochs 1 --threads {threads} --out {out}"
            );
            let ran = Ran::of(sandbox.command_of(binary, &arguments).output().unwrap());
            assert_eq!(ran.status, Some(0), "{arguments}: {ran:?}");
            let mut result = result_of(&sandbox.path(&out));
            std::fs::remove_dir_all(sandbox.path(&out)).unwrap();
            sha256(&result.remove("checkpoint/epoch-0001/model.safetensors").unwrap())
        };
        let one = digest(&binary::cldl(), 1);
        for threads in [2, 4] {
            let more = digest(&binary::cldl(), threads);
            assert_eq!(more, one, "{method}: {threads} threads give other bytes than 1");
        }
        let mut same = vec!["1, 2 and 4 threads"];
        if let Some(debug) = binary::debug() {
            assert_eq!(digest(&debug, 2), one, "{method}: the debug build gives other bytes");
            same.push("debug and release");
        }
        rows.push(json!({"what": method, "sha256": one, "same": same}));
        found.insert(method.to_owned(), one);
    }
    record::keep("pinned", &json!({"family": family(), "rows": rows}));
    if std::env::var_os("UPDATE_PINNED").is_some() {
        pinned.insert(family().to_owned(), found);
        std::fs::write(&file, serde_json::to_string_pretty(&pinned).unwrap() + "\n").unwrap();
        return;
    }
    // A family that nobody has pinned yet has nothing to be compared with but its own threads, above.
    if let Some(expected) = pinned.get(family()) {
        assert_eq!(found, *expected, "see this file's head for how to pin other bytes");
    }
}
