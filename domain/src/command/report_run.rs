//! `report_run`: what happened in a run, told by the session that holds its lease.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Decide;
use super::failure::fail_run;
use super::finish::{complete_run, evidence_for};
use super::report::{PlannedChunk, Report};
use super::task_of;
use crate::decide::{Context, Draft, Drafts};
use crate::event::{
    AgentComplete, AgentFailed, AgentStarted, ArtifactAdded, BranchMerged, ErrorOccurred, EventData, FileModified,
    IterationComplete, IterationStarted, PlanReady, PrCreated, PrMerged, QuestionAsked, ReviewChangesRequested,
    RunStarted, SnapshotCreated, SnapshotRestored, StrategyDecided, TestFailed, TestPassed, VerificationComplete,
    VerificationStarted, WorkProgress, WorkspaceAcquired, WorkspaceReleased,
};
use crate::id::{RunId, SubtaskId, TaskId};
use crate::model::{
    Artifact, MemberRole, PlanChunk, ReleaseReason, Role, StrategyAction, SubtaskStatus, TaskStatus, VerificationReport,
};
use crate::rejection::Rejection;
use crate::state::{Lease, ProjectState, RunStatus, Task};

/// Reports what happened in a run, in order; all of it is accepted or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRun {
    /// The card.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// Token of the lease.
    pub fencing_token: u64,
    /// What happened.
    pub reports: Vec<Report>,
}

impl Decide for ReportRun {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        ctx.limits.list("reports", self.reports.len())?;
        if let [Report::WorkspaceReleased { path }] = self.reports.as_slice() {
            return self.release_workspace(task, path);
        }
        check_lease(task, self.run_id, self.fencing_token)?;
        let mut drafts = Drafts::new(task.clone(), ctx.now);
        for report in &self.reports {
            if drafts.task.run(self.run_id).is_none_or(|run| !run.is_live()) {
                return Err(Rejection::invalid("reports", "nothing can be reported after the run's end"));
            }
            self.add(report, &mut drafts, state, ctx)?;
        }
        Ok(drafts.finish())
    }
}

impl ReportRun {
    fn add(
        &self,
        report: &Report,
        drafts: &mut Drafts,
        state: &ProjectState,
        ctx: &mut Context<'_>,
    ) -> Result<(), Rejection> {
        let run_id = self.run_id;
        match report.clone() {
            Report::Started { iteration, harness_config } => {
                self.expect_status(&drafts.task, RunStatus::Queued)?;
                let max_iterations = state.project.as_ref().map_or(1, |project| project.settings.max_iterations);
                drafts.push(RunStarted { run_id, iteration, max_iterations, harness_config });
            }
            Report::AgentStarted { iteration, pid, command } => {
                let role = self.role(&drafts.task).ok_or(Rejection::RunNotFound { run_id })?;
                drafts.push(AgentStarted { run_id, iteration, role, pid, command });
            }
            Report::VerificationComplete { iteration, report, report_file } => {
                self.verified(drafts, iteration, report, report_file);
            }
            Report::StrategyDecision { iteration, decision } => {
                if decision.action == StrategyAction::Accept && self.role(&drafts.task) == Some(Role::Reviewer) {
                    evidence_for(&drafts.task, run_id)?;
                }
                drafts.push(StrategyDecided { run_id, iteration, decision });
            }
            Report::PlanReady { plan, chunks, estimated_cost_usd } => {
                self.planned(drafts, ctx, plan, &chunks, estimated_cost_usd)?;
            }
            Report::ChangesRequested { feedback } => {
                self.expect_role(&drafts.task, Role::Reviewer)?;
                ctx.limits.text("feedback", &feedback)?;
                let subtask_id = SubtaskId(ctx.ids.next_id());
                drafts.push(ReviewChangesRequested { run_id, feedback, subtask_id });
            }
            Report::Complete { result, total_iterations, duration_ms, pr_url, error, tokens, cost_usd } => {
                let complete = crate::event::RunComplete {
                    run_id,
                    result,
                    total_iterations,
                    duration_ms,
                    pr_url,
                    error,
                    tokens,
                    cost_usd,
                };
                complete_run(drafts, state, complete)?;
            }
            Report::Failed { error } => fail_run(drafts, state, run_id, error, ReleaseReason::Failed),
            other => drafts.push(self.plain(other, ctx)?),
        }
        Ok(())
    }

