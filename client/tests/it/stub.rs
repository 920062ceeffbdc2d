//! A server whose answers a test scripts, and what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use muster_client::{Client, RetryPolicy};
use tokio::net::TcpListener;

#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub key: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// Status, `Retry-After`, body.
type Answer = (u16, &'static str, String);

/// Answers in order; the last one is given from then on.
#[derive(Clone, Default)]
pub struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    pub fn answer(self, status: u16, body: impl Into<String>) -> Self {
        self.answer_with(status, "", body)
    }

    pub fn answer_with(self, status: u16, retry_after: &'static str, body: impl Into<String>) -> Self {
        self.answers.lock().unwrap().push_back((status, retry_after, body.into()));
        self
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub async fn serve(&self) -> Client {
        let app = Router::new().fallback(answer).with_state(self.clone());
        client_of(&serve(app).await)
    }
}

pub async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

pub fn client_of(url: &str) -> Client {
    let retry = RetryPolicy { first_wait: Duration::from_millis(1), attempts_max: 4, ..RetryPolicy::default() };
    Client::new(url, "token").unwrap().with_source("cli").with_retry(retry)
}

async fn answer(State(script): State<Script>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    script.asked.lock().unwrap().push(Asked {
        path: uri.path().to_owned(),
        key: header("idempotency-key"),
        body: String::from_utf8(body.to_vec()).unwrap(),
        headers: headers.clone(),
    });
    let mut answers = script.answers.lock().unwrap();
    let (status, retry_after, body) = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    if !retry_after.is_empty() {
        response.headers_mut().insert("retry-after", retry_after.parse().unwrap());
    }
    response
}
