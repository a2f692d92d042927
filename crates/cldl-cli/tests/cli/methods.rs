//! Every method in both variants, through the binary.

use crate::run::{Sandbox, model};

const TINY: &str = "--limit-train 96 --batch-size 32 --epochs 1 --members 2";

#[test]
fn every_method_trains_to_the_same_bytes_on_any_number_of_threads() {
    let sandbox = Sandbox::new();
    let methods = [
        "baseline --label-smoothing 0.3",
        "adp",
        "gal",
        "dverge --distill-steps 2",
        "trs",
        "cldl --alpha 0",
        "cldl --beta 0",
        "adversarial --adv-steps 2",
        "gal --plus-adv --adv-steps 2 --adv-eps 0.1",
    ];
    for (k, method) in methods.into_iter().enumerate() {
        for variant in ["paper", "official"] {
            let train = |threads: usize| {
                let out = format!("{k}-{variant}-{threads}");
                let command = format!(
                    "train --method {method} {TINY} --variant {variant} --threads {threads} --out {out}"
                );
                let ran = sandbox.run(&command);
                assert_eq!(ran.status, 0, "{command}: {ran:?}");
                model(&sandbox.path(&out))
            };
            assert!(train(1) == train(2), "{method} {variant}: 1 and 2 threads differ");
        }
    }
}

#[test]
fn a_training_may_start_from_another_s_weights() {
    let sandbox = Sandbox::new();
    sandbox.baseline("plain", 2);
    let dverge = format!("train --method dverge --distill-steps 1 {TINY}");
    assert_eq!(sandbox.run(&format!("{dverge} --init plain --out from-plain")).status, 0);
    assert_eq!(sandbox.run(&format!("{dverge} --out fresh")).status, 0);
    assert!(model(&sandbox.path("from-plain")) != model(&sandbox.path("fresh")));
    let config = std::fs::read_to_string(sandbox.path("from-plain/config.toml")).unwrap();
    assert!(config.contains("\ninit = \""), "{config}");
    // A label confusion model starts afresh beside the members' weights.
    let cldl = format!("train --method cldl {TINY} --init plain --out cldl");
    assert_eq!(sandbox.run(&cldl).status, 0);

    let three = dverge.replace("--members 2", "--members 3");
    let ran = sandbox.run(&format!("{three} --init plain --out other"));
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("`plain") && ran.stderr.contains("3 lenet5"), "{}", ran.stderr);
    assert!(!sandbox.path("other").exists());
}

#[test]
fn wrong_options_are_one_line_and_exit_2() {
    let sandbox = Sandbox::new();
    for (options, words) in [
        ("--method gal --members 1", "needs at least 2, got 1"),
        ("--method baseline --gamma 3", "no --gamma"),
        ("--method dverge --layer 6", "layer 6"),
        ("--method adversarial --adv-eps 1.5", "1.5 is outside [0, 1]"),
        ("--leaky-slope 0.1", "`lenet5` has ReLU"),
    ] {
        let ran = sandbox.run(&format!("train {options}"));
        assert_eq!(ran.status, 2, "{options}: {ran:?}");
        assert!(ran.stderr.lines().count() == 1 && ran.stderr.contains(words), "{ran:?}");
    }
}

#[test]
fn flags_win_over_the_file() {
    let sandbox = Sandbox::new();
    let file = "method = \"gal\"\nplus_adv = true\nadv_steps = 1\nlimit_train = 64\nepochs = 1\n";
    std::fs::write(sandbox.path("gal.toml"), file).unwrap();
    let ran = sandbox.run("train --config gal.toml --members 2 --limit-train 32 --out run");
    assert_eq!(ran.status, 0, "{ran:?}");
    let config = std::fs::read_to_string(sandbox.path("run/config.toml")).unwrap();
    for line in ["examples = 32", "members = 2", "[plus_adv]", "name = \"gal\"", "steps = 1"] {
        assert!(config.contains(line), "no `{line}` in {config}");
    }
    std::fs::write(sandbox.path("bad.toml"), "method = \"gal\"\nepoch = 1\n").unwrap();
    let ran = sandbox.run("train --config bad.toml");
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("`bad.toml`, line 2: unknown field `epoch`"), "{}", ran.stderr);
}
