//! The closed sets of values, as GraphQL enumerations.

use async_graphql::Enum;
use muster_domain::model;
use muster_read_store::query;

/// How urgent a task is.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::Priority")]
pub enum Priority {
    Low,
    Medium,
    High,
    Urgent,
}

/// How large a task is thought to be.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::Complexity")]
pub enum Complexity {
    Xs,
    S,
    M,
    L,
    Xl,
}

/// Where a task stands on the board.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::TaskStatus")]
pub enum TaskStatus {
    Inbox,
    Planning,
    PlanReview,
    Ready,
    InFlight,
    Review,
    Done,
    Blocked,
    Failed,
    Cancelled,
}

/// Where a chunk of an approved plan stands.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::SubtaskStatus")]
pub enum SubtaskStatus {
    Blocked,
    Ready,
    InProgress,
    Completed,
    Failed,
    Merged,
}

/// What an agent is asked to be.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::Role")]
pub enum Role {
    Planner,
    Architect,
    Coder,
    Tester,
    Reviewer,
    Deployer,
    Explorer,
}

/// What an agent session is doing.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::SessionStatus")]
pub enum SessionStatus {
    Idle,
    Working,
    Blocked,
    Completed,
    Failed,
}

/// What to do after an iteration.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::StrategyAction")]
pub enum StrategyAction {
    Continue,
    Accept,
    GiveUp,
    Escalate,
}

/// What an artifact is.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::ArtifactKind")]
pub enum ArtifactKind {
    File,
    Pr,
    Document,
    Link,
}

/// What a member may do in a project.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "model::MemberRole")]
pub enum MemberRole {
    Owner,
    Operator,
    Viewer,
}

/// Where a run stands.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum RunStatus {
    /// Made for a claim, not begun.
    Queued,
    /// Begun.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

impl RunStatus {
    /// From the stored name.
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "succeeded" => Self::Succeeded,
            _ => Self::Failed,
        }
    }
}

/// What was decided about a plan.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum PlanState {
    /// It waits for a decision.
    Ready,
    /// It became subtasks.
    Approved,
    /// The planner tries again.
    Rejected,
}

impl PlanState {
    /// From the stored name.
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "approved" => Self::Approved,
            "rejected" => Self::Rejected,
            _ => Self::Ready,
        }
    }
}

/// How tasks are ordered; ties go by id.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "query::TaskOrder")]
pub enum TaskOrder {
    /// Most urgent first, then oldest first: the order in which work is claimed.
    Priority,
    /// By creation, oldest first.
    Oldest,
    /// By creation, newest first.
    Newest,
    /// By last change, newest first. A task that changes moves to the front.
    Updated,
}