    /// The event of a report that has no consequence of its own.
    fn plain(&self, report: Report, ctx: &Context<'_>) -> Result<EventData, Rejection> {
        let run_id = self.run_id;
        Ok(match report {
            Report::WorkspaceAcquired { path, branch, base_commit } => {
                WorkspaceAcquired { run_id, path, branch, base_commit }.into()
            }
            Report::WorkspaceReleased { path } => WorkspaceReleased { run_id, path }.into(),
            Report::SnapshotCreated { snapshot_id, commit, iteration } => {
                SnapshotCreated { run_id, snapshot_id, commit, iteration }.into()
            }
            Report::SnapshotRestored { snapshot_id, commit } => SnapshotRestored { run_id, snapshot_id, commit }.into(),
            Report::IterationStarted { iteration, feedback } => IterationStarted { run_id, iteration, feedback }.into(),
            Report::AgentComplete { iteration, result, result_file } => {
                ctx.limits.text("result.summary", &result.summary)?;
                AgentComplete { run_id, iteration, pr_url: None, result, result_file }.into()
            }
            Report::AgentFailed { iteration, error, result_file, will_retry } => {
                AgentFailed { run_id, iteration, error, result_file, will_retry }.into()
            }
            Report::VerificationStarted { iteration, checks } => {
                VerificationStarted { run_id, iteration, checks }.into()
            }
            Report::IterationComplete { iteration, agent_success, verification_passed, decision, duration_ms } => {
                IterationComplete { run_id, iteration, agent_success, verification_passed, decision, duration_ms }
                    .into()
            }
            Report::FileModified { path, change, lines_added, lines_removed } => {
                FileModified { run_id, path, change, lines_added, lines_removed }.into()
            }
            Report::Progress { message, percent } => {
                ctx.limits.text("message", &message)?;
                if percent.is_some_and(|percent| percent > 100) {
                    return Err(Rejection::invalid("percent", "must be from 0 to 100"));
                }
                WorkProgress { run_id, message, percent }.into()
            }
            Report::ArtifactAdded { artifact_id, kind, path, description, size_bytes, sha256 } => ArtifactAdded {
                run_id: Some(run_id),
                artifact: Artifact { artifact_id, kind, path, description, size_bytes, sha256 },
            }
            .into(),
            Report::QuestionAsked { question_id, question, options } => {
                ctx.limits.text("question", &question)?;
                QuestionAsked { run_id: Some(run_id), question_id, question, options }.into()
            }
            Report::PrCreated { pr_url, branch_name, title } => PrCreated { run_id, pr_url, branch_name, title }.into(),
            Report::PrMerged { pr_url, merge_commit } => PrMerged { run_id, pr_url, merge_commit }.into(),
            Report::BranchMerged { branch, into, merge_commit } => {
                BranchMerged { run_id, branch, into, merge_commit }.into()
            }
            Report::Error { error } => ErrorOccurred { run_id: Some(run_id), error }.into(),
            Report::Started { .. }
            | Report::AgentStarted { .. }
            | Report::VerificationComplete { .. }
            | Report::StrategyDecision { .. }
            | Report::PlanReady { .. }
            | Report::ChangesRequested { .. }
            | Report::Complete { .. }
            | Report::Failed { .. } => return Err(Rejection::invalid("reports", "a report with consequences")),
        })
    }

    fn verified(&self, drafts: &mut Drafts, iteration: u32, report: VerificationReport, report_file: String) {
        let run_id = self.run_id;
        for check in &report.checks {
            let (name, tests) = (check.name.clone(), check.tests.clone());
            if check.passed {
                drafts.push(TestPassed { run_id, name, tests });
            } else {
                drafts.push(TestFailed { run_id, name, tests, exit_code: check.exit_code });
            }
        }
        drafts.push(VerificationComplete { run_id, iteration, report, report_file });
    }

    fn planned(
        &self,
        drafts: &mut Drafts,
        ctx: &mut Context<'_>,
        plan: String,
        chunks: &[PlannedChunk],
        estimated_cost_usd: Option<f64>,
    ) -> Result<(), Rejection> {
        self.expect_role(&drafts.task, Role::Planner)?;
        ctx.limits.text("plan", &plan)?;
        let chunks = check_chunks(chunks, ctx)?;
        let digest = plan_digest(&plan, &chunks);
        drafts.push(PlanReady { run_id: self.run_id, plan, chunks, estimated_cost_usd, digest });
        Ok(())
    }

    /// A worktree may be given back after the lease ended: it is housekeeping, not work.
    fn release_workspace(&self, task: &Task, path: &str) -> Result<Vec<Draft>, Rejection> {
        let run = task.run(self.run_id).ok_or(Rejection::RunNotFound { run_id: self.run_id })?;
        if let Some(lease) = &run.lease
            && lease.fencing_token != self.fencing_token
        {
            return Err(Rejection::StaleFencingToken { given: self.fencing_token, current: Some(lease.fencing_token) });
        }
        if run.workspace_path.as_deref() != Some(path) {
            return Ok(Vec::new());
        }
        let data = WorkspaceReleased { run_id: self.run_id, path: path.to_owned() };
        Ok(vec![Draft { task_id: Some(task.id), data: data.into() }])
    }

