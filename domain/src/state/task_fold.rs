//! How events change a task.

use std::sync::Arc;

use super::run::{Lease, Run, RunStatus};
use super::subtask::Subtask;
use super::task::{Plan, PlanVerdict, Question, Task};
use crate::event::{Event, EventData};
use crate::id::{RunId, SubtaskId};
use crate::model::{BuildError, RunResult, SubtaskStatus, TokenUsage};
use crate::time::Timestamp;

impl Task {
    /// Adds one event of this task.
    pub(super) fn apply(&mut self, event: &Event) {
        self.sequence = event.sequence;
        self.apply_data(&event.data, event.timestamp);
    }

    /// Adds what happened at `at`, without its envelope.
    pub(crate) fn apply_data(&mut self, data: &EventData, at: Timestamp) {
        self.updated_at = at;
        self.apply_card(data, at);
        self.apply_plan(data);
        self.apply_work(data, at);
        self.apply_run(data, at);
    }

    fn apply_card(&mut self, data: &EventData, at: Timestamp) {
        match data {
            EventData::TaskCreated(created) => {
                self.title.clone_from(&created.title);
                self.description.clone_from(&created.description);
                self.acceptance_criteria.clone_from(&created.acceptance_criteria);
                self.priority = created.priority;
                self.complexity = created.complexity;
                self.blocked_by = created.blocked_by.iter().copied().collect();
                self.created_by.clone_from(&created.created_by);
                self.interactive = created.interactive;
                self.created_at = at;
            }
            EventData::TaskUpdated(updated) => {
                replace(&mut self.title, updated.title.as_ref());
                replace(&mut self.description, updated.description.as_ref());
                replace(&mut self.priority, updated.priority.as_ref());
                replace(&mut self.complexity, updated.complexity.as_ref());
                replace(&mut self.acceptance_criteria, updated.acceptance_criteria.as_ref());
            }
            EventData::TaskDispatched(_) => self.dispatched = true,
            EventData::TaskStarted(_) => self.started = true,
            EventData::TaskStatusChanged(changed) => {
                self.status = changed.new_status;
                self.status_reason.clone_from(&changed.reason);
            }
            EventData::TaskCompleted(completed) => {
                self.evidence.clone_from(&completed.evidence);
                self.branch.clone_from(&completed.branch);
                self.merge_commit.clone_from(&completed.merge_commit);
            }
            EventData::TaskFailed(failed) => self.error = Some(Box::new(failed.error.clone())),
            EventData::ArtifactAdded(added) => self.artifacts.push(added.artifact.clone()),
            EventData::UserRequestedRetry(_) => {
                self.retry_count += 1;
                self.failed_attempts = 0;
                self.review_rounds = 0;
                self.error = None;
                for subtask in &mut self.subtasks {
                    subtask.failed_attempts = 0;
                }
            }
            EventData::UserInjectedPrompt(injected) => self.prompts.push(injected.message.clone()),
            EventData::QuestionAsked(asked) => self.questions.push(Question {
                id: asked.question_id,
                run_id: asked.run_id,
                question: asked.question.clone(),
                options: asked.options.clone(),
                answer: None,
            }),
            EventData::UserAnsweredQuestion(answered) => {
                if let Some(question) = self.questions.iter_mut().find(|q| q.id == answered.question_id) {
                    question.answer = Some(answered.answer.clone());
                }
            }
            _ => {}
        }
    }

