//! Every event of a project, once and in order, across lost connections. It must never pass over a position.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use muster_schemas::domain::event::Event;
use muster_schemas::domain::id::ProjectId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Client, Error, Subscription};

/// Back-off between connections.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

const DOCUMENT: &str = "subscription Events($projectId: ID!, $after: Int!) {
  events(projectId: $projectId, after: $after) {
    id type timestamp projectId taskId sequence position source actor commandId causationId correlationId data
  }
}";

/// The events of a project from a position on. Never ends by itself: it reconnects, and resumes after the last event.
/// An error is given out only when a new connection cannot help (no such project, no permission); then it ends.
pub struct EventStream {
    events: BoxStream<'static, Result<Event, Error>>,
}

impl Stream for EventStream {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_next_unpin(context)
    }
}

#[derive(Deserialize)]
struct Data {
    events: Value,
}

struct State {
    client: Client,
    project_id: ProjectId,
    after: u64,
    live: Option<Subscription<Data>>,
    wait: Duration,
    ended: bool,
}

impl Client {
    /// Every event of the project with a position above `after`, history first, then live.
    pub fn events(&self, project_id: ProjectId, after: u64) -> EventStream {
        let client = self.clone();
        let state = State { client, project_id, after, live: None, wait: FIRST_WAIT, ended: false };
        let events = futures::stream::unfold(state, |mut state| async move {
            if state.ended {
                return None;
            }
            let event = state.next().await;
            state.ended = event.is_err();
            Some((event, state))
        });
        EventStream { events: events.boxed() }
    }
}

impl State {
    async fn next(&mut self) -> Result<Event, Error> {
        loop {
            match self.live().await {
                Ok(Some(event)) if event.position <= self.after => {}
                Ok(Some(event)) if event.position == self.after + 1 => {
                    self.after = event.position;
                    self.wait = FIRST_WAIT;
                    return Ok(event);
                }
                Ok(Some(event)) => {
                    // A gap is the connection's fault, never the log's: ask again from where we are.
                    tracing::warn!(after = self.after, position = event.position, "events were missed; resuming");
                    self.back_off().await;
                }
                Ok(None) => self.back_off().await,
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, after = self.after, "connection to the events lost");
                    self.back_off().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The next event of the connection, opened when there is none; `None` when the service ended it.
    async fn live(&mut self) -> Result<Option<Event>, Error> {
        if self.live.is_none() {
            let variables = json!({ "projectId": self.project_id, "after": self.after });
            self.live = Some(self.client.subscribe(DOCUMENT, variables).await?);
        }
        let Some(subscription) = &mut self.live else { return Ok(None) };
        match subscription.next().await {
            None => Ok(None),
            Some(data) => parse(data?.events).map(Some),
        }
    }

    async fn back_off(&mut self) {
        self.live = None;
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }
}

/// A GraphQL event has the fields of the JSON form, in camel case.
fn parse(event: Value) -> Result<Event, Error> {
    let Value::Object(fields) = event else { return Err(not_an_event("it is no object")) };
    let snake = fields.into_iter().map(|(name, value)| (snake_case(&name), value)).collect();
    serde_json::from_value(Value::Object(snake)).map_err(not_an_event)
}

fn not_an_event(reason: impl std::fmt::Display) -> Error {
    Error::Unexpected { url: crate::graphql::PATH.to_owned(), status: 200, reason: format!("no event: {reason}") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_in_camel_case_is_read() {
        let id = "0199d6a0-0000-7000-8000-000000000001";
        let event = parse(json!({
            "id": id, "type": "task.dispatched", "timestamp": "2026-01-01T00:00:00Z", "projectId": id, "taskId": id,
            "sequence": 2, "position": 3, "source": "cli", "actor": "ada", "commandId": id, "causationId": null,
            "correlationId": id, "data": {}
        }))
        .unwrap();
        assert_eq!((event.event_type(), event.position), ("task.dispatched", 3));
        assert!(parse(json!({ "id": id })).is_err());
    }
}