    fn role(&self, task: &Task) -> Option<Role> {
        task.run(self.run_id).map(|run| run.role)
    }

    fn expect_role(&self, task: &Task, role: Role) -> Result<(), Rejection> {
        if self.role(task) == Some(role) {
            return Ok(());
        }
        Err(Rejection::invalid("reports", format!("only a {role} reports this")))
    }

    fn expect_status(&self, task: &Task, status: RunStatus) -> Result<(), Rejection> {
        if task.run(self.run_id).is_some_and(|run| run.status == status) {
            return Ok(());
        }
        Err(Rejection::invalid("reports", format!("the run is not {}", status.as_str())))
    }
}

/// The live lease of a run, if `fencing_token` is its token.
pub(super) fn check_lease(task: &Task, run_id: RunId, fencing_token: u64) -> Result<&Lease, Rejection> {
    let run = task.run(run_id).ok_or(Rejection::RunNotFound { run_id })?;
    match &run.lease {
        Some(lease) if lease.fencing_token == fencing_token => Ok(lease),
        lease => Err(Rejection::StaleFencingToken {
            given: fencing_token,
            current: lease.as_ref().map(|lease| lease.fencing_token),
        }),
    }
}

fn check_chunks(chunks: &[PlannedChunk], ctx: &mut Context<'_>) -> Result<Vec<PlanChunk>, Rejection> {
    ctx.limits.list("chunks", chunks.len())?;
    if chunks.is_empty() {
        return Err(Rejection::invalid("chunks", "a plan has at least one chunk"));
    }
    let ids: Vec<SubtaskId> = chunks.iter().map(|_| SubtaskId(ctx.ids.next_id())).collect();
    let mut checked = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        ctx.limits.title("chunks.title", &chunk.title)?;
        ctx.limits.text("chunks.description", &chunk.description)?;
        let mut depends_on = Vec::new();
        for on in &chunk.depends_on {
            // Only earlier chunks: a plan is written in an order in which it can be done, so it has no cycle.
            if *on as usize >= index {
                return Err(Rejection::invalid(
                    "chunks.depends_on",
                    format!("chunk {index} names {on}, which is not before it"),
                ));
            }
            depends_on.push(ids[*on as usize]);
        }
        checked.push(PlanChunk {
            subtask_id: ids[index],
            title: chunk.title.trim().to_owned(),
            description: chunk.description.clone(),
            depends_on,
        });
    }
    Ok(checked)
}

/// SHA-256 in hexadecimal of what a person is shown.
fn plan_digest(plan: &str, chunks: &[PlanChunk]) -> String {
    let mut hash = Sha256::new();
    hash.update((plan.len() as u64).to_be_bytes());
    hash.update(plan.as_bytes());
    hash.update(serde_json::to_vec(chunks).unwrap_or_default());
    hex::encode(hash.finalize())
}

/// Puts the card where a plan belongs after its planner is done, unless it was decided on before.
pub(super) fn settle_plan(drafts: &mut Drafts, state: &ProjectState) {
    if drafts.task.plan.as_ref().is_some_and(|plan| plan.verdict.is_some()) {
        return;
    }
    drafts.move_to(TaskStatus::PlanReview, None);
    if state.project.as_ref().is_some_and(|project| !project.settings.require_plan_approval) {
        super::approve_plan::approve(drafts, "orchestrator");
    }
}

