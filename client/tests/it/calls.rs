//! Commands and queries: sent again under the same key while that may help, and no longer.

use muster_client::api::{ClaimRequest, HeartbeatRequest};
use muster_client::domain::command::{DispatchTask, InjectPrompt};
use muster_client::domain::id::{ProjectId, RunId, SessionId, TaskId};
use muster_client::{Client, Error, new_key};
use serde_json::{Value, json};

use crate::stub::Script;

fn outcome() -> String {
    let id = new_key();
    json!({
        "command_id": id, "project_id": id, "task_id": null, "sequence": null, "position": 7, "event_ids": [],
        "claim": null,
    })
    .to_string()
}

fn problem(status: u16, code: &str) -> String {
    json!({ "type": "x", "title": "T", "status": status, "detail": "D", "code": code, "current_sequence": 3 })
        .to_string()
}

fn project() -> ProjectId {
    ProjectId(new_key().0)
}

#[tokio::test]
async fn a_busy_service_is_asked_again_under_the_same_key() {
    let script = Script::default()
        .answer_with(503, "0", problem(503, "unavailable"))
        .answer_with(429, "0", problem(429, "overloaded"))
        .answer(502, "<html>")
        .answer(200, outcome());
    let client = script.serve().await;
    let key = new_key();
    let outcome = client.send(project(), DispatchTask { task_id: None }, Some(key)).await.unwrap();
    assert_eq!(outcome.position, 7);
    let asked = script.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|asked| asked.key == key.to_string() && asked.path == "/api/commands"));
    assert_eq!(asked[0].headers["authorization"], "Bearer token");
    assert_eq!(asked[0].headers["muster-source"], "cli");
    assert!(asked.iter().all(|again| again.body == asked[0].body));
}

#[tokio::test]
async fn without_a_key_one_covers_all_attempts() {
    let script = Script::default().answer(503, problem(503, "unavailable"));
    let client = script.serve().await;
    let error = client.send(project(), DispatchTask { task_id: None }, None).await.unwrap_err();
    assert!(error.is("unavailable") && error.is_transient());
    let asked = script.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|again| again.key == asked[0].key && !again.key.is_empty()));
}

#[tokio::test]
async fn a_refusal_is_told_at_once_with_its_code() {
    let script = Script::default().answer(409, problem(409, "sequence_mismatch"));
    let client = script.serve().await.on_behalf_of("ada").unwrap();
    let command = InjectPrompt { task_id: TaskId(new_key().0), message: "x".to_owned() };
    let error = client.send_to_task(command, None).await.unwrap_err();
    assert_eq!((error.code().as_deref(), error.status()), (Some("sequence_mismatch"), Some(409)));
    assert_eq!(error.extension("current_sequence"), Some(&Value::from(3)));
    assert_eq!(error.to_string(), "sequence_mismatch: D");
    assert_eq!(script.asked().len(), 1);
    assert_eq!(script.asked()[0].headers["muster-on-behalf-of"], "ada");
}

#[tokio::test]
async fn no_work_is_none_and_not_an_error() {
    let client = Script::default().answer(204, "").serve().await;
    let request = ClaimRequest {
        session_id: SessionId(new_key().0),
        session_key: "s".to_owned(),
        roles: Vec::new(),
        lease_duration_ms: None,
        workspace_dir: "/w".to_owned(),
        data_dir: "/d".to_owned(),
        project_ids: None,
        wait_ms: None,
    };
    assert_eq!(client.claim(&request, None).await.unwrap(), None);
    let heartbeat = HeartbeatRequest { task_id: TaskId(new_key().0), fencing_token: 1, lease_duration_ms: None };
    let error = client.heartbeat(RunId(new_key().0), &heartbeat).await.unwrap_err();
    assert!(matches!(error, Error::Unexpected { status: 204, .. }), "{error}");
}

#[tokio::test]
async fn who_is_not_there_is_said_with_the_reason() {
    let client = Client::new("http://127.0.0.1:1", "token").unwrap().with_retry(muster_client::RetryPolicy::never());
    let error = client.send(project(), DispatchTask { task_id: None }, None).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { reason, .. } if reason.contains("refused")), "{error}");
    assert!(Client::new("localhost:4400", "token").is_err());
    assert!(Client::new("http://localhost", "to\nken").is_err());
}

#[tokio::test]
async fn graphql_gives_data_or_errors() {
    let errors = json!({ "data": null, "errors": [{
        "message": "no", "path": ["task"], "extensions": { "code": "TASK_NOT_FOUND", "status": 404 },
    }] });
    let script = Script::default().answer(200, r#"{"data":{"n":1}}"#).answer(200, errors.to_string());
    let client = script.serve().await;
    let data: Value = client.query("query($id: ID!) { n }", json!({ "id": 5 })).await.unwrap();
    assert_eq!(data["n"], 1);
    assert!(script.asked()[0].body.contains(r#""variables":{"id":5}"#));
    let error = client.query::<Value>("{ task }", json!({})).await.unwrap_err();
    assert!(error.is("task_not_found"));
    assert_eq!(error.status(), Some(404));
}
