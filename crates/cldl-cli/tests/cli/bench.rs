//! `cldl bench`: what it prints, and what it refuses.

use serde_json::Value;

use crate::run::Sandbox;

fn lines(arguments: &str) -> Vec<Value> {
    let ran = Sandbox::new().run(arguments);
    assert_eq!(ran.status, 0, "{arguments}: {ran:?}");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_pass_of_every_layer_is_timed_by_itself() {
    let rows = lines("bench --kernels --batch 2 --repeat 1 --threads 1 --json");
    assert_eq!(rows.len(), 15, "five layers of LeNet-5, three passes each");
    for row in &rows {
        let number = |name: &str| row[name].as_f64().unwrap();
        assert!(number("seconds") > 0.0 && number("limit") > 0.0, "{row}");
        // The peak is measured after it: with other work on the machine a kernel can come out above it.
        assert!(number("gflops") > 0.0 && number("gflops") < 3.0 * number("peak_gflops"), "{row}");
    }
    let first = &rows[0];
    assert_eq!((first["pass"].as_str(), first["batch"].as_u64()), (Some("forward"), Some(2)));
    // Images, weights, and the pooled outputs with the places of their maxima.
    assert_eq!(first["bytes"], 4 * (2 * 28 * 28 + 20 * 25 + 2 * 2 * 12 * 12 * 20));
}

#[test]
fn a_step_has_the_fields_that_the_comparator_has() {
    let rows = lines("bench --only forward,ce --members 1 --batch 4 --repeat 1 --threads 1 --json");
    let names: Vec<_> = rows.iter().map(|row| row["what"].as_str().unwrap()).collect();
    assert_eq!(names, ["forward", "ce"]);
    for row in &rows {
        assert_eq!((row["system"].as_str(), row["arch"].as_str()), (Some("cldl"), Some("lenet5")));
        assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_in_a_line() {
    for (arguments, reason) in [
        ("bench --kernels --profile", "cannot be used with"),
        ("bench --only nothing", "unknown row `nothing`"),
        ("bench --kernels --repeat 0", "--repeat is 0"),
    ] {
        let ran = Sandbox::new().run(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments}: {ran:?}");
        assert!(ran.stderr.contains(reason), "{arguments}: {ran:?}");
    }
}
