//! What must be refused, and what the refusal says: over REST, over GraphQL, of agents.

mod agents;
mod commands;
mod idempotency;
mod plans;
mod queries;
mod work;

use serde_json::{Value, json};

use crate::support::repository::Repository;
use crate::support::rest;
use crate::support::server::DevServer;

/// A project on a repository of its own.
pub struct Project {
    pub id: String,
    pub repository: Repository,
}

impl Project {
    pub async fn new(server: &DevServer, files: &[(&str, &str)], settings: Value) -> Self {
        let repository = Repository::new(files);
        let body = json!({ "name": "refusals", "repository_path": repository.path_text(), "settings": settings });
        let answer = rest::post(server, "/api/projects", &body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = answer.body["project_id"].as_str().expect("an id").to_owned();
        Self { id, repository }
    }

    /// Puts a card on the board; its id.
    pub async fn task(&self, server: &DevServer, title: &str) -> String {
        let answer = rest::post(server, &format!("/api/projects/{}/tasks", self.id), &json!({ "title": title })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["task_id"].as_str().expect("an id").to_owned()
    }
}
