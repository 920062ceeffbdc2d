//! The closed sets of values that events and commands are made of. Knows nothing of storage or wire.

use serde::{Deserialize, Serialize};

macro_rules! value_enum {
    ($(#[$meta:meta])* $name:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in declared order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name used on every wire and screen.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = UnknownValue;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownValue { kind: stringify!($name), text: text.chars().take(64).collect() }),
                }
            }
        }
    };
}

/// A name that is not one of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}")]
pub struct UnknownValue {
    /// The set.
    pub kind: &'static str,
    /// What was given, at most 64 characters.
    pub text: String,
}

value_enum! {
    /// How urgent a task is.
    Priority { Low => "low", Medium => "medium", High => "high", Urgent => "urgent" }
}

value_enum! {
    /// How large a task is thought to be.
    Complexity { Xs => "xs", S => "s", M => "m", L => "l", Xl => "xl" }
}

value_enum! {
    /// Where a task stands on the board.
    TaskStatus { Inbox => "inbox", Planning => "planning", PlanReview => "plan_review", Ready => "ready", InFlight => "in_flight", Review => "review", Done => "done", Blocked => "blocked", Failed => "failed", Cancelled => "cancelled" }
}

value_enum! {
    /// Where a chunk of an approved plan stands.
    SubtaskStatus { Blocked => "blocked", Ready => "ready", InProgress => "in_progress", Completed => "completed", Failed => "failed", Merged => "merged" }
}

value_enum! {
    /// What an agent is asked to be.
    Role { Planner => "planner", Architect => "architect", Coder => "coder", Tester => "tester", Reviewer => "reviewer", Deployer => "deployer", Explorer => "explorer" }
}

value_enum! {
    /// What an agent session is doing.
    SessionStatus { Idle => "idle", Working => "working", Blocked => "blocked", Completed => "completed", Failed => "failed" }
}

value_enum! {
    /// How a run ended.
    RunResult { Succeeded => "succeeded", Failed => "failed" }
}

value_enum! {
    /// What to do after an iteration.
    StrategyAction { Continue => "continue", Accept => "accept", GiveUp => "give_up", Escalate => "escalate" }
}

value_enum! {
    /// What an artifact is.
    ArtifactKind { File => "file", Pr => "pr", Document => "document", Link => "link" }
}

value_enum! {
    /// What a member may do in a project.
    MemberRole { Owner => "owner", Operator => "operator", Viewer => "viewer" }
}

value_enum! {
    /// How a preview of a task's branch is run.
    PreviewMode { Process => "process", Docker => "docker", ComposeOnly => "compose_only", Traefik => "traefik" }
}

value_enum! {
    /// How an agent is driven.
    AgentKind { Command => "command", Acp => "acp", Rehearsal => "rehearsal" }
}

value_enum! {
    /// Why a run, an agent or a verification failed.
    BuildErrorKind { AgentFailed => "agent_failed", AgentKilled => "agent_killed", AgentTimeout => "agent_timeout", AgentSilent => "agent_silent", VerificationFailed => "verification_failed", CommandNotFound => "command_not_found", Workspace => "workspace", MergeConflict => "merge_conflict", LeaseLost => "lease_lost", MaxIterations => "max_iterations", GaveUp => "gave_up", Cancelled => "cancelled", Protocol => "protocol", Internal => "internal" }
}

value_enum! {
    /// What happened to a file.
    FileChange { Added => "added", Modified => "modified", Deleted => "deleted", Renamed => "renamed" }
}

value_enum! {
    /// Why a lease ended.
    ReleaseReason { Finished => "finished", Failed => "failed", LeaseExpired => "lease_expired", Cancelled => "cancelled", Shutdown => "shutdown" }
}
