//! The event catalogue: every event type, once. The contract of the log. Knows nothing of encoding.

use super::agent::{
    AgentComplete, AgentFailed, AgentInvoked, AgentStarted, ErrorOccurred, TestFailed, TestPassed,
    VerificationComplete, VerificationStarted,
};
use super::git::{
    BranchMerged, FileModified, PrCreated, PrMerged, SnapshotCreated, SnapshotRestored, WorkspaceAcquired,
    WorkspaceReleased,
};
use super::project::{ProjectCreated, ProjectMemberAdded, ProjectMemberRemoved, ProjectSettingsChanged};
use super::run::{IterationComplete, IterationStarted, RunComplete, RunFailed, RunQueued, RunStarted, StrategyDecided};
use super::subtask::{ChunkCompleted, ChunkStarted, SubtaskStatusChanged, SubtaskUnblocked};
use super::task::{
    ArtifactAdded, PlanApproved, PlanReady, PlanRejected, QuestionAsked, ReviewChangesRequested, TaskCompleted,
    TaskCreated, TaskDispatched, TaskFailed, TaskStarted, TaskStatusChanged, TaskUnblocked, TaskUpdated,
};
use super::user::{
    UserAnsweredQuestion, UserApprovedPlan, UserCancelledTask, UserInjectedPrompt, UserRejectedPlan, UserRequestedRetry,
};
use super::work::{AgentSpawned, AgentStatusChanged, LeaseRenewed, WorkAssigned, WorkProgress, WorkReleased};

/// The data of an event whose type this build does not know: kept whole, folded as nothing.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct UnknownEvent {
    /// Its type, as the log names it.
    pub event_type: String,
    /// Its data, as far as it could be read.
    pub data: serde_json::Value,
}

macro_rules! catalogue {
    ($($name:ident => $text:literal),+ $(,)?) => {
        /// What happened: one variant for each event type.
        #[derive(Debug, Clone, PartialEq)]
        pub enum EventData {
            $(#[doc = concat!("`", $text, "`")] $name($name),)+
            /// A type from a later version.
            Unknown(UnknownEvent),
        }

        impl EventData {
            /// Every event type of this build, in catalogue order.
            pub const TYPES: &[&str] = &[$($text),+];

            /// The type, for example `task.created`.
            pub fn event_type(&self) -> &str {
                match self {
                    $(Self::$name(_) => $text,)+
                    Self::Unknown(unknown) => &unknown.event_type,
                }
            }

            /// The data alone as JSON.
            pub fn to_json(&self) -> serde_json::Value {
                match self {
                    $(Self::$name(data) => serde_json::to_value(data).unwrap_or_default(),)+
                    Self::Unknown(unknown) => unknown.data.clone(),
                }
            }

            /// Reads the data of `event_type` from JSON. A type this build does not know is kept as [`EventData::Unknown`].
            pub fn from_json(event_type: &str, data: serde_json::Value) -> Result<Self, serde_json::Error> {
                match event_type {
                    $($text => Ok(Self::$name(serde_json::from_value(data)?)),)+
                    _ => Ok(Self::Unknown(UnknownEvent { event_type: event_type.to_owned(), data })),
                }
            }
        }

        $(impl From<$name> for EventData {
            fn from(data: $name) -> Self { Self::$name(data) }
        })+
    };
}

/// Calls `$callback!` with every `Name => "type"` pair of the catalogue, so that each user of it is exhaustive.
#[macro_export]
macro_rules! for_each_event {
    ($callback:ident) => {
        $callback! {
            ProjectCreated => "project.created",
            ProjectSettingsChanged => "project.settings_changed",
            ProjectMemberAdded => "project.member_added",
            ProjectMemberRemoved => "project.member_removed",
            TaskCreated => "task.created",
            TaskUpdated => "task.updated",
            TaskDispatched => "task.dispatched",
            TaskStarted => "task.started",
            TaskStatusChanged => "task.status_changed",
            TaskUnblocked => "task.unblocked",
            TaskCompleted => "task.completed",
            TaskFailed => "task.failed",
            PlanReady => "plan.ready",
            PlanApproved => "plan.approved",
            PlanRejected => "plan.rejected",
            ChunkStarted => "chunk.started",
            ChunkCompleted => "chunk.completed",
            SubtaskStatusChanged => "subtask.status_changed",
            SubtaskUnblocked => "subtask.unblocked",
            ReviewChangesRequested => "review.changes_requested",
            AgentInvoked => "agent.invoked",
            FileModified => "file.modified",
            TestPassed => "test.passed",
            TestFailed => "test.failed",
            ErrorOccurred => "error.occurred",
            WorkAssigned => "work.assigned",
            WorkProgress => "work.progress",
            WorkReleased => "work.released",
            LeaseRenewed => "lease.renewed",
            ArtifactAdded => "artifact.added",
            QuestionAsked => "question.asked",
            UserApprovedPlan => "user.approved_plan",
            UserRejectedPlan => "user.rejected_plan",
            UserAnsweredQuestion => "user.answered_question",
            UserRequestedRetry => "user.requested_retry",
            UserInjectedPrompt => "user.injected_prompt",
            UserCancelledTask => "user.cancelled_task",
            RunQueued => "run.queued",
            RunStarted => "run.started",
            RunComplete => "run.complete",
            RunFailed => "run.failed",
            IterationStarted => "iteration.started",
            IterationComplete => "iteration.complete",
            AgentStarted => "agent.started",
            AgentComplete => "agent.complete",
            AgentFailed => "agent.failed",
            VerificationStarted => "verification.started",
            VerificationComplete => "verification.complete",
            WorkspaceAcquired => "workspace.acquired",
            WorkspaceReleased => "workspace.released",
            SnapshotCreated => "snapshot.created",
            SnapshotRestored => "snapshot.restored",
            PrCreated => "pr.created",
            PrMerged => "pr.merged",
            BranchMerged => "branch.merged",
            StrategyDecided => "strategy.decision",
            AgentSpawned => "agent.spawned",
            AgentStatusChanged => "agent.status_changed",
        }
    };
}

for_each_event!(catalogue);
