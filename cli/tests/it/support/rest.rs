//! REST as any HTTP client would use it.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::server::DevServer;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: Value,
}

impl Answer {
    /// That it is a problem document with this status and code.
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        assert!(!self.body["title"].as_str().unwrap_or_default().is_empty(), "{self:?}");
    }
}

/// Sends a body as it is, with the user's token.
pub async fn send(server: &DevServer, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let http = reqwest::Client::new();
    let mut request = http.request(method, format!("{}{path}", server.url())).bearer_auth(server.token());
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body).send().await.expect("an answer");
    let status: StatusCode = response.status();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let text = response.text().await.expect("a body");
    Answer { status: status.as_u16(), content_type, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

/// Posts JSON.
pub async fn post(server: &DevServer, path: &str, body: &Value) -> Answer {
    send(server, Method::POST, path, &[], body.to_string()).await
}

/// Posts JSON under an idempotency key.
pub async fn post_with_key(server: &DevServer, path: &str, key: &str, body: &Value) -> Answer {
    send(server, Method::POST, path, &[("idempotency-key", key)], body.to_string()).await
}
