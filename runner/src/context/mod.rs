//! What an agent is told: one file of Markdown for it to read, and the same as JSON beside it.
//!
//! It must never hold anything of another card, another session, or the control plane.

mod markdown;

use std::io;
use std::path::{Path, PathBuf};

use muster_client::domain::command::WorkOrder;
use muster_client::domain::model::{AcceptanceCriterion, Role, VerificationReport};
use serde::{Deserialize, Serialize};

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskContext {
    /// The role to play.
    pub role: Role,
    /// Number of this call within the run, from 1.
    pub iteration: u32,
    /// The card's title.
    pub title: String,
    /// What is wanted.
    pub description: String,
    /// What must be shown before it is done.
    pub acceptance_criteria: Vec<AcceptanceCriterion>,
    /// The chunk to work on: title and description.
    pub subtask: Option<(String, String)>,
    /// The plan, as Markdown.
    pub plan: Option<String>,
    /// What earlier attempts taught, oldest first.
    pub feedback: Vec<String>,
    /// What people added, oldest first.
    pub prompts: Vec<String>,
    /// Questions and their answers.
    pub answers: Vec<(String, String)>,
    /// Names of the commands that must pass, with what they run.
    pub checks: Vec<(String, String)>,
    /// What verification came to; for reviewers.
    pub verification: Option<VerificationReport>,
    /// What changed, as a diff; for reviewers.
    pub diff: Option<String>,
}

impl TaskContext {
    /// The context of an order at an iteration.
    pub fn of(order: &WorkOrder, iteration: u32) -> Self {
        let checks = order.verification.iter();
        Self {
            role: order.role,
            iteration,
            title: order.title.clone(),
            description: order.description.clone(),
            acceptance_criteria: order.acceptance_criteria.clone(),
            subtask: order.subtask.as_ref().map(|subtask| (subtask.title.clone(), subtask.description.clone())),
            plan: order.plan.as_ref().map(|plan| plan.plan.clone()),
            feedback: order.feedback.clone(),
            prompts: order.prompts.clone(),
            answers: order.answers.clone(),
            checks: checks.map(|c| (c.name.clone(), crate::text::command_line(&c.command))).collect(),
            verification: None,
            diff: None,
        }
    }

    /// Writes `task.md` and `task.json` into `folder`. Gives the Markdown's path and text.
    pub fn write(&self, folder: &Path) -> io::Result<(PathBuf, String)> {
        let text = markdown::render(self);
        std::fs::write(folder.join("task.json"), serde_json::to_vec_pretty(self)?)?;
        let path = folder.join("task.md");
        std::fs::write(&path, &text)?;
        Ok((path, text))
    }

    /// The context beside the Markdown file that `$MUSTER_TASK_FILE` names.
    pub fn read_beside(markdown: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(markdown.with_extension("json"))?)?)
    }
}
