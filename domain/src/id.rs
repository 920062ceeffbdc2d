//! Identifiers. Each kind is its own type over a UUID, so that a task cannot be passed for a run. Never generates any.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}: a UUID is expected")]
pub struct ParseIdError {
    /// The kind of id that was expected.
    pub kind: &'static str,
    /// What was given, at most 64 characters.
    pub text: String,
}

macro_rules! id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| ParseIdError { kind: stringify!($name), text: text.chars().take(64).collect() })
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

id! {
    /// A project.
    ProjectId,
    /// A task (a card).
    TaskId,
    /// A subtask (a chunk of an approved plan).
    SubtaskId,
    /// A run.
    RunId,
    /// An agent session.
    SessionId,
    /// An artifact.
    ArtifactId,
    /// A question an agent asked.
    QuestionId,
    /// A restorable point of a workspace.
    SnapshotId,
    /// An event.
    EventId,
    /// A command; the idempotency key it came with.
    CommandId,
}