/// Subtasks of `drafts.task` that wait only for merged ones.
pub(super) fn unblocked_by(drafts: &Drafts, merged: SubtaskId) -> Vec<SubtaskId> {
    let is_merged = |id: &SubtaskId| drafts.task.subtask(*id).is_some_and(|s| s.status == SubtaskStatus::Merged);
    drafts
        .task
        .subtasks
        .iter()
        .filter(|subtask| subtask.status == SubtaskStatus::Blocked && subtask.depends_on.contains(&merged))
        .filter(|subtask| subtask.depends_on.iter().all(is_merged))
        .map(|subtask| subtask.id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunResult;
    use crate::testing::{
        accept, approved_claim, check_passed, claim, complete, given_claimed, given_reviewing, merged, plan, report,
        reports, started, task_id,
    };

    #[test]
    fn a_plan_is_reported_and_the_lease_ends() {
        let (scenario, claim) = given_claimed();
        let state = scenario
            .when(reports(&claim, vec![started(), plan(&[("One", &[])]), complete(RunResult::Succeeded)]))
            .then_events(&[
                "run.started",
                "plan.ready",
                "run.complete",
                "work.released",
                "agent.status_changed",
                "task.status_changed",
            ])
            .state;
        assert_eq!(state.tasks[&task_id(1)].status, TaskStatus::PlanReview);
        assert!(state.leases.is_empty());
    }

    #[test]
    fn a_planner_without_a_plan_does_not_succeed() {
        let (scenario, claim) = given_claimed();
        scenario.when(report(&claim, complete(RunResult::Succeeded))).then_rejected("invalid_argument");
    }

    #[test]
    fn a_plan_that_names_a_later_chunk_is_refused() {
        let (scenario, claim) = given_claimed();
        scenario.when(report(&claim, plan(&[("One", &[1]), ("Two", &[])]))).then_rejected("invalid_argument");
    }

    #[test]
    fn all_reports_are_taken_or_none() {
        let (scenario, claim) = given_claimed();
        let scenario = scenario
            .when(reports(&claim, vec![started(), Report::ChangesRequested { feedback: "x".to_owned() }]))
            .then_rejected("invalid_argument");
        assert_eq!(scenario.state.tasks[&task_id(1)].run(claim.run_id).unwrap().status, RunStatus::Queued);
    }

    #[test]
    fn a_chunk_done_unblocks_the_next_and_the_last_brings_the_review() {
        let (scenario, first) = approved_claim();
        let scenario = scenario
            .when(reports(&first, vec![started(), check_passed(), merged(), complete(RunResult::Succeeded)]))
            .then_events(&[
                "run.started",
                "test.passed",
                "verification.complete",
                "branch.merged",
                "run.complete",
                "work.released",
                "agent.status_changed",
                "chunk.completed",
                "subtask.status_changed",
                "subtask.status_changed",
                "subtask.unblocked",
                "subtask.status_changed",
            ])
            .when(claim(11, &[Role::Coder]))
            .ok();
        let second = scenario.outcome().claim.unwrap();
        let all = vec![started(), check_passed(), merged(), complete(RunResult::Succeeded)];
        let state = scenario.when(reports(&second, all)).ok().state;
        assert_eq!(state.tasks[&task_id(1)].status, TaskStatus::Review);
    }

    #[test]
    fn a_coder_succeeds_only_when_verified_and_merged() {
        let (scenario, claim) = approved_claim();
        let scenario = scenario
            .when(reports(&claim, vec![started(), merged(), complete(RunResult::Succeeded)]))
            .then_rejected("invalid_argument");
        scenario
            .when(reports(&claim, vec![started(), check_passed(), complete(RunResult::Succeeded)]))
            .then_rejected("invalid_argument");
    }

    #[test]
    fn done_is_refused_without_evidence() {
        let (scenario, claim) = given_reviewing();
        let scenario = scenario.when(reports(&claim, vec![started(), accept()])).then_rejected("evidence_missing");
        let scenario = scenario
            .when(reports(&claim, vec![started(), merged(), complete(RunResult::Succeeded)]))
            .then_rejected("evidence_missing");
        let all = vec![started(), check_passed(), accept(), merged(), complete(RunResult::Succeeded)];
        let state = scenario.when(reports(&claim, all)).ok().state;
        let task = &state.tasks[&task_id(1)];
        assert_eq!((task.status, task.evidence.len()), (TaskStatus::Done, 1));
    }

    #[test]
    fn a_review_that_wants_changes_adds_a_subtask() {
        let (scenario, claim) = given_reviewing();
        let request = Report::ChangesRequested { feedback: "Name it better".to_owned() };
        let state = scenario.when(reports(&claim, vec![started(), request, complete(RunResult::Succeeded)])).ok().state;
        let task = &state.tasks[&task_id(1)];
        assert_eq!(task.status, TaskStatus::InFlight);
        assert_eq!(task.subtasks.last().unwrap().description, "Name it better");
        assert_eq!(task.subtasks.last().unwrap().status, SubtaskStatus::Ready);
    }

    #[test]
    fn a_worktree_can_be_given_back_after_the_run() {
        let (scenario, claim) = given_claimed();
        let acquired =
            Report::WorkspaceAcquired { path: "/w".to_owned(), branch: "b".to_owned(), base_commit: "c".to_owned() };
        let released = Report::WorkspaceReleased { path: "/w".to_owned() };
        scenario
            .when(reports(&claim, vec![acquired, started(), complete(RunResult::Failed)]))
            .ok()
            .when(report(&claim, released.clone()))
            .then_events(&["workspace.released"])
            .when(report(&claim, released))
            .then_events(&[]);
    }
}
