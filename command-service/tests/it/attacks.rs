//! Requests nobody sends by accident, over real connections: each has a clear answer, changes nothing, and the next request
//! goes on.

use std::sync::Arc;

use muster_domain::event::Event;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::sockets::Server;
use crate::support::{PATIENCE, events_of};

/// What a request with a body begins with.
const HEAD: &str = "host: x\r\nauthorization: Bearer secret\r\nconnection: close\r\n";
const JSON: &str = "content-type: application/json\r\n";

/// Sends these bytes, and reads to the end of the connection.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // A server that refuses may hang up before it was told everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status and the body of an answer.
fn parts(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or_default())
}

async fn request(server: &Server, method: &str, path: &str, headers: &[u8], body: &[u8]) -> (u16, Value) {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\n{HEAD}content-length: {}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    parts(&exchange(server, &bytes).await)
}

async fn post(server: &Server, path: &str, body: &str) -> (u16, Value) {
    request(server, "POST", path, JSON.as_bytes(), body.as_bytes()).await
}

struct Stage {
    server: Server,
    project: String,
    task: String,
}

impl Stage {
    async fn set() -> Self {
        let server = Server::taking(1_000_000).await;
        let (status, made) = post(&server, "/api/projects", r#"{"name":"p","repository_path":"/r"}"#).await;
        assert_eq!(status, 200, "{made}");
        let project = made["project_id"].as_str().unwrap().to_owned();
        let (_, made) = post(&server, &format!("/api/projects/{project}/tasks"), r#"{"title":"t"}"#).await;
        let task = made["task_id"].as_str().unwrap().to_owned();
        Self { server, project, task }
    }

    async fn events(&self) -> Vec<Arc<Event>> {
        events_of(self.server.log.as_ref()).await
    }

    /// Checks that nothing happened since, and that the service goes on.
    async fn unharmed(self, before: Vec<Arc<Event>>) {
        assert_eq!(self.events().await, before, "nothing that was refused is in the log");
        let alive = post(&self.server, &format!("/api/tasks/{}/prompt", self.task), r#"{"message":"m"}"#).await;
        assert_eq!(alive.0, 200, "{}", alive.1);
        self.server.shutdown.trigger();
    }
}

#[tokio::test]
async fn strange_requests_are_refused_by_name() {
    let stage = Stage::set().await;
    let before = stage.events().await;
    let tasks = format!("/api/projects/{}/tasks", stage.project);
    let good = br#"{"title":"x"}"#.as_slice();
    let key = |value: &str| format!("{JSON}idempotency-key: {value}\r\n").into_bytes();
    let two_keys = format!("{JSON}idempotency-key: {}\r\nidempotency-key: {}\r\n", Uuid::now_v7(), Uuid::now_v7());
    let mut latin = key("");
    latin.splice(latin.len() - 2.., b"\xff\xfe\r\n".iter().copied());
    let same_twice = format!("{JSON}idempotency-key: {0}\r\nidempotency-key: {0}\r\n", Uuid::now_v7());
    let headers: [(&str, Vec<u8>, u16, &str); 12] = [
        ("two types", format!("{JSON}content-type: text/plain\r\n").into_bytes(), 400, "invalid_argument"),
        (
            "two encodings",
            format!("{JSON}content-encoding: identity\r\ncontent-encoding: gzip\r\n").into_bytes(),
            400,
            "invalid_argument",
        ),
        ("two tokens", format!("{JSON}authorization: Bearer other\r\n").into_bytes(), 400, "invalid_argument"),
        ("no content type", Vec::new(), 415, "unsupported_media_type"),
        ("text", b"content-type: text/plain\r\n".to_vec(), 415, "unsupported_media_type"),
        ("a form", b"content-type: application/x-www-form-urlencoded\r\n".to_vec(), 415, "unsupported_media_type"),
        ("compressed", format!("{JSON}content-encoding: gzip\r\n").into_bytes(), 415, "unsupported_media_type"),
        ("two keys", two_keys.into_bytes(), 400, "invalid_argument"),
        ("one key twice", same_twice.into_bytes(), 400, "invalid_argument"),
        ("a long key", key(&"k".repeat(20_000)), 400, "invalid_argument"),
        ("a key that is none", key("1"), 400, "invalid_argument"),
        ("a key of bytes", latin, 400, "invalid_argument"),
    ];
    for (name, headers, status, code) in headers {
        let (given, body) = request(&stage.server, "POST", &tasks, &headers, good).await;
        assert_eq!((given, &body["code"]), (status, &json!(code)), "{name}: {body}");
    }
    for key in ["a\x01b", "a\x7fb", "a\rb", "a\0b"] {
        let headers = format!("{JSON}idempotency-key: {key}\r\n");
        let (status, body) = request(&stage.server, "POST", &tasks, headers.as_bytes(), good).await;
        assert_eq!(status, 400, "{key:?}: {body}");
    }
    let flood: Vec<_> = (0..500).map(|number| format!("x-{number}: {}\r\n", "y".repeat(1_000))).collect();
    let flood = flood.concat();
    let (status, _) = request(&stage.server, "POST", &tasks, flood.as_bytes(), good).await;
    assert!([431, 0].contains(&status), "{status}: refused, or hung up on");
    stage.unharmed(before).await;
}

#[tokio::test]
async fn strange_paths_and_methods_are_refused_by_name() {
    let stage = Stage::set().await;
    let before = stage.events().await;
    let task = &stage.task;
    for (method, path, status, code) in [
        ("POST", "/api/tasks/not-a-uuid/cancel".to_owned(), 400, "invalid_argument"),
        ("POST", "/api/tasks/%ff%fe/cancel".to_owned(), 400, "invalid_argument"),
        ("POST", "/api/projects/..%2f..%2fetc/tasks".to_owned(), 400, "invalid_argument"),
        ("POST", "/api/runs/%00/reports".to_owned(), 400, "invalid_argument"),
        ("POST", format!("/api/tasks/{task}/explode"), 404, "route_not_found"),
        ("POST", format!("/api/tasks/{task}/{}", "a".repeat(5_000)), 404, "route_not_found"),
        ("POST", "/api/nothing".to_owned(), 404, "route_not_found"),
        ("GET", "/api/commands".to_owned(), 405, "method_not_allowed"),
        ("DELETE", "/api/commands".to_owned(), 405, "method_not_allowed"),
        ("TRACE", format!("/api/tasks/{task}/cancel"), 405, "method_not_allowed"),
        ("EXPLODE", "/api/commands".to_owned(), 405, "method_not_allowed"),
    ] {
        let (given, body) = request(&stage.server, method, &path, JSON.as_bytes(), b"{}").await;
        assert_eq!((given, &body["code"]), (status, &json!(code)), "{method} {path}: {body}");
    }
    stage.unharmed(before).await;
}

#[tokio::test]
async fn strange_bodies_are_refused_by_name() {
    let stage = Stage::set().await;
    let before = stage.events().await;
    let tasks = format!("/api/projects/{}/tasks", stage.project);
    let prompt = format!("/api/tasks/{}/prompt", stage.task);
    let nested = |depth: usize| format!(r#"{{"title":{}1{}}}"#, r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for (path, body, status, code) in [
        (&tasks, String::new(), 400, "invalid_body"),
        (&tasks, "{".to_owned(), 400, "malformed_json"),
        (&tasks, "null".to_owned(), 400, "invalid_body"),
        (&tasks, r#"{"title":"a\u0000b"}"#.to_owned(), 400, "invalid_body"),
        (&tasks, r#"{"title":"a\ud800b"}"#.to_owned(), 400, "malformed_json"),
        (&tasks, "{\"title\":\"a\0b\"}".to_owned(), 400, "malformed_json"),
        (&tasks, nested(200), 400, "malformed_json"),
        (&tasks, nested(100_000), 400, "malformed_json"),
        (&tasks, r#"{"title":"x"} trailing"#.to_owned(), 400, "malformed_json"),
        (&tasks, "\u{feff}{\"title\":\"x\"}".to_owned(), 400, "malformed_json"),
        (&prompt, r#"{"message":"x","expected_sequence":-1}"#.to_owned(), 400, "invalid_body"),
        (&prompt, format!(r#"{{"message":"x","expected_sequence":{}}}"#, u64::MAX), 409, "sequence_from_future"),
        (&prompt, r#"{"message":"x","expected_sequence":18446744073709551616}"#.to_owned(), 400, "invalid_body"),
        (&prompt, r#"{"message":"x","expected_sequence":0}"#.to_owned(), 409, "sequence_mismatch"),
    ] {
        let (given, answer) = post(&stage.server, path, &body).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!((given, &answer["code"]), (status, &json!(code)), "{shown}: {answer}");
    }
    stage.unharmed(before).await;
}

#[tokio::test]
async fn batches_of_any_size_answer_each_command_on_its_own() {
    let stage = Stage::set().await;
    let before = stage.events().await;
    let key = Uuid::now_v7();
    let prompt = |key: Uuid, message: &str| {
        json!({ "command_id": key, "project_id": stage.project,
            "command": { "type": "inject_prompt", "task_id": stage.task, "message": message } })
    };
    let batch = async |items: Value| post(&stage.server, "/api/commands/batch", &items.to_string()).await;
    assert_eq!(batch(json!([])).await, (200, json!([])));
    assert_eq!(batch(json!({})).await.1["code"], "invalid_body");
    assert_eq!(batch(json!([null])).await.1["code"], "invalid_body");
    let many: Vec<_> = (0..1_001).map(|_| prompt(Uuid::now_v7(), "m")).collect();
    let (status, answer) = batch(json!(many)).await;
    assert_eq!((status, &answer["code"]), (422, &json!("limit_exceeded")), "{answer}");
    assert_eq!(stage.events().await, before);

    // The same command twice is carried out once; another one under its key is refused.
    let (_, answers) = batch(json!([prompt(key, "one"), prompt(key, "one"), prompt(key, "two")])).await;
    assert_eq!(answers[0]["outcome"]["command_id"], json!(key));
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[2]["problem"]["code"], "idempotency_key_reused");
    assert_eq!(stage.events().await.len(), before.len() + 1);

    // Another project's refusal is nobody else's.
    let mut foreign = prompt(Uuid::now_v7(), "x");
    foreign["project_id"] = json!(Uuid::now_v7());
    let (_, made) = post(&stage.server, "/api/projects", r#"{"name":"q","repository_path":"/r"}"#).await;
    let other = json!({ "project_id": made["project_id"], "command": { "type": "create_task", "title": "x" } });
    let (_, answers) = batch(json!([foreign, prompt(Uuid::now_v7(), "three"), other])).await;
    assert_eq!(answers[0]["problem"]["code"], "forbidden");
    assert_eq!(answers[1]["outcome"]["project_id"], json!(stage.project));
    assert_eq!(answers[2]["outcome"]["project_id"], made["project_id"]);
    let before = stage.events().await;
    stage.unharmed(before).await;
}
