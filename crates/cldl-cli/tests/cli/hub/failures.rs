//! What fails, and how that is told: one line each, nothing left behind.

use cldl_fake_hub::{Repo, Revision};

use super::sandbox::World;

#[test]
fn refusals_are_told_apart() {
    let mut world = World::new();
    world.push("");
    let pull = |world: &World, more: &str| world.failure(&format!("hub pull --repo-id {more}"));
    let text = pull(&world, "me/nothing");
    assert!(text.contains("no repository `me/nothing`"), "{text}");
    let text = pull(&world, "me/model --revision v9");
    assert!(text.contains("no branch, tag or commit `v9`"), "{text}");
    let absent = "0123456789012345678901234567890123456789";
    let text = pull(&world, &format!("me/model --revision {absent}"));
    assert!(text.contains(absent) && text.contains("no branch, tag or commit"), "{text}");
    world.hub.put_model("me/empty", Repo::new(false));
    let text = pull(&world, "me/empty");
    assert!(text.contains("no file `config.json`"), "{text}");
    world.hub.trouble("me/model", 1, Some(403));
    let text = pull(&world, "me/model");
    assert!(text.contains("your token may not"), "{text}");

    world.token = "reader";
    let text = world.failure("hub push run --repo-id me/model");
    assert!(text.contains("the right to write"), "{text}");
    world.token = "wrong";
    let text = world.failure("hub push run --repo-id me/model");
    assert!(text.contains("HF_TOKEN"), "{text}");
    world.token = "";
    let text = pull(&world, "me/model");
    assert!(text.contains("private") && text.contains("HF_TOKEN"), "{text}");
}

#[test]
fn wrong_use_is_told_before_anything_is_sent() {
    let world = World::new();
    for arguments in [
        "hub push run --repo-id model",
        "hub push run --repo-id me/../model",
        "hub pull --repo-id me/model --revision ../x",
        "hub push run",
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.status, 2, "{arguments}: {ran:?}");
    }
    let text = world.failure("hub push nowhere --repo-id me/model");
    assert!(text.contains("nowhere"), "{text}");
    world.json("export run --out out --json");
    let card = world.sandbox.path("out/README.md");
    std::fs::write(&card, "no front matter").unwrap();
    let text = world.failure("hub push out --repo-id me/model");
    assert!(text.contains("README.md"), "{text}");
    let text = world.failure("hub push run --repo-id me/model --license GPL");
    assert!(text.contains("license `GPL`"), "{text}");
    assert!(world.hub.requests().is_empty());
}

#[test]
fn a_branch_that_moved_is_left_alone() {
    let world = World::new();
    let first = world.push("");
    let other = world.hub.model("me/model", |repo| {
        repo.unwrap().commit("main", Revision::from([("theirs".to_owned(), b"x".to_vec())]))
    });
    let text = world.failure(&format!("hub push run --repo-id me/model --parent {first}"));
    assert!(text.contains("has moved on"), "{text}");
    let head = world.hub.model("me/model", |repo| repo.unwrap().at("main").unwrap().0.to_owned());
    assert_eq!(head, other);
    let ran = world.run("hub push run --repo-id me/model --tag main");
    assert!(ran.stderr.contains("already"), "{ran:?}");
}

#[test]
fn a_hub_in_trouble_is_asked_again() {
    let world = World::new();
    world.push("");
    for status in [Some(503), None] {
        world.clear_cache();
        world.hub.trouble("GET me/model/resolve", 2, status);
        world.json("hub pull --repo-id me/model --json");
    }
    world.clear_cache();
    world.hub.trouble("me/model", 1000, Some(500));
    let text = world.failure("hub pull --repo-id me/model --out copy");
    assert!(text.contains("500"), "{text}");
    assert!(!world.sandbox.path("copy").exists());
}

#[test]
fn what_was_tampered_with_is_refused() {
    let world = World::new();
    let commit = world.push("");
    let tamper = |name: &str, content: &[u8]| {
        world.hub.model("me/model", |repo| repo.unwrap().tamper(&commit, name, content));
    };
    tamper("model.safetensors", b"evil");
    let text = world.failure("hub pull --repo-id me/model --out copy");
    assert!(text.contains("`model.safetensors`") && text.contains("tampered"), "{text}");
    assert!(!world.sandbox.path("copy").exists());
    let text = world.failure("eval clean me/model");
    assert!(text.contains("tampered"), "{text}");

    for (config, says) in [
        (r#"{"files": {"../../evil.json": {"sha256": "00", "bytes": 1}}}"#, "refused"),
        (r#"{"files": {"/tmp/evil.json": {"sha256": "00", "bytes": 1}}}"#, "refused"),
        (r#"{"error": "Forbidden"}"#, "no config"),
        ("<html>", "no config"),
    ] {
        tamper("config.json", config.as_bytes());
        world.clear_cache();
        let text = world.failure("hub pull --repo-id me/model --out copy");
        assert!(text.contains(says), "{config}: {text}");
    }
    assert!(!world.sandbox.path("copy").exists());
    assert!(!world.sandbox.path("evil.json").exists());
}

#[test]
fn an_edited_card_is_left_out_and_the_model_used() {
    let world = World::new();
    let commit = world.push("");
    world.hub.model("me/model", |repo| repo.unwrap().tamper(&commit, "README.md", b"edited"));
    let ran = world.run("hub pull --repo-id me/model --out copy");
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("left out"), "{ran:?}");
    assert!(!world.sandbox.path("copy/README.md").exists());
    assert!(world.sandbox.path("copy/model.safetensors").exists());
}

#[test]
fn what_is_there_is_replaced_on_request_alone() {
    let world = World::new();
    world.push("");
    std::fs::create_dir(world.sandbox.path("copy")).unwrap();
    std::fs::write(world.sandbox.path("copy/mine"), b"x").unwrap();
    let text = world.failure("hub pull --repo-id me/model --out copy");
    assert!(text.contains("--force"), "{text}");
    assert!(world.sandbox.path("copy/mine").exists());
    world.json("hub pull --repo-id me/model --out copy --force --json");
    assert!(!world.sandbox.path("copy/mine").exists());
}
