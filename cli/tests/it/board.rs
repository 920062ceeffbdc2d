//! The commands about cards, and the exit codes.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::cli::{Ran, command, muster, run};
use crate::support::repository::Repository;
use crate::support::server::{DevServer, shared};

/// A project of its own for a test.
async fn project(server: &DevServer, name: &str) -> Repository {
    let repository = Repository::new(&[("Makefile", "test:\n\ttrue\n")]);
    let added = muster(server, &["project", "add", &repository.path_text(), "--name", name]).await;
    assert_eq!(added.code, 0, "{added:?}");
    repository
}

async fn within(server: &DevServer, repository: &Repository, arguments: &[&str]) -> Ran {
    run(command(Some(server), &repository.path(), arguments)).await
}

fn id_of(outcome: &Ran) -> String {
    outcome.json::<Value>()["task_id"].as_str().expect("a task's id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_added_read_and_cancelled_from_within_the_repository() {
    let server = shared().await;
    let repository = project(server, "cards").await;
    let first = within(server, &repository, &["add", "First", "--criterion", "tests: it works", "--json"]).await;
    assert_eq!(first.code, 0, "{first:?}");
    let first = id_of(&first);
    let ending = &first[first.len() - 8..];
    let second = ["add", "Second", "--priority", "urgent", "--blocked-by", ending, "--json"];
    let second = id_of(&within(server, &repository, &second).await);

    let list = within(server, &repository, &["list"]).await;
    assert!(
        list.out.lines().nth(1).is_some_and(|line| line.contains("Second") && line.contains("blocked")),
        "{list:?}"
    );
    let blocked: Value = within(server, &repository, &["list", "--status", "blocked", "--json"]).await.json();
    assert_eq!(blocked.as_array().map(Vec::len), Some(1));

    let status: Value = within(server, &repository, &["status", ending, "--json"]).await.json();
    assert_eq!(status["acceptance_criteria"], json!([{ "text": "it works", "check": "tests" }]));
    assert_eq!(within(server, &repository, &["prompt", ending, "Mind the gap"]).await.code, 0);
    let cancelled = within(server, &repository, &["cancel", ending, "--reason", "enough"]).await;
    assert_eq!(cancelled.code, 0, "{cancelled:?}");
    let again = within(server, &repository, &["cancel", ending, "--json"]).await;
    assert_eq!(again.code, 5, "{again:?}");
    assert_eq!(serde_json::from_str::<Value>(&again.err).unwrap()["error"]["code"], json!("already_decided"));

    let watched = within(server, &repository, &["watch", &first, "--json"]).await;
    assert_eq!(watched.code, 1, "a cancelled card is no success: {watched:?}");
    let types: Vec<_> = watched.json_lines().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["task.created", "task.dispatched", "user.injected_prompt", "user.cancelled_task", "task.status_changed"];
    assert_eq!(types, expected);

    let replayed: Value = within(server, &repository, &["replay", &first, "--to-seq", "3", "--json"]).await.json();
    assert_eq!(replayed["state"]["prompts"], json!(["Mind the gap"]));
    assert_eq!(replayed["state"]["status"], json!("inbox"), "as it was before it was cancelled");
    assert_eq!(within(server, &repository, &["replay", &first, "--to-seq", "99"]).await.code, 2);
    assert_eq!(within(server, &repository, &["cancel", &second]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_failure_has_its_exit_code() {
    let server = shared().await;
    let repository = project(server, "codes").await;
    let id = id_of(&within(server, &repository, &["add", "A card", "--json"]).await);
    let code = async |arguments: &[&str]| within(server, &repository, arguments).await.code;
    assert_eq!(code(&["approve", &id, "--yes"]).await, 5, "it has no plan");
    assert_eq!(code(&["add", "x", "--priority", "extreme"]).await, 2, "no such priority");
    assert_eq!(code(&["status", "zz"]).await, 2, "no id");
    assert_eq!(code(&["status", "00000000"]).await, 4, "no such card");
    assert_eq!(code(&["answer", &id, "yes"]).await, 4, "no question");
    assert_eq!(code(&["logs", "00000000"]).await, 4, "no such run");
    assert_eq!(code(&["list", "--project", "nope"]).await, 4, "no such project");
    assert_eq!(code(&["retry", &id]).await, 5, "nothing to retry");
    let none = run(command(None, Path::new("/"), &["list"])).await;
    assert_eq!(none.code, 3, "{none:?}");
    assert!(none.err.contains("muster dev"), "{none:?}");
    let nobody = run(command(None, Path::new("/"), &["list", "--url", "http://127.0.0.1:1"])).await;
    assert_eq!(nobody.code, 3, "{nobody:?}");
    let mut wrong_token = command(Some(server), Path::new("/"), &["list", "--json"]);
    wrong_token.env("MUSTER_TOKEN", "not-a-token");
    assert_eq!(run(wrong_token).await.code, 6);
}
