//! What works: create, push, tag, pull by name and by commit, use in place of a path.

use super::sandbox::World;

/// The numbers of an evaluation, without the names of what was evaluated.
fn numbers(world: &World, place: &str) -> serde_json::Value {
    let clean = world.json(&format!("eval clean {place} --examples 500 --json"));
    let attack = format!("attack {place} --attack pgd --eps 0.1 --steps 3 --examples 50 --json");
    let attacked = world.json(&attack);
    serde_json::json!([
        clean["right"],
        clean["examples"],
        attacked["adversarial"],
        attacked["audit"]
    ])
}

#[test]
fn round_trip() {
    let world = World::new();
    let evaluate = "eval whitebox run --attacks pgd --eps 0.1 --restarts 2 --examples 50 --json";
    world.json(evaluate);
    let show = |arguments: &str| {
        let ran = world.run(arguments);
        println!("$ cldl {arguments}\n{}{}", ran.stderr, ran.stdout);
        assert_eq!(ran.status, 0, "{ran:?}");
    };
    show("hub push run --repo-id me/model --tag v1");
    show("hub pull --repo-id me/model --revision v1 --out copy");
    show("eval clean run copy me/model@v1 --examples 500");
    assert_eq!(numbers(&world, "run"), numbers(&world, "copy"));
    assert_eq!(numbers(&world, "run"), numbers(&world, "me/model@v1"));

    // What was measured went along, and what was pulled is pushed again without a change.
    let config = std::fs::read_to_string(world.sandbox.path("copy/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["results"].as_array().unwrap().len(), 2, "{config}");
    let card = std::fs::read_to_string(world.sandbox.path("copy/README.md")).unwrap();
    assert!(card.contains("PGD-10, Linf eps 0.1, ce, 2 starts"), "{card}");
    world.json("hub push copy --repo-id me/other --json");
    let files = |id| world.hub.model(id, |repo| repo.unwrap().at("main").unwrap().1.clone());
    assert_eq!(files("me/model"), files("me/other"));
}

#[test]
fn a_push_is_private_and_planned_by_a_dry_run() {
    let world = World::new();
    let plan = world.json("hub push run --repo-id me/model --dry-run --json");
    assert_eq!((&plan["private"], plan["files"].as_array().unwrap().len()), (&true.into(), 3));
    assert!(world.hub.requests().is_empty());
    world.push("--message first");
    assert!(world.hub.model("me/model", |repo| repo.unwrap().private));
    world.json("hub push run --repo-id me/shown --public --json");
    assert!(!world.hub.model("me/shown", |repo| repo.unwrap().private));
}

#[test]
fn branches_tags_and_commits_are_pulled_and_nothing_twice() {
    let world = World::new();
    let first = world.push("--tag v1");
    let second = world.push("--revision dev");
    assert_ne!(first, second);
    for (revision, commit) in
        [("main", &first), ("v1", &first), ("dev", &second), (&second, &second)]
    {
        let pulled =
            world.json(&format!("hub pull --repo-id me/model --revision {revision} --json"));
        assert_eq!(pulled["commit"].as_str(), Some(commit.as_str()), "{revision}");
    }
    world.hub.requests();
    world.json("hub pull --repo-id me/model --json");
    let requests = world.hub.requests();
    assert!(requests.iter().all(|r| !r.contains("resolve")), "{requests:?}");
    // A commit is what it is: nobody needs to be asked.
    world.json(&format!("hub pull --repo-id me/model --revision {first} --json"));
    assert_eq!(world.hub.requests(), Vec::<String>::new());
}

#[test]
fn large_files_go_through_xet() {
    let world = World::with_xet();
    world.push("");
    let stored = world
        .hub
        .model("me/model", |repo| repo.unwrap().at("main").unwrap().1["model.safetensors"].len());
    assert!(stored < 200, "{stored} bytes were sent inline");
    world.json("hub pull --repo-id me/model --out copy --json");
    assert_eq!(numbers(&world, "run"), numbers(&world, "copy"));
}

#[test]
fn training_starts_from_a_repository_and_keeps_its_commit() {
    let world = World::new();
    let commit = world.push("");
    world.json(
        "train --method baseline --members 2 --limit-train 128 --epochs 1 --init me/model --out next --json",
    );
    let origin = std::fs::read_to_string(world.sandbox.path("next/init.json")).unwrap();
    assert!(origin.contains(&commit), "{origin}");
    let clean = world.json("eval clean me/model --examples 100 --json");
    assert_eq!(clean["run"].as_str(), Some(format!("me/model@{commit}").as_str()));
}

#[test]
fn offline_uses_the_cache_and_asks_nobody() {
    let world = World::new();
    let commit = world.push("");
    let miss = world.failure("hub pull --repo-id me/model --offline");
    assert!(miss.contains("not in the cache"), "{miss}");
    world.json("hub pull --repo-id me/model --json");
    world.hub.requests();
    let pulled = world.json("hub pull --repo-id me/model --offline --json");
    assert_eq!(pulled["commit"].as_str(), Some(commit.as_str()));
    let offline =
        world.command("eval clean me/model --examples 100").env("HF_HUB_OFFLINE", "1").output();
    assert!(offline.unwrap().status.success());
    assert_eq!(world.hub.requests(), Vec::<String>::new());
}
