//! Subscribers: each follows one project by server-sent events, across every lost connection, by the id of the last event.
//!
//! It takes down what it was given as it was given it: it must never drop a repetition or hide a gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chance::Chance;
use super::history::{Connected, Delivered, Entry};
use super::recorder::Recorder;
use super::stage::token;

/// Between two connections.
const PAUSE: Duration = Duration::from_millis(100);
/// A connection that is silent for so long is given up: its other end may be gone without a word.
const SILENCE: Duration = Duration::from_secs(4);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// One subscriber.
pub struct Subscriber {
    number: u32,
    project_id: Uuid,
    url: String,
    recorder: Recorder,
    chance: Chance,
    http: reqwest::Client,
    /// The position of the last event it was given.
    at: Arc<AtomicU64>,
    connections: u32,
}

impl Subscriber {
    /// Number `number`, who follows `project_id` through the query service at `query`.
    pub fn new(number: u32, project_id: Uuid, query: &str, recorder: Recorder, seed: u64) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).no_proxy().build()?;
        Ok(Self {
            number,
            project_id,
            url: format!("{query}/api/projects/{project_id}/events"),
            recorder,
            chance: Chance::of(seed, &format!("subscriber {number}")),
            http,
            at: Arc::default(),
            connections: 0,
        })
    }

    /// The position of the last event it was given.
    pub fn position(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.at)
    }

    /// Follows until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.connect_and_follow() => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connect_and_follow(&mut self) {
        let after = self.at.load(Ordering::Relaxed);
        let request = self.http.get(&self.url).bearer_auth(token("ada")).header("last-event-id", after.to_string());
        let Ok(Ok(response)) = tokio::time::timeout(CONNECT_WITHIN, request.send()).await else { return };
        if !response.status().is_success() {
            // Until the project is projected there is no such project.
            return;
        }
        let connection = self.connections;
        self.connections += 1;
        let at_ns = self.recorder.now_ns();
        let project_id = self.project_id;
        let connected = Connected { subscriber: self.number, connection, project_id, after, at_ns };
        self.recorder.write(&Entry::Connected(connected));
        // Now and then it leaves by itself.
        let leaves_after = self.chance.between(20, 2_000);
        let mut lines = Lines::default();
        let mut bytes = response.bytes_stream();
        let mut given = 0;
        while let Ok(Some(Ok(chunk))) = tokio::time::timeout(SILENCE, bytes.next()).await {
            lines.push(&chunk);
            while let Some(event) = lines.next() {
                self.take(&event, connection);
                given += 1;
            }
            if given >= leaves_after {
                return;
            }
        }
    }

    fn take(&self, event: &Value, connection: u32) {
        let position = event.get("position").and_then(Value::as_u64);
        let event_id = event.get("id").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
        let (Some(position), Some(event_id)) = (position, event_id) else { return };
        self.at.store(position, Ordering::Relaxed);
        let (subscriber, project_id, at_ns) = (self.number, self.project_id, self.recorder.now_ns());
        let delivered = Delivered { subscriber, connection, project_id, position, event_id, at_ns };
        self.recorder.write(&Entry::Delivered(delivered));
    }
}

/// What came of a stream, until it makes whole messages.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The data of the next message that is an event of the project: those have an id and a position of their own.
    fn next(&mut self) -> Option<Value> {
        loop {
            let end = self.0.windows(2).position(|pair| pair == b"\n\n")?;
            let message: Vec<u8> = self.0.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&message);
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let of_the_stream = matches!(field("event").map(str::trim), Some("connected" | "heartbeat" | "agent.log"));
            if let (false, Some(_), Some(data)) = (of_the_stream, field("id"), field("data"))
                && let Ok(data) = serde_json::from_str(data.trim())
            {
                return Some(data);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_of_the_project_are_taken() {
        let stream = "retry: 1000\n\nevent: connected\nid: 0\ndata: {\"position\":0}\n\n\
                      event: task.created\nid: 1\ndata: {\"position\":1}\n\n: comment\n\nevent: heartbeat\ndata: {}\n\nid: 2\n";
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for byte in stream.bytes() {
            lines.push(&[byte]);
            seen.extend(std::iter::from_fn(|| lines.next()));
        }
        assert_eq!(seen, [serde_json::json!({ "position": 1 })]);
    }
}
