//! The shapes of answers. They must never hold more than was asked for.

use std::path::PathBuf;

use muster_client::domain::event::Event;
use muster_client::domain::id::{ProjectId, RunId, TaskId};
use muster_client::domain::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection<T> {
    nodes: Vec<T>,
    page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

impl<T> Connection<T> {
    /// Adds the page to `rows`; the cursor of the next page, if there is one.
    pub fn take_into(self, rows: &mut Vec<T>) -> Option<String> {
        rows.extend(self.nodes);
        self.page_info.end_cursor.filter(|_| self.page_info.has_next_page)
    }
}

/// A page of a history.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    nodes: Vec<Value>,
    has_next_page: bool,
    end_sequence: Option<u64>,
}

impl EventPage {
    /// Adds the page to `events`; the sequence behind which the next one begins, if there is one.
    pub fn take_into(self, events: &mut Vec<Event>) -> Result<Option<u64>> {
        for node in self.nodes {
            events.push(parse_event(node)?);
        }
        Ok(self.end_sequence.filter(|_| self.has_next_page))
    }
}

/// A page of output.
#[derive(Debug, Deserialize)]
pub struct OutputPage {
    pub nodes: Vec<OutputLine>,
}

/// A project.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Project {
    pub id: ProjectId,
    pub name: String,
    pub repository_path: PathBuf,
    pub default_branch: String,
    pub owner: String,
    pub settings: Value,
    pub position: u64,
}

/// A card in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct TaskRow {
    pub id: TaskId,
    pub project_id: ProjectId,
    pub title: String,
    #[serde(deserialize_with = "lower_case")]
    pub status: String,
    #[serde(deserialize_with = "lower_case")]
    pub priority: String,
    #[serde(deserialize_with = "lower_case")]
    pub complexity: String,
    pub sequence: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A run in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct RunRow {
    pub id: RunId,
    pub task_id: TaskId,
    #[serde(deserialize_with = "lower_case")]
    pub role: String,
    #[serde(deserialize_with = "lower_case")]
    pub status: String,
}

/// A line an agent wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct OutputLine {
    pub line_number: u64,
    pub written_at: Timestamp,
    #[serde(deserialize_with = "lower_case")]
    pub stream: String,
    pub content: String,
}

/// GraphQL writes the values of enums in upper case; everything else here is in lower case.
fn lower_case<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    Ok(String::deserialize(deserializer)?.to_ascii_lowercase())
}

/// An event: GraphQL has the fields of its JSON form in camel case.
fn parse_event(value: Value) -> Result<Event> {
    let Value::Object(fields) = value else { return Err(Error::Failed("an event is no object".to_owned())) };
    let snake: Map<String, Value> = fields.into_iter().map(|(name, value)| (snake_case(&name), value)).collect();
    serde_json::from_value(Value::Object(snake))
        .map_err(|error| Error::Failed(format!("an event of the history is not understood: {error}")))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
