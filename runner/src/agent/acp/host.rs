//! What an agent finds at its client: files of its workspace, permission for what its sandbox allows, and a listener.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::files::WorkspaceFiles;
use super::wire::{INVALID_PARAMS, METHOD_NOT_FOUND, PermissionOption, RpcError, SessionUpdate, Update};
use crate::output::LineSplitter;
use crate::process::Sink;

/// Bytes of a message that are kept.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;

/// The client's side of one session.
pub(super) struct Host {
    files: WorkspaceFiles,
    sink: Sink,
    lines: LineSplitter,
    message: String,
    /// Whether the next piece begins a new message.
    ended: bool,
    cost_usd: Option<f64>,
}

impl Host {
    pub(super) fn new(workspace: &Path, sink: Sink) -> io::Result<Self> {
        let lines = LineSplitter::new(sink.output.line_max_bytes());
        let files = WorkspaceFiles::open(workspace)?;
        Ok(Self { files, sink, lines, message: String::new(), ended: false, cost_usd: None })
    }

    /// What the agent said last.
    pub(super) fn last_message(&self) -> String {
        self.message.trim().to_owned()
    }

    /// What it says it cost.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        self.cost_usd
    }

    /// Answers a request of the agent.
    pub(super) async fn answer(&mut self, method: &str, params: Value) -> Result<Value, RpcError> {
        match method {
            "fs/read_text_file" => self.files.read(&params),
            "fs/write_text_file" => {
                let path = self.files.write(&params)?;
                self.note(&format!("wrote {path}")).await;
                Ok(json!({}))
            }
            "session/request_permission" => permission(&params),
            _ => Err(RpcError::new(METHOD_NOT_FOUND, format!("{method} is not supported"))),
        }
    }

    /// Hears a notification.
    pub(super) async fn hear(&mut self, method: &str, params: Value) {
        if method != "session/update" {
            return;
        }
        let Ok(SessionUpdate { update }) = serde_json::from_value(params) else {
            return self.note("sent an update that is not understood").await;
        };
        match update {
            Update::AgentMessageChunk { content } => self.say(&content.text).await,
            Update::AgentThoughtChunk { content } => self.speak(&content.text).await,
            Update::ToolCall { title } => self.note(&format!("tool: {title}")).await,
            Update::ToolCallUpdate { status, title } => {
                if let Some(status) = status.filter(|status| status == "failed" || status == "completed") {
                    self.note(&format!("tool {status}: {}", title.unwrap_or_default())).await;
                }
            }
            Update::Plan { entries } => {
                for entry in entries {
                    self.note(&format!("plan: [{}] {}", entry.status, entry.content)).await;
                }
            }
            Update::UsageUpdate { cost } => {
                if let Some(cost) = cost.filter(|cost| cost.currency == "USD" && cost.amount.is_finite()) {
                    self.cost_usd = Some(cost.amount.max(0.0));
                }
            }
            Update::Other => {}
        }
    }

    /// Takes a line that is no message.
    pub(super) async fn stray(&mut self, line: &str) {
        self.note(line).await;
    }

    /// Puts out what was said without an end of line.
    pub(super) async fn flush(&mut self) {
        if let Some(line) = self.lines.finish() {
            self.sink.line(line).await;
        }
    }

    async fn say(&mut self, text: &str) {
        if std::mem::take(&mut self.ended) {
            self.message.clear();
        }
        let room = MESSAGE_MAX_BYTES.saturating_sub(self.message.len());
        self.message.push_str(&text[..text.floor_char_boundary(room)]);
        self.speak(text).await;
    }

    async fn speak(&mut self, text: &str) {
        for line in self.lines.push(text.as_bytes()) {
            self.sink.line(line).await;
        }
    }

    /// Puts out something that is not the agent's words. What it says next is a new message.
    async fn note(&mut self, text: &str) {
        self.flush().await;
        self.ended = true;
        let limit = self.sink.output.line_max_bytes();
        for line in text.lines() {
            self.sink.line(crate::text::shorten(&line.replace('\0', "\u{fffd}"), limit)).await;
        }
    }
}

/// The sandbox is the limit, not a question: whatever may be allowed once, is.
fn permission(params: &Value) -> Result<Value, RpcError> {
    let options: Vec<PermissionOption> = serde_json::from_value(params["options"].clone())
        .map_err(|error| RpcError::new(INVALID_PARAMS, error.to_string()))?;
    let chosen = ["allow_once", "allow_always"].iter().find_map(|kind| options.iter().find(|o| o.kind == *kind));
    Ok(match chosen {
        Some(option) => json!({"outcome": {"outcome": "selected", "optionId": option.option_id}}),
        None => json!({"outcome": {"outcome": "cancelled"}}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_allowed_once_is() {
        let params = json!({"options": [
            {"optionId": "n", "kind": "reject_once", "name": "No"},
            {"optionId": "a", "kind": "allow_always", "name": "Always"},
            {"optionId": "y", "kind": "allow_once", "name": "Yes"},
        ]});
        assert_eq!(permission(&params).unwrap()["outcome"]["optionId"], "y");
        assert_eq!(permission(&json!({"options": []})).unwrap()["outcome"]["outcome"], "cancelled");
        assert_eq!(permission(&json!({})).unwrap_err().code, INVALID_PARAMS);
    }
}
