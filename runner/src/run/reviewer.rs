//! The reviewer's flow: the task's branch merged with the default branch is verified and judged, and exactly what was
//! verified lands.

use muster_client::domain::command::Report;
use muster_client::domain::model::{BuildError, BuildErrorKind, StrategyAction, VerificationReport};

use super::flow::{Flow, Iteration};
use super::strategy::{self, Seen};
use super::{Fault, Finish};
use crate::agent::{self, Review, Verdict};
use crate::context::TaskContext;
use crate::git::{self, Merge, Worktree};
use crate::record::SessionRecord;

/// Bytes of the diff a reviewer is shown.
const DIFF_MAX_BYTES: usize = 128 * 1024;
/// Times the merge is made again because the default branch moved meanwhile.
const LANDINGS_MAX: u32 = 5;

/// A merge that may land: its commit, and where the default branch must be for that.
struct Candidate {
    commit: String,
    onto: String,
}

impl Flow<'_> {
    pub(super) async fn review(&mut self, record: &mut SessionRecord) -> Result<Finish, Fault> {
        let (mut candidate, mut tree) = {
            let _guard = self.repository.lock().await?;
            let (candidate, conflict) = self.candidate().await?;
            let tree = self.open_workspace(&candidate.commit, &self.order.task_branch, record).await?;
            if let Some(error) = conflict {
                self.begin(1, None).await?;
                return self.escalate(1, error).await;
            }
            (candidate, tree)
        };
        let mut verification = None;
        let mut feedback: Option<String> = None;
        for number in 1..=self.max_iterations() {
            let iteration = self.begin(number, feedback.clone()).await?;
            if number == 1 {
                verification = self.verify(&iteration, &candidate.commit).await?;
            }
            let ended = self.judge(&iteration, &tree, &candidate, verification.as_ref()).await?;
            let seen = Seen {
                agent_error: ended.as_ref().err(),
                verification: verification.as_ref(),
                iteration: number,
                max_iterations: self.max_iterations(),
            };
            match &ended {
                Ok(review) => {
                    if let Some(changes) = changes_wanted(review, verification.as_ref()) {
                        return self.request_changes(&iteration, &seen, changes).await;
                    }
                    return match self.accept(&iteration, &seen).await? {
                        Some(finish) => Ok(finish),
                        None => self.land(&iteration, &mut candidate, &mut tree).await,
                    };
                }
                Err(error) => {
                    let only_agent = Seen { verification: None, ..seen };
                    let decision = strategy::decide(&only_agent);
                    self.decided(&iteration, &seen, &decision).await?;
                    if decision.action != StrategyAction::Continue {
                        return Ok(Finish::failed(number, error.clone()));
                    }
                    self.learned.extend(decision.feedback.clone());
                    feedback = decision.feedback;
                }
            }
        }
        // The last iteration never asks for another.
        Err(Fault::Unfit("the iterations ended without a decision".to_owned()))
    }

    /// The merge to judge. Where there is none, the default branch stands in, with the error that says why.
    async fn candidate(&self) -> Result<(Candidate, Option<BuildError>), Fault> {
        let (default, task) = (&self.order.default_branch, &self.order.task_branch);
        let onto = self.repository.tip_of(default).await?;
        let work = self.repository.tip_of(task).await?;
        let message = format!("Merge {task}: {}\n\nTask: {}", self.order.title, self.order.task_id);
        match self.repository.merge(&onto, &work, &message).await? {
            Merge::Clean(commit) => Ok((Candidate { commit, onto }, None)),
            Merge::Conflict(files) => {
                let error = git::Error::Conflict { ours: default.clone(), theirs: task.clone(), files };
                Ok((Candidate { commit: onto.clone(), onto }, Some(error.to_build_error())))
            }
        }
    }

    async fn judge(
        &mut self,
        iteration: &Iteration,
        tree: &Worktree,
        candidate: &Candidate,
        verification: Option<&VerificationReport>,
    ) -> Result<Result<Review, BuildError>, Fault> {
        let mut context = TaskContext::of(&self.order, iteration.number);
        context.feedback.extend(self.learned.iter().cloned());
        context.verification = verification.cloned();
        context.diff = Some(tree.diff(&candidate.onto, DIFF_MAX_BYTES).await?);
        let folder = self.session.artifacts();
        self.turn(iteration, &mut context, |_| {
            let review = agent::read_review(&folder)?;
            Ok(review.unwrap_or(Review { verdict: Verdict::Accept, feedback: None }))
        })
        .await
    }

    async fn request_changes(&self, iteration: &Iteration, seen: &Seen<'_>, feedback: String) -> Result<Finish, Fault> {
        let reason = "the review asks for changes";
        let decision = strategy::decision(StrategyAction::Continue, reason, Some(feedback.clone()));
        self.decided(iteration, seen, &decision).await?;
        self.tell(vec![Report::ChangesRequested { feedback }]).await?;
        Ok(Finish::succeeded(iteration.number))
    }

    /// Reports acceptance. A finish when the control plane wants evidence that is not there.
    async fn accept(&self, iteration: &Iteration, seen: &Seen<'_>) -> Result<Option<Finish>, Fault> {
        let decision = strategy::decision(StrategyAction::Accept, "the review accepts the work", None);
        match self.decided(iteration, seen, &decision).await {
            Ok(()) => Ok(None),
            Err(Fault::Control(error)) if error.is("evidence_missing") => {
                let message = format!("the review accepts, but it is not shown that all criteria are met: {error}");
                let kind = BuildErrorKind::VerificationFailed;
                let error = BuildError { kind, message, exit_code: None, log_excerpt: None };
                let decision = strategy::decision(StrategyAction::Escalate, &error.message, None);
                self.decided(iteration, seen, &decision).await?;
                Ok(Some(Finish::failed(iteration.number, error)))
            }
            Err(other) => Err(other),
        }
    }

    /// Moves the default branch to what was verified. Where it moved meanwhile, the merge is made and verified again.
    async fn land(
        &self,
        iteration: &Iteration,
        candidate: &mut Candidate,
        tree: &mut Worktree,
    ) -> Result<Finish, Fault> {
        let (default, task) = (&self.order.default_branch, &self.order.task_branch);
        for _ in 0..LANDINGS_MAX {
            let landed = {
                let _guard = self.repository.lock().await?;
                self.reporter.renew().await?;
                self.repository.land(default, &candidate.commit, &candidate.onto).await
            };
            match landed {
                Ok(()) => {
                    let (branch, into, merge_commit) = (task.clone(), default.clone(), candidate.commit.clone());
                    self.tell(vec![Report::BranchMerged { branch, into, merge_commit }]).await?;
                    return Ok(Finish::succeeded(iteration.number));
                }
                Err(git::Error::Moved { .. }) => {}
                Err(error @ git::Error::CheckedOut { .. }) => {
                    return self.escalate(iteration.number, error.to_build_error()).await;
                }
                Err(error) => return Err(error.into()),
            }
            self.progress(format!("{default} moved: merging and verifying again")).await?;
            let (next, conflict) = self.candidate().await?;
            if let Some(error) = conflict {
                return self.escalate(iteration.number, error).await;
            }
            *candidate = next;
            tree.reset(&candidate.commit).await?;
            let again = self.verify(iteration, &candidate.commit).await?;
            if let Some(report) = again.filter(|report| !report.passed) {
                let feedback = strategy::feedback_of(&report);
                self.tell(vec![Report::ChangesRequested { feedback }]).await?;
                return Ok(Finish::succeeded(iteration.number));
            }
        }
        let (branch, expected) = (default.clone(), candidate.onto.clone());
        Err(git::Error::Moved { branch, expected }.into())
    }
}

/// What must change before it may land, by the reviewer's word or by the checks'.
fn changes_wanted(review: &Review, verification: Option<&VerificationReport>) -> Option<String> {
    let failed = verification.filter(|report| !report.passed).map(strategy::feedback_of);
    match (review.verdict, failed) {
        (Verdict::Accept, failed) => failed,
        (Verdict::Changes, failed) => {
            let said = review.feedback.clone().unwrap_or_default();
            Some(failed.map_or_else(|| said.clone(), |failed| format!("{said}\n\n{failed}")))
        }
    }
}
