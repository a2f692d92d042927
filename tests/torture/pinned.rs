//! The bytes of a tiny training of each method, pinned.
//!
//! They may differ between instruction-set families, where the vectors' length sets the order of sums, and
//! nowhere else: not between 1, 2 and 4 threads, not between debug and release. A machine can be those
//! below its own, by `--instructions`; `cargo xtask torture` also has QEMU, where it is installed, be them.
//! After a change that is meant to change the bytes, on a machine of the highest family:
//! `UPDATE_PINNED=1 cargo test --release --workspace --test torture pinned`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use cldl_core::Instructions;
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

/// Families from the highest to the lowest, each with a processor of its kind as QEMU calls it.
const EMULATED: [(&str, &str); 2] = [("avx2", "Haswell"), ("portable", "Westmere")];
const QEMU: &str = "qemu-x86_64";

/// Method, then the SHA-256 of the model file.
type Digests = BTreeMap<String, String>;

#[test]
fn pinned_bytes() {
    let sandbox = Sandbox::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("torture/pinned.json");
    let pinned = std::fs::read_to_string(&file).unwrap_or("{}".to_owned());
    let mut pinned: BTreeMap<String, Digests> = serde_json::from_str(&pinned).unwrap();
    let update = std::env::var_os("UPDATE_PINNED").is_some();

    let (digests, same) = here(&sandbox);
    let own = Instructions::best();
    let mut found = vec![(own.to_string(), digests)];
    found.extend(below(own).map(|(name, _)| ((*name).to_owned(), chosen(&sandbox, name))));
    if (update || record::thorough()) && qemu_works() {
        for (name, digests) in emulated(&sandbox, own) {
            let chosen = found.iter().find(|(family, _)| family == name).map(|(_, chosen)| chosen);
            assert_eq!(
                Some(&digests),
                chosen,
                "{name}: QEMU's bytes are not those of --instructions"
            );
        }
    }
    let families = found.iter().map(|(name, digests)| json!({"family": name, "sha256": digests}));
    record::keep("pinned", &json!({"same": same, "families": families.collect::<Vec<_>>()}));
    if update {
        pinned.extend(found);
        std::fs::write(&file, serde_json::to_string_pretty(&pinned).unwrap() + "\n").unwrap();
        return;
    }
    for (family, digests) in found {
        // One that nobody has pinned yet has nothing to be compared with but its own threads.
        if let Some(expected) = pinned.get(&family) {
            assert_eq!(digests, *expected, "{family}: see this file's head for how to pin others");
        }
    }
}

/// The digests on this machine, and what they are the same by.
fn here(sandbox: &Sandbox) -> (Digests, Vec<&'static str>) {
    let release = || sandbox.command_of(&binary::cldl(), "");
    let mut digests = Digests::new();
    for method in METHODS {
        let one = digest(sandbox, release(), method, 1, "here");
        for threads in [2, 4] {
            let more = digest(sandbox, release(), method, threads, "here");
            assert_eq!(more, one, "{method}: {threads} threads give other bytes than 1");
        }
        if let Some(debug) = binary::debug() {
            let debug = digest(sandbox, sandbox.command_of(&debug, ""), method, 2, "here");
            assert_eq!(debug, one, "{method}: the debug build gives other bytes");
        }
        digests.insert(method.to_owned(), one);
    }
    let mut same = vec!["1, 2 and 4 threads"];
    same.extend(binary::debug().map(|_| "debug and release"));
    (digests, same)
}

/// The families below that of this machine.
fn below(own: Instructions) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let place = EMULATED.iter().position(|(name, _)| *name == own.to_string());
    EMULATED.iter().skip(place.map_or(0, |place| place + 1))
}

/// The digests of a family below that of this machine.
fn chosen(sandbox: &Sandbox, name: &str) -> Digests {
    let digest_of = |method: &str| {
        let chosen = format!("{method} --instructions {name}");
        digest(sandbox, sandbox.command_of(&binary::cldl(), ""), &chosen, 2, "chosen")
    };
    METHODS.iter().map(|method| ((*method).to_owned(), digest_of(method))).collect()
}

/// The digests of the families below, each on a processor that QEMU plays.
fn emulated(sandbox: &Sandbox, own: Instructions) -> Vec<(&'static str, Digests)> {
    let digests = |name: &str, cpu: &str| {
        let mut digests = Digests::new();
        for method in METHODS {
            let mut qemu = sandbox.command_of(Path::new(QEMU), "-cpu");
            qemu.arg(cpu).arg(binary::cldl());
            // Else `cldl` starts itself over with them, and QEMU does not follow it.
            qemu.envs([("CANDLE_NUM_THREADS", "1"), ("MIMALLOC_PURGE_DELAY", "1000")]);
            digests.insert(method.to_owned(), digest(sandbox, qemu, method, 1, name));
        }
        digests
    };
    let others = below(own);
    std::thread::scope(|scope| {
        let digests = &digests;
        let at_once: Vec<_> =
            others.map(|(name, cpu)| (*name, scope.spawn(move || digests(name, cpu)))).collect();
        at_once.into_iter().map(|(name, thread)| (name, thread.join().unwrap())).collect()
    })
}

fn qemu_works() -> bool {
    let version = Command::new(QEMU).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// The SHA-256 of the model that `cldl`, not yet started, trains in the folder `out`.
fn digest(sandbox: &Sandbox, mut cldl: Command, method: &str, threads: usize, out: &str) -> String {
    let arguments = format!(
        "train --method {method} --dataset data/digits --members 2 --limit-train 96 --batch-size 32 \
         --epochs 1 --threads {threads} --out {out}"
    );
    let ran = Ran::of(cldl.args(arguments.split_whitespace()).output().unwrap());
    assert_eq!(ran.status, Some(0), "{arguments}: {ran:?}");
    let run = sandbox.path(out);
    let model = result_of(&run).remove("checkpoint/epoch-0001/model.safetensors").unwrap();
    std::fs::remove_dir_all(run).unwrap();
    sha256(&model)
}
