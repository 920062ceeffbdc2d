//! Request ids, panics and time limits.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use futures::StreamExt;
use http::Request;
use muster_service_kit::{Config, Problem, limits};
use tower::ServiceExt;

use crate::support::{get as get_path, send};

async fn explode() -> &'static str {
    panic!("the password is hunter2")
}

fn router() -> Router {
    let router = Router::new()
        .route("/ok", get(|| async { limits::current_request_id().unwrap_or_default() }))
        .route("/panic", get(explode))
        .route("/internal", get(|| async { Problem::internal("connection to hunter2 refused") }))
        .route("/slow", get(std::future::pending::<String>))
        .route("/stream", get(|| async { Body::from_stream(ticks()) }));
    let mut config = Config::default();
    config.http.request_timeout_ms = 300;
    limits::standard_layers(router, &config)
}

/// Three pieces, each later than the time limit.
fn ticks() -> impl futures::Stream<Item = Result<&'static str, Infallible>> {
    futures::stream::iter(["a", "b", "c"]).then(|piece| async move {
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok(piece)
    })
}

#[tokio::test]
async fn a_request_keeps_its_id_and_the_handler_knows_it() {
    let request = Request::get("/ok").header("x-request-id", "my-id").body(Body::empty()).unwrap();

    let answer = send(&router(), request).await;

    assert_eq!(answer.header("x-request-id"), "my-id");
    assert_eq!(answer.text(), "my-id");
}

#[tokio::test]
async fn a_request_without_a_usable_id_gets_one() {
    let long = "x".repeat(129);
    for sent in ["", "has space", &long] {
        let request = Request::get("/ok").header("x-request-id", sent).body(Body::empty()).unwrap();
        let id = send(&router(), request).await.header("x-request-id").to_owned();
        assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
    }
}

#[tokio::test]
async fn a_failure_inside_tells_the_request_id_and_nothing_else() {
    for path in ["/panic", "/internal"] {
        let answer = get_path(&router(), path).await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.problem("internal")["request_id"], answer.header("x-request-id"));
        assert!(!answer.text().contains("hunter2"));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_given_up() {
    let answer = get_path(&router(), "/slow").await;

    assert_eq!(answer.status, 408);
    assert_eq!(answer.problem("request_timeout")["timeout_ms"], 300);
}

#[tokio::test]
async fn a_stream_that_has_begun_is_not_cut() {
    let response = router().oneshot(Request::get("/stream").body(Body::empty()).unwrap()).await.unwrap();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();

    assert_eq!(&body[..], b"abc");
}
