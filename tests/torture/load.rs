//! Eight commands at once on one machine; and no more memory than the estimate said.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use crate::pinned::METHODS;
use crate::record;
use crate::sandbox::{Ran, Sandbox, TINY, result_of};

#[test]
fn eight_at_once() {
    let sandbox = Sandbox::new();
    sandbox.succeeds(&format!("train --method baseline {TINY} --out plain"));
    let command = |i: usize, tag: &str| {
        if i.is_multiple_of(2) {
            format!("train --method cldl {TINY} --seed {i} --threads 1 --out {tag}{i}")
        } else {
            format!(
                "eval whitebox plain --attacks pgd --eps 0.1 --losses ce --restarts {i} --examples 50 \
                 --threads 1 --store {tag}-outcomes{i}"
            )
        }
    };
    let begin = Instant::now();
    let alone: Vec<String> =
        (0..8).map(|i| sandbox.succeeds(&command(i, "alone")).stdout).collect();
    let one_by_one = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let children: Vec<_> = (0..8)
        .map(|i| {
            let mut command = sandbox.command(&command(i, "together"));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let ended: Vec<Ran> =
        children.into_iter().map(|child| Ran::of(child.wait_with_output().unwrap())).collect();
    let at_once = begin.elapsed().as_secs_f64();
    for (i, ran) in ended.iter().enumerate() {
        assert_eq!(ran.status, Some(0), "{ran:?}");
        if i.is_multiple_of(2) {
            let (one, other) = (format!("alone{i}"), format!("together{i}"));
            assert!(result_of(&sandbox.path(&one)) == result_of(&sandbox.path(&other)));
        } else {
            assert_eq!(ran.stdout, alone[i]);
        }
    }
    // They share the cores: together they take no longer than one after the other, but for a margin.
    assert!(at_once < 1.5 * one_by_one + 2.0, "{at_once} s at once, {one_by_one} s one by one");
    let cores = std::thread::available_parallelism().unwrap().get();
    record::keep(
        "load",
        &json!({"commands": 8, "threads_each": 1, "cores": cores, "one_by_one_seconds": one_by_one,
                "at_once_seconds": at_once}),
    );
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_within_its_estimate() {
    const RESNET: &str = "--dataset data/things --members 3 --batch-size 24 --epochs 1";
    let sandbox = Sandbox::new();
    // The look after an epoch takes as many images as two steps, but no more than a tenth of these.
    sandbox.write_things(240, 480);
    let (few, one) = (["baseline", "cldl", "dverge --distill-steps 2"], ["baseline"]);
    let (tiny, resnet) =
        if record::thorough() { (&METHODS[..], &METHODS[..]) } else { (&few[..], &one[..]) };
    let mut rows = Vec::new();
    for (network, methods, common) in [("LeNet-5", tiny, TINY), ("ResNet-20", resnet, RESNET)] {
        for method in methods {
            let arguments = format!("train --method {method} {common} --out run --json");
            let json = |arguments: &str| -> Value {
                serde_json::from_str(&sandbox.succeeds(arguments).stdout).unwrap()
            };
            let estimate = json(&format!("{arguments} --dry-run"));
            let estimate = estimate["expected_memory_bytes"].as_f64().unwrap();
            let peak = json(&arguments)["peak_memory_bytes"].as_f64().unwrap();
            std::fs::remove_dir_all(sandbox.path("run")).unwrap();
            let what = format!("{network}, {method}");
            assert!(peak < 1.3 * estimate, "{what}: {peak} bytes, the estimate was {estimate}");
            assert!(estimate < 2.0 * peak, "{what}: {peak} bytes, the estimate was {estimate}");
            rows.push(json!({"what": what, "estimate_bytes": estimate, "peak_bytes": peak}));
        }
    }
    record::keep("memory", &json!(rows));
}
