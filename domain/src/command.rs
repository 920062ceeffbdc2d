//! Commands: what can be asked. One file for each: its type, its decision, its tests.
//!
//! As JSON a command is an object with `type` and its fields; unknown fields are refused.

mod add_artifact;
mod add_member;
mod answer_question;
mod approve_plan;
mod cancel_task;
mod change_settings;
mod claim_work;
mod create_project;
mod create_task;
mod dispatch_task;
mod expire_leases;
mod inject_prompt;
mod move_task;
mod reject_plan;
mod remove_member;
mod renew_lease;
mod report_run;
mod request_retry;
mod update_task;

mod failure;
mod finish;
mod report;
mod work_order;

pub use add_artifact::AddArtifact;
pub use add_member::AddMember;
pub use answer_question::AnswerQuestion;
pub use approve_plan::ApprovePlan;
pub use cancel_task::CancelTask;
pub use change_settings::ChangeSettings;
pub use claim_work::ClaimWork;
pub use create_project::CreateProject;
pub use create_task::{CreateTask, Criterion};
pub use dispatch_task::DispatchTask;
pub use expire_leases::{ExpireLeases, has_expired_leases};
pub use inject_prompt::InjectPrompt;
pub use move_task::MoveTask;
pub use reject_plan::RejectPlan;
pub use remove_member::RemoveMember;
pub use renew_lease::RenewLease;
pub use report::{PlannedChunk, Report};
pub use report_run::ReportRun;
pub use request_retry::RequestRetry;
pub use update_task::UpdateTask;
pub use work_order::{SubtaskOrder, Work, WorkOrder, next_work, work_order};

use serde::{Deserialize, Serialize};

use crate::decide::{Context, Draft};
use crate::id::TaskId;
use crate::rejection::Rejection;
use crate::state::{ProjectState, Task};

macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {
        /// What can be asked.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        pub enum Command {
            $($(#[$meta])* $name($name)),+
        }

        $(impl From<$name> for Command {
            fn from(command: $name) -> Self { Self::$name(command) }
        })+

        impl Command {
            /// The events that follow from it, or why it is refused.
            ///
            /// # Errors
            /// A [`Rejection`]; nothing happened then.
            pub fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
                match self { $(Self::$name(command) => command.decide(state, ctx)),+ }
            }

            /// Tasks that must be in memory for it to be decided: what is
            /// [aside](ProjectState::is_aside) of them is to be put back first.
            pub fn touches(&self) -> impl Iterator<Item = TaskId> + use<> {
                // Of a task it creates, and of those the new one waits for, what is kept of them is enough.
                self.task_id().filter(|_| !matches!(self, Self::CreateTask(_))).into_iter()
            }

            /// The task it is about, if one.
            pub fn task_id(&self) -> Option<TaskId> {
                match self { $(Self::$name(command) => command.task_id()),+ }
            }
        }
    };
}

commands! {
    /// Puts a repository under Muster's care.
    CreateProject,
    /// Replaces a project's settings.
    ChangeSettings,
    /// Adds a member or changes a member's role.
    AddMember,
    /// Removes a member.
    RemoveMember,
    /// Puts a card on the board.
    CreateTask,
    /// Edits a card.
    UpdateTask,
    /// Releases a card to the agents.
    DispatchTask,
    /// Moves a card to another column.
    MoveTask,
    /// Approves the plan that waits.
    ApprovePlan,
    /// Rejects the plan that waits.
    RejectPlan,
    /// Answers an agent's question.
    AnswerQuestion,
    /// Tries a failed or blocked card again.
    RequestRetry,
    /// Adds context for the next iteration.
    InjectPrompt,
    /// Cancels a card.
    CancelTask,
    /// Adds an artifact.
    AddArtifact,
    /// Claims the most urgent work.
    ClaimWork,
    /// Keeps a lease alive.
    RenewLease,
    /// Ends leases whose time is over.
    ExpireLeases,
    /// Reports what happened in a run.
    ReportRun,
}

/// The task of that id.
fn task_of(state: &ProjectState, id: TaskId) -> Result<&Task, Rejection> {
    let absent = || {
        if state.is_aside(id) {
            Rejection::TaskSetAside { task_id: id }
        } else {
            Rejection::TaskNotFound { task_id: id }
        }
    };
    state.task(id).ok_or_else(absent)
}

/// What every command answers.
trait Decide {
    /// The task it is about, if one.
    fn task_id(&self) -> Option<TaskId> {
        None
    }

    /// The events that follow from it, or why it is refused.
    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection>;
}
