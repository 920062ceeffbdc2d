//! The coder's flow: agent, commit, verification, decision, until the work is right; then its branch is merged into the
//! task's.

use muster_client::domain::command::Report;
use muster_client::domain::model::{BuildError, BuildErrorKind, StrategyAction, StrategyDecision};

use super::flow::{Flow, Iteration};
use super::strategy::{self, Seen};
use super::{Fault, Finish};
use crate::context::TaskContext;
use crate::git::{Merge, Worktree};
use crate::record::SessionRecord;

/// Bytes of a diff that is given back to an agent whose work must be done again.
const DIFF_MAX_BYTES: usize = 12 * 1024;

/// What one iteration came to.
enum Step {
    /// The work may be merged.
    Accepted,
    /// Once more, knowing this.
    Again(Option<String>),
    /// Not by this run.
    Over(BuildError),
}

impl Flow<'_> {
    pub(super) async fn code(&mut self, record: &mut SessionRecord) -> Result<Finish, Fault> {
        let branch = self.work_branch();
        let mut tree = {
            let _guard = self.repository.lock().await?;
            let base = self.prepare_branch(&branch).await?;
            self.open_workspace(&base, &branch, record).await?
        };
        let mut feedback = None;
        for number in 1..=self.max_iterations() {
            let iteration = self.begin(number, feedback.take()).await?;
            match self.attempt(&iteration, &mut tree, &branch).await? {
                Step::Accepted => {
                    self.merge_into_task(&branch, &tree).await?;
                    return Ok(Finish::succeeded(number));
                }
                Step::Again(learned) => {
                    self.learned.extend(learned.clone());
                    feedback = learned;
                }
                Step::Over(error) => return Ok(Finish::failed(number, error)),
            }
        }
        // The last iteration never asks for another.
        Err(Fault::Unfit("the iterations ended without a decision".to_owned()))
    }

    /// One iteration: agent, commit, verification, decision.
    async fn attempt(&mut self, iteration: &Iteration, tree: &mut Worktree, branch: &str) -> Result<Step, Fault> {
        let mut context = TaskContext::of(&self.order, iteration.number);
        context.feedback.extend(self.learned.iter().cloned());
        let ended = self.turn(iteration, &mut context, |_| Ok(())).await?;
        let agent_error = ended.err();
        let mut verification = None;
        let mut conflict = None;
        if agent_error.is_none() {
            self.commit(iteration, tree, branch).await?;
            conflict = self.bring_up_to_date(tree, branch).await?;
            if conflict.is_none() {
                verification = self.verify(iteration, tree.head()).await?;
            }
        }
        let seen = Seen {
            agent_error: agent_error.as_ref(),
            verification: verification.as_ref(),
            iteration: iteration.number,
            max_iterations: self.max_iterations(),
        };
        let decision = match &conflict {
            Some((error, feedback)) => seen.again(&error.message, feedback.clone()),
            None => strategy::decide(&seen),
        };
        self.decided(iteration, &seen, &decision).await?;
        Ok(step(&seen, decision, conflict.map(|(error, _)| error)))
    }

    /// The branch the work is done on.
    fn work_branch(&self) -> String {
        self.order.subtask.as_ref().map_or_else(|| self.order.task_branch.clone(), |subtask| subtask.branch.clone())
    }

    /// Makes the task's and the work's branch where they are absent. Work of an earlier run is kept if it fits what the
    /// task has become; otherwise the branch starts again, and the old commits stay under `refs/muster/`.
    async fn prepare_branch(&self, branch: &str) -> Result<String, Fault> {
        let repository = &self.repository;
        let start = repository.tip_of(&self.order.default_branch).await?;
        let task_tip = repository.ensure_branch(&self.order.task_branch, &start).await?;
        if branch == self.order.task_branch {
            return Ok(task_tip);
        }
        let Some(tip) = repository.tip(branch).await? else {
            repository.advance(branch, &task_tip, None).await?;
            return Ok(task_tip);
        };
        let base = match repository
            .merge(&tip, &task_tip, &format!("Merge {} into {branch}", self.order.task_branch))
            .await?
        {
            Merge::Clean(commit) => commit,
            Merge::Conflict(_) => {
                repository.keep(&self.order.run_id.to_string(), &tip).await?;
                task_tip
            }
        };
        if base != tip {
            repository.advance(branch, &base, Some(&tip)).await?;
        }
        Ok(base)
    }

    /// Commits what the agent changed, and moves the work's branch there.
    async fn commit(&self, iteration: &Iteration, tree: &mut Worktree, branch: &str) -> Result<(), Fault> {
        let before = tree.head().to_owned();
        let title = self.order.subtask.as_ref().map_or(&self.order.title, |subtask| &subtask.title);
        let message = format!(
            "{title}\n\nTask: {}\nRun: {}\nIteration: {}",
            self.order.task_id, self.order.run_id, iteration.number
        );
        if tree.commit_all(&message).await?.is_none() {
            return self.progress("the agent changed nothing".to_owned()).await;
        }
        self.move_branch(branch, tree.head(), &before).await?;
        self.snapshot(iteration, tree, &before).await
    }

    /// Moves the work's branch, if the lease is still ours.
    async fn move_branch(&self, branch: &str, commit: &str, expected: &str) -> Result<(), Fault> {
        let _guard = self.repository.lock().await?;
        self.reporter.renew().await?;
        Ok(self.repository.advance(branch, commit, Some(expected)).await?)
    }

    /// Brings in what others merged into the task's branch meanwhile, so that what is verified is what will be. Where
    /// both changed the same lines, the workspace starts again from theirs, and the work's diff becomes feedback.
    async fn bring_up_to_date(&self, tree: &mut Worktree, branch: &str) -> Result<Option<(BuildError, String)>, Fault> {
        let (repository, task_branch) = (&self.repository, &self.order.task_branch);
        let theirs = repository.tip_of(task_branch).await?;
        let ours = tree.head().to_owned();
        match repository.merge(&ours, &theirs, &format!("Merge {task_branch} into {branch}")).await? {
            Merge::Clean(commit) if commit == ours => Ok(None),
            Merge::Clean(commit) => {
                tree.reset(&commit).await?;
                self.move_branch(branch, &commit, &ours).await?;
                Ok(None)
            }
            Merge::Conflict(files) => {
                let start = repository.merge_base(&ours, &theirs).await?;
                let diff = tree.diff(&start, DIFF_MAX_BYTES).await?;
                repository.keep(&self.order.run_id.to_string(), &ours).await?;
                tree.reset(&theirs).await?;
                self.move_branch(branch, &theirs, &ours).await?;
                let message = format!("others changed the same lines of {}", files.join(", "));
                let feedback = format!(
                    "While you worked, {message}. This folder now holds their work without yours. Do yours again on \
                     top of it; this is what you had changed:\n\n````diff\n{diff}\n````"
                );
                let kind = BuildErrorKind::MergeConflict;
                Ok(Some((BuildError { kind, message, exit_code: None, log_excerpt: None }, feedback)))
            }
        }
    }

    /// Merges the work's branch into the task's.
    async fn merge_into_task(&self, branch: &str, tree: &Worktree) -> Result<(), Fault> {
        let into = &self.order.task_branch;
        let merge_commit = {
            let _guard = self.repository.lock().await?;
            self.reporter.renew().await?;
            self.repository.merge_into(into, tree.head(), branch, &format!("Merge {branch} into {into}")).await?
        };
        self.tell(vec![Report::BranchMerged { branch: branch.to_owned(), into: into.clone(), merge_commit }]).await
    }
}

fn step(seen: &Seen<'_>, decision: StrategyDecision, conflict: Option<BuildError>) -> Step {
    match decision.action {
        StrategyAction::Accept => Step::Accepted,
        StrategyAction::Continue => Step::Again(decision.feedback),
        StrategyAction::GiveUp | StrategyAction::Escalate => {
            Step::Over(conflict.unwrap_or_else(|| strategy::final_error(seen, &decision)))
        }
    }
}
