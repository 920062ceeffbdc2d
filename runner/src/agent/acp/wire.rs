//! Messages of the Agent Client Protocol, version 1: JSON-RPC 2.0, one message on each line. Only what is used here.
//!
//! Field names are the protocol's. Unknown fields are passed over, as it asks.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The protocol's version spoken here.
pub const PROTOCOL_VERSION: u64 = 1;

/// JSON-RPC's code for a method that is not there.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC's code for parameters that do not fit.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC's code for a fault inside.
pub const INTERNAL_ERROR: i64 = -32603;

/// Any message: a request has `id` and `method`, a notification only `method`, an answer only `id`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Always "2.0".
    #[serde(default)]
    pub jsonrpc: String,
    /// Which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
    /// What is asked or told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// With what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// JSON-RPC's or the protocol's code.
    pub code: i64,
    /// For a person.
    #[serde(default)]
    pub message: String,
}

impl RpcError {
    /// An error of that code.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl Message {
    fn base() -> Self {
        Self { jsonrpc: "2.0".to_owned(), ..Self::default() }
    }

    /// A request.
    pub fn request(id: u64, method: &str, params: Value) -> Self {
        Self { id: Some(json!(id)), method: Some(method.to_owned()), params: Some(params), ..Self::base() }
    }

    /// A notification.
    pub fn notification(method: &str, params: Value) -> Self {
        Self { method: Some(method.to_owned()), params: Some(params), ..Self::base() }
    }

    /// The answer to request `id`.
    pub fn answer(id: Value, answer: Result<Value, RpcError>) -> Self {
        match answer {
            Ok(result) => Self { id: Some(id), result: Some(result), ..Self::base() },
            Err(error) => Self { id: Some(id), error: Some(error), ..Self::base() },
        }
    }

    /// The message as its line.
    pub fn to_line(&self) -> String {
        // A tree of JSON values with string keys always has a text.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// A `session/update` notification's parameters.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionUpdate {
    /// What happened.
    pub update: Update,
}

/// What happened in a session.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "sessionUpdate", rename_all = "snake_case")]
pub enum Update {
    /// A piece of what the agent says.
    AgentMessageChunk {
        /// The piece.
        content: Content,
    },
    /// A piece of what it thinks.
    AgentThoughtChunk {
        /// The piece.
        content: Content,
    },
    /// It uses a tool.
    ToolCall {
        /// What for.
        #[serde(default)]
        title: String,
    },
    /// A tool call went on.
    ToolCallUpdate {
        /// How it stands: `pending`, `in_progress`, `completed` or `failed`.
        #[serde(default)]
        status: Option<String>,
        /// What for.
        #[serde(default)]
        title: Option<String>,
    },
    /// What it means to do.
    Plan {
        /// Step by step.
        #[serde(default)]
        entries: Vec<PlanEntry>,
    },
    /// What it has used.
    UsageUpdate {
        /// Money so far.
        #[serde(default)]
        cost: Option<Cost>,
    },
    /// Anything else the protocol has or will have.
    #[serde(other)]
    Other,
}

/// A step of a plan.
#[derive(Debug, Clone, Deserialize)]
pub struct PlanEntry {
    /// What.
    #[serde(default)]
    pub content: String,
    /// How it stands.
    #[serde(default)]
    pub status: String,
}

/// Money.
#[derive(Debug, Clone, Deserialize)]
pub struct Cost {
    /// How much.
    pub amount: f64,
    /// Of what, as ISO 4217.
    #[serde(default)]
    pub currency: String,
}

/// A content block; only its text matters here.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Content {
    /// Its text, where it is text.
    #[serde(default)]
    pub text: String,
}

/// The answer to `session/prompt`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptAnswer {
    /// `end_turn`, `max_tokens`, `max_turn_requests`, `refusal` or `cancelled`.
    pub stop_reason: String,
    /// Tokens, where the agent tells.
    #[serde(default)]
    pub usage: Option<Usage>,
}

/// Tokens as an agent tells them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Read.
    #[serde(default)]
    pub input_tokens: u64,
    /// Written.
    #[serde(default)]
    pub output_tokens: u64,
    /// As it counts their sum.
    #[serde(default)]
    pub total_tokens: u64,
}

/// An option of a permission request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionOption {
    /// Its id.
    pub option_id: String,
    /// `allow_once`, `allow_always`, `reject_once` or `reject_always`.
    #[serde(default)]
    pub kind: String,
}
