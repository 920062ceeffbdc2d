//! Why a command was refused. A refused command changes nothing and is not in the log.

use serde::Serialize;

use crate::id::{QuestionId, RunId, TaskId};
use crate::model::{MemberRole, TaskStatus};

/// Why a command was refused. Each variant says what a caller should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Rejection {
    /// 404 to members of nothing, 403 otherwise. Do not retry.
    #[error("no such project")]
    ProjectNotFound,
    /// 409. Do not retry.
    #[error("the project exists already")]
    ProjectExists,
    /// 404. Do not retry.
    #[error("no such task: {task_id}")]
    TaskNotFound {
        /// The task that was named.
        task_id: TaskId,
    },
    /// 503. Put the task back and decide again; callers see it only where that takes too long, and retry.
    #[error("the task is being brought back: {task_id}")]
    TaskSetAside {
        /// The task that was named.
        task_id: TaskId,
    },
    /// 409. Do not retry with this id.
    #[error("the task exists already: {task_id}")]
    TaskExists {
        /// The task that was named.
        task_id: TaskId,
    },
    /// 404. Do not retry.
    #[error("no such run: {run_id}")]
    RunNotFound {
        /// The run that was named.
        run_id: RunId,
    },
    /// 404. Do not retry.
    #[error("no such question: {question_id}")]
    QuestionNotFound {
        /// The question that was named.
        question_id: QuestionId,
    },
    /// 403. Do not retry.
    #[error("this needs the role {needed} in the project")]
    Forbidden {
        /// The least role that may do it.
        needed: MemberRole,
    },
    /// 409. Another session has the work, or none has: stop working on it.
    #[error("fencing token {given} is not the live one")]
    StaleFencingToken {
        /// The token that was given.
        given: u64,
        /// The live one, where there is one.
        current: Option<u64>,
    },
    /// 409. The first decision won; read it.
    #[error("{what} was decided already: {decision}")]
    AlreadyDecided {
        /// What was to be decided.
        what: String,
        /// What was decided, and by whom.
        decision: String,
    },
    /// 409. Read the plan again: it is not the one that was shown.
    #[error("the plan is not the one that was shown")]
    PlanDigestMismatch {
        /// Digest of the plan as it is.
        current: String,
    },
    /// 409. The task's status does not allow it now.
    #[error("a task in {status} cannot {action}")]
    InvalidTransition {
        /// Status the task has.
        status: TaskStatus,
        /// What was to be done.
        action: String,
    },
    /// 409. Run the verification that shows the missing criteria.
    #[error("{} acceptance criteria have no evidence", criteria.len())]
    EvidenceMissing {
        /// The criteria without evidence.
        criteria: Vec<String>,
    },
    /// 422. Name a task of the same project.
    #[error("a dependency is no task of this project: {task_id}")]
    UnknownDependency {
        /// The dependency.
        task_id: TaskId,
    },
    /// 400. Correct the field.
    #[error("{field}: {message}")]
    InvalidArgument {
        /// The field.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// 422. Shorten the field.
    #[error("{field} is {actual} bytes long, {limit} are allowed")]
    TooLong {
        /// The field.
        field: String,
        /// Bytes allowed.
        limit: u64,
        /// Bytes given.
        actual: u64,
    },
    /// 409. Read again and decide again.
    #[error("expected sequence {expected}, it is {current}")]
    SequenceMismatch {
        /// What the caller had seen.
        expected: u64,
        /// What it is.
        current: u64,
    },
}

impl Rejection {
    /// A stable code for machines; each has a page under `docs/errors/`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ProjectNotFound => "project_not_found",
            Self::ProjectExists => "project_exists",
            Self::TaskNotFound { .. } => "task_not_found",
            Self::TaskSetAside { .. } => "unavailable",
            Self::TaskExists { .. } => "task_exists",
            Self::RunNotFound { .. } => "run_not_found",
            Self::QuestionNotFound { .. } => "question_not_found",
            Self::Forbidden { .. } => "forbidden",
            Self::StaleFencingToken { .. } => "stale_fencing_token",
            Self::AlreadyDecided { .. } => "already_decided",
            Self::PlanDigestMismatch { .. } => "plan_digest_mismatch",
            Self::InvalidTransition { .. } => "invalid_transition",
            Self::EvidenceMissing { .. } => "evidence_missing",
            Self::UnknownDependency { .. } => "unknown_dependency",
            Self::InvalidArgument { .. } => "invalid_argument",
            Self::TooLong { .. } => "too_long",
            Self::SequenceMismatch { expected, current } => {
                if *expected > *current {
                    "sequence_from_future"
                } else {
                    "sequence_mismatch"
                }
            }
        }
    }

    /// Whether it says that something named does not exist.
    pub const fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::ProjectNotFound
                | Self::TaskNotFound { .. }
                | Self::RunNotFound { .. }
                | Self::QuestionNotFound { .. }
        )
    }

    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::InvalidArgument { field: field.to_owned(), message: message.into() }
    }
}
