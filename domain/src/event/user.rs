//! Events: what people asked for.

use serde::{Deserialize, Serialize};

use crate::id::QuestionId;

/// `user.approved_plan`: A person approved a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserApprovedPlan {
    /// Who.
    pub user_id: String,
    /// Digest of the plan they saw.
    pub digest: String,
}

/// `user.rejected_plan`: A person rejected a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRejectedPlan {
    /// Who.
    pub user_id: String,
    /// Digest of the plan they saw.
    pub digest: String,
    /// Why.
    pub reason: String,
}

/// `user.answered_question`: A person answered an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAnsweredQuestion {
    /// Who.
    pub user_id: String,
    /// The question.
    pub question_id: QuestionId,
    /// The answer.
    pub answer: String,
}

/// `user.requested_retry`: A person wants a failed task tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRequestedRetry {
    /// Who.
    pub user_id: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `user.injected_prompt`: A person added context that the next iteration is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInjectedPrompt {
    /// Who.
    pub user_id: String,
    /// What.
    pub message: String,
}

/// `user.cancelled_task`: A person cancelled a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCancelledTask {
    /// Who.
    pub user_id: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}
