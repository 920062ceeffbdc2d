//! `muster project`.

use serde_json::{Value, json};

use crate::support::cli::muster;
use crate::support::repository::Repository;
use crate::support::server::shared;

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_added_with_a_guess_that_is_told() {
    let server = shared().await;
    let repository = Repository::new(&[("Makefile", "test:\n\ttrue\n")]);
    let added = muster(server, &["project", "add", &repository.path_text(), "--name", "guessed"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    assert!(added.err.contains("Guessed from Makefile: tests = make test"), "{added:?}");
    let shown: Value = muster(server, &["project", "show", "guessed", "--json"]).await.json();
    assert_eq!(shown["repository_path"], json!(repository.path_text()));
    assert_eq!(shown["default_branch"], json!("main"));
    assert_eq!(shown["settings"]["verification"][0]["command"], json!(["make", "test"]));
    let listed = muster(server, &["project", "list"]).await;
    assert!(listed.out.contains("guessed"), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_become_settings() {
    let server = shared().await;
    let repository = Repository::new(&[]);
    let path = repository.path_text();
    let flags = ["--verify", "unit=sh -c 'exit 0'", "--agent", "coder=acp:some-agent --acp", "--max-iterations", "7"];
    let arguments = [&["project", "add", &path, "--name", "flags", "--auto-approve"][..], &flags[..]].concat();
    let added = muster(server, &arguments).await;
    assert_eq!(added.code, 0, "{added:?}");
    let shown: Value = muster(server, &["project", "show", "flags", "--json"]).await.json();
    let settings = &shown["settings"];
    assert_eq!(settings["verification"][0]["command"], json!(["sh", "-c", "exit 0"]));
    assert_eq!(settings["agents"]["coder"]["command"], json!(["some-agent", "--acp"]));
    assert_eq!(settings["max_iterations"], json!(7));
    assert_eq!(settings["require_plan_approval"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_with_the_reason() {
    let server = shared().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let no_repository = muster(server, &["project", "add", &path]).await;
    assert_eq!(no_repository.code, 2);
    assert!(no_repository.err.contains("git init"), "{no_repository:?}");

    let repository = Repository::new(&[]);
    let path = repository.path_text();
    let arguments = ["project", "add", &path, "--verify", "tests=no-such-program-anywhere", "--json"];
    let no_command = muster(server, &arguments).await;
    assert_eq!(no_command.code, 1, "{no_command:?}");
    let error: Value = serde_json::from_str(&no_command.err).unwrap();
    assert_eq!(error["error"]["code"], json!("verification_command_not_found"));

    let no_project = muster(server, &["project", "show", "never-added"]).await;
    assert_eq!(no_project.code, 4, "{no_project:?}");
}
