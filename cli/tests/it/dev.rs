//! `muster dev` itself: its folder, its port, its stop.

use std::os::unix::fs::PermissionsExt;

use muster_client::domain::command::CreateTask;
use serde_json::json;

use crate::support::cli::muster;
use crate::support::repository::Repository;
use crate::support::server::{DevServer, shared};

#[tokio::test(flavor = "multi_thread")]
async fn stopped_and_started_again_it_has_its_data_and_its_token() {
    let server = DevServer::start(&["--no-runner"]).await;
    let repository = Repository::new(&[]);
    let path = repository.path_text();
    let added = muster(&server, &["project", "add", &path, "--name", "kept"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    let added = muster(&server, &["add", "Survive", "--project", "kept"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    let (folder, token) = (server.folder.clone(), server.token());
    let mode = std::fs::metadata(&server.ready.token_file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    assert!(server.interrupt().success());
    assert!(!folder.join("data/url").exists(), "nobody is led to a server that is gone");

    let server = DevServer::start_on(&folder, "0", &["--no-runner"]).await;
    assert_eq!(server.token(), token);
    let list: serde_json::Value = muster(&server, &["list", "--json", "--project", "kept"]).await.json();
    assert_eq!(list[0]["title"], json!("Survive"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_server_and_a_port_as_well() {
    let server = shared().await;
    let same_folder = muster(server, &["dev", "--port", "0"]).await;
    assert_eq!(same_folder.code, 1);
    assert!(
        same_folder.err.contains("another `muster dev`") && same_folder.err.contains(server.url()),
        "{same_folder:?}"
    );

    let elsewhere = tempfile::tempdir().unwrap();
    let folder = elsewhere.path().display().to_string();
    let same_port = muster(server, &["dev", "--data-dir", &folder, "--port", &server.port()]).await;
    assert_eq!(same_port.code, 1);
    assert!(same_port.err.contains("--port"), "{same_port:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_token_and_a_stranger_sees_nothing() {
    let server = shared().await;
    for path in ["/healthz", "/readyz", "/metrics", "/graphiql", "/"] {
        let answer = reqwest::get(format!("{}{path}", server.url())).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let repository = Repository::new(&[]);
    let added = muster(server, &["project", "add", &repository.path_text(), "--name", "private", "--json"]).await;
    let outcome: muster_client::domain::decide::Outcome = added.json();
    let create = CreateTask {
        task_id: None,
        title: "x".to_owned(),
        description: String::new(),
        acceptance_criteria: vec![],
        priority: muster_client::domain::model::Priority::Low,
        complexity: muster_client::domain::model::Complexity::Xs,
        blocked_by: vec![],
        interactive: false,
    };
    let refused = server.stranger().create_task(outcome.project_id, create, None).await.unwrap_err();
    assert_eq!(refused.status(), Some(403), "{refused}");
    let document = "query($id: ID!) { project(id: $id) { name } projects { name } }";
    let seen: serde_json::Value = server.stranger().query(document, json!({ "id": outcome.project_id })).await.unwrap();
    assert_eq!(seen, json!({ "project": null, "projects": [] }));
}
