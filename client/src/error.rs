//! What can go wrong with a call, told apart by what the caller should do.

use muster_schemas::api::Problem;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service refused, and says why. Decide by [`Error::code`].
    #[error("{}: {}", .0.code, if .0.detail.is_empty() { &.0.title } else { &.0.detail })]
    Problem(Box<Problem>),
    /// The service cannot be reached, or the connection broke before the answer. A command may have happened: send it
    /// again with the same key.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// What was called.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The answer is not what the service should give: another server, or another version.
    #[error("{url} gave an answer that is not understood (status {status}): {reason}")]
    Unexpected {
        /// What was called.
        url: String,
        /// HTTP status.
        status: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// A GraphQL operation failed. Decide by [`Error::code`].
    #[error("{}", .0.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; "))]
    Graphql(Vec<GraphqlError>),
    /// The client was given something it cannot use, such as an address that is no URL. Correct it.
    #[error("{0}")]
    Invalid(String),
}

/// One error of a GraphQL answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct GraphqlError {
    /// What happened, for a person.
    pub message: String,
    /// Where in the answer.
    #[serde(default)]
    pub path: Vec<Value>,
    /// `code` and more.
    #[serde(default)]
    pub extensions: Map<String, Value>,
}

impl Error {
    /// The stable code, in lower snake case, of a refusal.
    pub fn code(&self) -> Option<String> {
        match self {
            Self::Problem(problem) => Some(problem.code.clone()),
            Self::Graphql(errors) => {
                errors.iter().find_map(|error| error.extensions.get("code")?.as_str().map(str::to_ascii_lowercase))
            }
            _ => None,
        }
    }

    /// Whether it was refused with that code.
    pub fn is(&self, code: &str) -> bool {
        self.code().as_deref() == Some(code)
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::Unexpected { status, .. } => Some(*status),
            Self::Graphql(errors) => errors
                .iter()
                .find_map(|error| error.extensions.get("status")?.as_u64())
                .and_then(|status| u16::try_from(status).ok()),
            _ => None,
        }
    }

    /// A further member of the problem document, such as `current_sequence`.
    pub fn extension(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Problem(problem) => problem.extensions.get(name),
            Self::Graphql(errors) => errors.iter().find_map(|error| error.extensions.get(name)),
            _ => None,
        }
    }

    /// Whether the same call may succeed later: the service is away, busy or moving.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => matches!(problem.status, 408 | 429 | 502..=504),
            Self::Unexpected { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }

    pub(crate) fn unreachable(url: &str, error: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::Unreachable { url: url.to_owned(), reason: with_causes(error.into().as_ref()) }
    }
}

/// An error with what caused it: an HTTP library's own text hides the refused connection.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