    fn apply_plan(&mut self, data: &EventData) {
        match data {
            EventData::PlanReady(ready) => {
                self.plan = Some(Arc::new(Plan {
                    run_id: ready.run_id,
                    plan: ready.plan.clone(),
                    chunks: ready.chunks.clone(),
                    estimated_cost_usd: ready.estimated_cost_usd,
                    digest: ready.digest.clone(),
                    verdict: None,
                }));
            }
            EventData::PlanApproved(approved) => {
                let Some(plan) = self.plan.as_mut().map(Arc::make_mut) else { return };
                plan.verdict = Some(PlanVerdict::Approved { by: approved.approved_by.clone() });
                self.feedback.clear();
                self.failed_attempts = 0;
                self.subtasks = plan
                    .chunks
                    .iter()
                    .map(|chunk| new_subtask(chunk.subtask_id, &chunk.title, &chunk.description, &chunk.depends_on))
                    .collect();
            }
            EventData::PlanRejected(rejected) => {
                let Some(plan) = self.plan.as_mut().map(Arc::make_mut) else { return };
                plan.verdict =
                    Some(PlanVerdict::Rejected { by: rejected.rejected_by.clone(), reason: rejected.reason.clone() });
                self.feedback.push(rejected.reason.clone());
            }
            EventData::ReviewChangesRequested(request) => {
                self.review_rounds += 1;
                if let Some(run) = self.run_mut(request.run_id) {
                    run.changes_requested = true;
                }
                let title = format!("Address review {}", self.review_rounds);
                self.subtasks.push(new_subtask(request.subtask_id, &title, &request.feedback, &[]));
            }
            EventData::ChunkCompleted(completed) => {
                if let Some(subtask) = self.subtask_mut(completed.subtask_id) {
                    subtask.commit.clone_from(&completed.commit);
                }
            }
            EventData::SubtaskStatusChanged(changed) => {
                if let Some(subtask) = self.subtask_mut(changed.subtask_id) {
                    subtask.status = changed.new_status;
                }
            }
            _ => {}
        }
    }

    fn apply_work(&mut self, data: &EventData, at: Timestamp) {
        match data {
            EventData::RunQueued(queued) => {
                let run = Run::queued(queued.run_id, queued.role, queued.subtask_id, queued.attempt, at);
                self.runs.push(Arc::new(run));
            }
            EventData::WorkAssigned(assigned) => {
                if let Some(run) = self.run_mut(assigned.run_id) {
                    run.lease = Some(Lease {
                        session_id: assigned.session_id,
                        fencing_token: assigned.fencing_token,
                        expires_at: at.plus_ms(assigned.lease_duration_ms),
                    });
                }
                if let Some(subtask) = assigned.subtask_id.and_then(|id| self.subtask_mut(id)) {
                    subtask.run_id = Some(assigned.run_id);
                }
            }
            EventData::LeaseRenewed(renewed) => {
                if let Some(lease) = self.run_mut(renewed.run_id).and_then(|run| run.lease.as_mut()) {
                    lease.expires_at = at.plus_ms(renewed.lease_duration_ms);
                }
            }
            EventData::WorkReleased(released) => {
                if let Some(run) = self.run_mut(released.run_id) {
                    run.lease = None;
                }
            }
            EventData::RunFailed(failed) => self.count_failure(failed.run_id, &failed.error, at),
            _ => {}
        }
    }

    fn apply_run(&mut self, data: &EventData, at: Timestamp) {
        let Some(run) = run_of(data).and_then(|id| self.run_mut(id)) else { return };
        match data {
            EventData::RunStarted(started) => {
                run.status = RunStatus::Running;
                run.max_iterations = started.max_iterations;
                run.harness_config = Some(started.harness_config.clone());
            }
            EventData::IterationStarted(started) => {
                run.iteration(started.iteration).feedback.clone_from(&started.feedback);
            }
            EventData::AgentComplete(complete) => {
                let result = &complete.result;
                run.iteration(complete.iteration).agent_result = Some(result.clone());
                run.tokens = sum_tokens(run.tokens.take(), result.tokens.as_ref());
                run.cost_usd =
                    result.cost_usd.map_or(run.cost_usd, |cost| Some(sum_costs(run.cost_usd.unwrap_or(0.0), cost)));
                let (tokens, cost) = (result.tokens.as_ref().map_or(0, |t| t.total_tokens), result.cost_usd);
                self.tokens_used = self.tokens_used.saturating_add(tokens);
                self.cost_usd = sum_costs(self.cost_usd, cost.unwrap_or(0.0));
            }
            EventData::AgentFailed(failed) => {
                run.iteration(failed.iteration).agent_error = Some(failed.error.clone());
            }
            EventData::VerificationComplete(complete) => {
                run.iteration(complete.iteration).verification = Some(complete.report.clone());
            }
            EventData::StrategyDecided(decided) => {
                run.iteration(decided.iteration).decision = Some(decided.decision.clone());
            }
            EventData::IterationComplete(complete) => {
                let iteration = run.iteration(complete.iteration);
                iteration.decision = Some(complete.decision.clone());
                iteration.duration_ms = Some(complete.duration_ms);
            }
            EventData::WorkspaceAcquired(acquired) => {
                run.workspace_path = Some(acquired.path.clone());
                run.branch = Some(acquired.branch.clone());
                run.base_commit = Some(acquired.base_commit.clone());
            }
            EventData::WorkspaceReleased(_) => run.workspace_path = None,
            EventData::SnapshotCreated(created) => run.snapshot = Some((created.snapshot_id, created.commit.clone())),
            EventData::PrCreated(created) => run.pr_url = Some(created.pr_url.clone()),
            EventData::BranchMerged(merged) => run.merged = Some((merged.into.clone(), merged.merge_commit.clone())),
            EventData::RunComplete(complete) => {
                run.end(complete.result, complete.error.clone(), at);
                run.pr_url = complete.pr_url.clone().or(run.pr_url.take());
            }
            _ => {}
        }
    }

