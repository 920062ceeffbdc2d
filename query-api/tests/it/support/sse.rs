//! Reads server-sent events as a browser would.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// One message; a comment or a mere `retry:` is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub event: String,
    pub id: Option<u64>,
    pub data: Value,
}

pub struct Stream {
    response: reqwest::Response,
    text: String,
    ready: VecDeque<Message>,
}

impl Stream {
    pub fn new(response: reqwest::Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new(), ready: VecDeque::new() }
    }

    /// The next message but heartbeats; `None` when the stream ended.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.next_of_any_kind().await?;
            if message.event != "heartbeat" {
                return Some(message);
            }
        }
    }

    pub async fn next_of_any_kind(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("no message in time");
            let chunk = chunk.ok().flatten()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.ready.extend(parse(block));
                self.text = rest.to_string();
            }
        }
    }
}

fn parse(block: &str) -> Option<Message> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some(Message {
        event: field("event").unwrap_or("message").to_owned(),
        id: field("id").map(|id| id.parse().unwrap()),
        data: serde_json::from_str(field("data")?).unwrap(),
    })
}
