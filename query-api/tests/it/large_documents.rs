//! Documents that would keep the service busy for ever, or overflow its stack, are refused at once, however they come.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Server, World};

/// An answer that takes longer never comes.
const AT_ONCE: Duration = Duration::from_secs(20);

/// All answers together do not take this long.
const ALL: Duration = Duration::from_mins(1);

/// Forty fragments, each spreading the next twice.
fn bomb(operation: &str, root: &str) -> String {
    let links = (0..40).fold(String::new(), |mut text, n| {
        write!(text, " fragment f{n} on {root} {{ ...f{} ...f{} }}", n + 1, n + 1).unwrap();
        text
    });
    format!("{operation} {{ ...f0 }}{links} fragment f40 on {root} {{ __typename }}")
}

fn nested(open: &str, close: &str, times: usize) -> String {
    format!("{}{}", open.repeat(times), close.repeat(times))
}

fn refused() -> Vec<String> {
    let list = |times| format!("{{ viewer(x: {}) {{ user }} }}", nested("[", "]", times));
    let wide = "viewer { user } ".repeat(10_000);
    vec![
        bomb("query", "Query"),
        bomb("mutation", "Mutation"),
        bomb("subscription", "Subscription"),
        format!("query used {{ viewer {{ user }} }} {}", bomb("query unused", "Query")),
        "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".to_owned(),
        "{ viewer { user } } fragment a on Query { ...a }".to_owned(),
        nested("{a", "}", 100_000),
        "{a".repeat(50_000),
        nested("{a", "}", 100),
        list(50_000),
        list(1_000),
        format!("query($x: {}) {{ viewer {{ user }} }}", nested("[", "]", 5_000)),
        format!("{{ {wide} }}"),
    ]
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["code"]
}

/// Runs a test on a thread of its own. A worker that never comes back fails the test and is left behind; `tokio::test`
/// would wait for it, and no timer of its runtime need fire any more.
fn run(test: impl Future<Output = ()> + Send + 'static) {
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test)));
        runtime.shutdown_background();
        ended.send(result).unwrap();
    });
    match end.recv_timeout(ALL).expect("the service is busy for ever") {
        Ok(()) => {}
        Err(panic) => resume_unwind(panic),
    }
}

#[test]
fn over_http_they_are_refused_at_once() {
    run(over_http());
}

async fn over_http() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    for document in refused() {
        let start: String = document.chars().take(60).collect();
        let answer = tokio::time::timeout(AT_ONCE, server.answer("ada", &document, json!({}))).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer to {start}"));
        assert_eq!(code(&answer), "QUERY_TOO_COMPLEX", "{start}: {answer:#}");
    }
    // As a stream, and under a digest: once with the document, once without.
    let document = bomb("subscription", "Subscription");
    let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth("ada");
    let request = request.header("accept", "text/event-stream").json(&json!({ "query": document }));
    let text = tokio::time::timeout(AT_ONCE, async { request.send().await.unwrap().text().await.unwrap() });
    assert!(text.await.expect("an answer").contains("QUERY_TOO_COMPLEX"));
    // SHA-256 of the document.
    let digest = "51397c0afa702e449f4f63ecb10674fb455dae5305776dbc478aec4c626c47ab";
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": digest } });
    let document = bomb("query", "Query");
    for body in [
        json!({ "query": nested("{a", "}", 30_000), "extensions": extensions }),
        json!({ "query": document, "extensions": extensions }),
        json!({ "extensions": extensions }),
    ] {
        let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth("ada").json(&body);
        let answer = tokio::time::timeout(AT_ONCE, async { request.send().await.unwrap().json::<Value>().await });
        let answer = answer.await.expect("an answer").unwrap();
        assert_eq!(code(&answer), "QUERY_TOO_COMPLEX", "{answer:#}");
    }
}

#[test]
fn over_a_socket_they_are_refused_at_once_and_the_socket_goes_on() {
    run(over_a_socket());
}

async fn over_a_socket() {
    let world = World::new().await;
    let server = Arc::new(Server::start(&world).await);
    for document in refused() {
        let start: String = document.chars().take(60).collect();
        let asked = async {
            let mut socket = server.subscribe("ada", &document, json!({})).await;
            let answer = socket.receive().await;
            let payload = json!({ "query": "{ viewer { user } }" });
            socket.send(&json!({ "id": "2", "type": "subscribe", "payload": payload })).await;
            while socket.receive().await["payload"]["data"]["viewer"]["user"] != "ada" {}
            answer
        };
        let answer = tokio::time::timeout(AT_ONCE, asked).await.unwrap_or_else(|_| panic!("no answer to {start}"));
        let errors = answer["payload"].get("errors").unwrap_or(&answer["payload"]);
        assert_eq!(errors[0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{start}: {answer:#}");
    }
}

#[tokio::test]
async fn what_is_wide_but_allowed_passes() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let fields = "viewer { user admin } ".repeat(300);
    let data = server.data("ada", &format!("{{ {fields} }}"), json!({})).await;
    assert_eq!(data["viewer"]["user"], "ada");
    let spread = format!("{{ {} }} fragment f on Query {{ viewer {{ user }} }}", "...f ".repeat(300));
    assert_eq!(server.data("ada", &spread, json!({})).await["viewer"]["user"], "ada");
    // Brackets in texts are no nesting: only the argument is wrong.
    let text = format!("{{ viewer(x: \"{}\") {{ user }} }}", "{".repeat(5_000));
    assert_eq!(server.refusal("ada", &text, json!({})).await, "INVALID_ARGUMENT");
    // As deep as is allowed is parsed without harm.
    let deep = format!("{{ viewer(x: {}) {{ user }} }}", nested("[", "]", 126));
    assert_eq!(server.refusal("ada", &deep, json!({})).await, "INVALID_ARGUMENT");
}
