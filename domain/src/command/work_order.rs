//! What work is ready, and what a session needs to know to do the work it claimed. Pure views of the state.

use serde::{Deserialize, Serialize};

use crate::id::{ProjectId, RunId, SubtaskId, TaskId};
use crate::model::{AcceptanceCriterion, AgentConfig, AgentKind, ProjectSettings, Role, VerificationCommand};
use crate::state::{Plan, ProjectState};

/// A piece of work that is ready to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// The card.
    pub task_id: TaskId,
    /// Role it needs.
    pub role: Role,
    /// Subtask, for work on one chunk.
    pub subtask_id: Option<SubtaskId>,
}

/// The most urgent work for these roles; ties go to the oldest card, then to plan order. `None` while the project has as
/// many runs as it may, or is over its budget.
pub fn next_work(state: &ProjectState, roles: &[Role]) -> Option<Work> {
    let settings = &state.project.as_ref()?.settings;
    if state.leases.len() >= settings.max_concurrent_runs as usize || over_budget(state, settings) {
        return None;
    }
    let task = state.tasks.next_for(roles)?;
    let (role, subtask_id) = task.ready_work()?;
    Some(Work { task_id: task.id, role, subtask_id })
}

fn over_budget(state: &ProjectState, settings: &ProjectSettings) -> bool {
    let budget = &settings.budget;
    budget.tokens_max.is_some_and(|max| state.tokens_used >= max)
        || budget.cost_usd_max.is_some_and(|max| state.cost_usd >= max)
}

/// A subtask as its coder sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskOrder {
    /// Its id.
    pub subtask_id: SubtaskId,
    /// What it does.
    pub title: String,
    /// How.
    pub description: String,
    /// Branch its work is done on.
    pub branch: String,
}

/// Everything a session needs for the work it claimed, and nothing of other cards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkOrder {
    /// The project.
    pub project_id: ProjectId,
    /// Its name.
    pub project_name: String,
    /// Path of its repository on the runner's machine.
    pub repository_path: String,
    /// Branch finished work is merged into.
    pub default_branch: String,
    /// The card.
    pub task_id: TaskId,
    /// Its title.
    pub title: String,
    /// What is wanted.
    pub description: String,
    /// What must be shown before it is done.
    pub acceptance_criteria: Vec<AcceptanceCriterion>,
    /// The run.
    pub run_id: RunId,
    /// The role to play.
    pub role: Role,
    /// 1 for the first try.
    pub attempt: u32,
    /// Token every report must carry.
    pub fencing_token: u64,
    /// The subtask, for work on one chunk.
    pub subtask: Option<SubtaskOrder>,
    /// Branch subtasks are merged into.
    pub task_branch: String,
    /// The approved or rejected plan.
    pub plan: Option<Plan>,
    /// How the agent is started.
    pub agent: AgentConfig,
    /// Commands that every change must pass.
    pub verification: Vec<VerificationCommand>,
    /// Iterations the run may take.
    pub max_iterations: u32,
    /// What earlier attempts and decisions taught, oldest first.
    pub feedback: Vec<String>,
    /// Context people added, oldest first.
    pub prompts: Vec<String>,
    /// Questions that were answered, with their answers.
    pub answers: Vec<(String, String)>,
}

/// The work order of a live run.
pub fn work_order(state: &ProjectState, task_id: TaskId, run_id: RunId) -> Option<WorkOrder> {
    let project = state.project.as_ref()?;
    let task = state.tasks.get(&task_id)?;
    let run = task.run(run_id)?;
    let lease = run.lease.as_ref()?;
    let mut feedback = task.feedback.clone();
    feedback.extend(
        task.runs
            .iter()
            .filter(|earlier| earlier.role == run.role && earlier.subtask_id == run.subtask_id)
            .filter_map(|earlier| earlier.error.as_ref())
            .map(|error| error.message.clone()),
    );
    Some(WorkOrder {
        project_id: project.id,
        project_name: project.name.clone(),
        repository_path: project.repository_path.clone(),
        default_branch: project.default_branch.clone(),
        task_id,
        title: task.title.clone(),
        description: task.description.clone(),
        acceptance_criteria: task.acceptance_criteria.clone(),
        run_id,
        role: run.role,
        attempt: run.attempt,
        fencing_token: lease.fencing_token,
        subtask: run.subtask_id.and_then(|id| task.subtask(id)).map(|subtask| SubtaskOrder {
            subtask_id: subtask.id,
            title: subtask.title.clone(),
            description: subtask.description.clone(),
            branch: subtask.branch_name(),
        }),
        task_branch: task.branch_name(),
        plan: task.plan.as_deref().cloned(),
        agent: agent_for(&project.settings, run.role),
        verification: project.settings.verification.clone(),
        max_iterations: project.settings.max_iterations,
        feedback,
        prompts: task.prompts.clone(),
        answers: task
            .questions
            .iter()
            .filter_map(|question| Some((question.question.clone(), question.answer.clone()?)))
            .collect(),
    })
}

fn agent_for(settings: &ProjectSettings, role: Role) -> AgentConfig {
    settings.agents.get(role.as_str()).cloned().unwrap_or_else(|| AgentConfig {
        kind: AgentKind::Rehearsal,
        command: Vec::new(),
        model: None,
        env: std::collections::BTreeMap::new(),
        timeout_ms: None,
        silence_timeout_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ChangeSettings;
    use crate::model::Budget;
    use crate::testing::{given_claimed, given_project, project_settings, task, task_id};

    #[test]
    fn an_order_holds_what_its_run_needs() {
        let (scenario, claim) = given_claimed();
        let order = work_order(&scenario.state, task_id(1), claim.run_id).unwrap();
        assert_eq!((order.role, order.fencing_token, order.attempt), (Role::Planner, 1, 1));
        assert_eq!(order.agent.kind, AgentKind::Rehearsal);
        assert_eq!(order.task_branch, "muster/task-000000000001");
    }

    #[test]
    fn a_full_or_poor_project_hands_out_nothing() {
        let full = ProjectSettings { max_concurrent_runs: 1, ..project_settings() };
        let (scenario, _) = given_claimed();
        let state = scenario.when(ChangeSettings { settings: full }).ok().when(task(2)).ok().state;
        assert_eq!(next_work(&state, Role::ALL), None);
        let poor = ProjectSettings { budget: Budget { tokens_max: Some(0), cost_usd_max: None }, ..project_settings() };
        let state = given_project().when(ChangeSettings { settings: poor }).ok().when(task(1)).ok().state;
        assert_eq!(next_work(&state, Role::ALL), None);
    }
}
