//! GraphQL as any HTTP client would use it.

use reqwest::Method;
use serde_json::{Value, json};

use super::rest;
use super::server::DevServer;

/// What a GraphQL operation came to.
#[derive(Debug)]
pub struct Answered {
    pub data: Value,
    pub errors: Vec<Value>,
}

impl Answered {
    /// The data, of an operation without errors.
    pub fn data(self) -> Value {
        assert!(self.errors.is_empty() && !self.data.is_null(), "{self:?}");
        self.data
    }

    /// That it was refused with this code, and with the status that goes with it.
    pub fn assert_refused(&self, code: &str, status: u64) {
        let extensions = self.errors.first().map(|error| &error["extensions"]);
        let found = extensions.map(|found| (found["code"].as_str(), found["status"].as_u64()));
        assert_eq!(found, Some((Some(code), Some(status))), "{self:?}");
    }
}

/// Runs an operation with the user's token.
pub async fn run(server: &DevServer, document: &str, variables: Value) -> Answered {
    let body = json!({ "query": document, "variables": variables }).to_string();
    let answer = rest::send(server, Method::POST, "/graphql", &[], body).await;
    assert!(answer.status == 200 || answer.body["errors"].is_array(), "GraphQL answers in its own form: {answer:?}");
    Answered {
        data: answer.body["data"].clone(),
        errors: answer.body["errors"].as_array().cloned().unwrap_or_default(),
    }
}
