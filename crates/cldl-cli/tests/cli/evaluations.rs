//! The evaluations of the authors' repository, through the binary.

use crate::run::Sandbox;

#[test]
fn whitebox_accuracy_is_at_most_black_box_accuracy_of_the_same_attack() {
    let sandbox = Sandbox::new();
    sandbox.baseline("target", 2);
    let common = "--attacks fgsm pgd --eps 0.1 --examples 64 --steps 3 --store outcomes";
    let command = format!("eval whitebox target --restarts 2 {common}");
    let value = sandbox.json(&format!("{command} --json"));
    let row = |k: usize| value["targets"][0]["attacks"][k].clone();
    assert_eq!((row(0)["attack"].as_str(), row(1)["attack"].as_str()), (Some("fgsm"), Some("pgd")));
    assert_eq!(row(0)["total"], 64);
    let clean = value["targets"][0]["clean"]["percent"].as_f64().unwrap();
    assert!(row(1)["percent"].as_f64().unwrap() <= clean);
    assert!(row(1)["percent_of_clean_right"].as_f64().unwrap() <= 100.0);

    let csv = sandbox.run(&format!("{command} --csv"));
    let lines: Vec<&str> = csv.stdout.lines().collect();
    assert_eq!(lines[0], "attack,eps,target");
    assert!(lines.len() == 4 && lines[1].starts_with("clean,0,"), "{csv:?}");
    assert_eq!(sandbox.run(&format!("{command} --csv --json")).status, 2);
}

#[test]
fn the_transfer_matrix_has_a_row_for_each_member_and_a_column_for_the_ensemble() {
    let sandbox = Sandbox::new();
    sandbox.baseline("run", 3);
    let command = "eval transfer run --attacks pgd --eps 0.2 --examples 40 --steps 3 --restarts 2 \
                   --store outcomes";
    let value = sandbox.json(&format!("{command} --json"));
    let matrix = &value["matrices"][0];
    assert_eq!(matrix["ensemble"].as_array().unwrap().len(), 3);
    let rows = matrix["members"].as_array().unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.as_array().unwrap().len() == 3));
    assert!(value["examples"].as_u64().unwrap() <= 40);
    let text = sandbox.run(command).stdout;
    assert!(text.contains("member 2") && text.contains("ensemble"), "{text}");
}

#[test]
fn tuning_ranks_runs_by_their_mean() {
    let sandbox = Sandbox::new();
    for (name, members) in [("one", 1), ("two", 2), ("surrogate", 3)] {
        sandbox.baseline(name, members);
    }
    let command = "eval tuning one two --surrogates surrogate --attacks bim --eps 0.1 --examples 50 \
                   --steps 2 --store outcomes";
    let value = sandbox.json(&format!("{command} --json"));
    let ranking = value["ranking"].as_array().unwrap();
    let mean = |k: usize| ranking[k]["mean"].as_f64().unwrap();
    assert!(ranking.len() == 2 && mean(0) >= mean(1), "{value}");
    let text = sandbox.run(command).stdout;
    assert!(text.contains('*') && text.contains("baseline"), "{text}");
}

#[test]
fn clean_accuracy_of_several_runs_is_an_array() {
    let sandbox = Sandbox::new();
    sandbox.baseline("a", 1);
    sandbox.baseline("b", 2);
    let values = sandbox.json("eval clean a b --examples 50 --json");
    assert_eq!(values.as_array().unwrap().len(), 2);
    assert_eq!(values[1]["run"], "b");
}