    fn count_failure(&mut self, run_id: RunId, error: &BuildError, at: Timestamp) {
        let Some(run) = self.run_mut(run_id) else { return };
        run.end(RunResult::Failed, Some(error.clone()), at);
        match run.subtask_id {
            Some(id) => {
                if let Some(subtask) = self.subtask_mut(id) {
                    subtask.failed_attempts += 1;
                }
            }
            None => self.failed_attempts += 1,
        }
    }

    fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.runs.iter_mut().rev().find(|run| run.id == id).map(Arc::make_mut)
    }

    fn subtask_mut(&mut self, id: SubtaskId) -> Option<&mut Subtask> {
        self.subtasks.iter_mut().find(|subtask| subtask.id == id)
    }
}

fn new_subtask(id: SubtaskId, title: &str, description: &str, depends_on: &[SubtaskId]) -> Subtask {
    Subtask {
        id,
        title: title.to_owned(),
        description: description.to_owned(),
        depends_on: depends_on.to_vec(),
        status: if depends_on.is_empty() { SubtaskStatus::Ready } else { SubtaskStatus::Blocked },
        run_id: None,
        commit: None,
        failed_attempts: 0,
    }
}

fn replace<T: Clone>(field: &mut T, new: Option<&T>) {
    if let Some(new) = new {
        field.clone_from(new);
    }
}

/// Dollars; a sum stays a number, as one that is none could not be kept.
pub(super) fn sum_costs(sum: f64, more: f64) -> f64 {
    (sum + more).clamp(f64::MIN, f64::MAX)
}

fn sum_tokens(sum: Option<TokenUsage>, more: Option<&TokenUsage>) -> Option<TokenUsage> {
    match (sum, more) {
        (Some(sum), Some(more)) => Some(TokenUsage {
            input_tokens: sum.input_tokens.saturating_add(more.input_tokens),
            output_tokens: sum.output_tokens.saturating_add(more.output_tokens),
            total_tokens: sum.total_tokens.saturating_add(more.total_tokens),
        }),
        (sum, more) => sum.or_else(|| more.cloned()),
    }
}

/// The run that an event inside a run is about.
pub(crate) fn run_of(data: &EventData) -> Option<RunId> {
    Some(match data {
        EventData::RunStarted(e) => e.run_id,
        EventData::RunComplete(e) => e.run_id,
        EventData::IterationStarted(e) => e.run_id,
        EventData::IterationComplete(e) => e.run_id,
        EventData::AgentComplete(e) => e.run_id,
        EventData::AgentFailed(e) => e.run_id,
        EventData::VerificationComplete(e) => e.run_id,
        EventData::StrategyDecided(e) => e.run_id,
        EventData::WorkspaceAcquired(e) => e.run_id,
        EventData::WorkspaceReleased(e) => e.run_id,
        EventData::SnapshotCreated(e) => e.run_id,
        EventData::PrCreated(e) => e.run_id,
        EventData::BranchMerged(e) => e.run_id,
        _ => return None,
    })
}
