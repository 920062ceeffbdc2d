//! The steps that roles are made of: a workspace, an agent's turn, verification, a decision. Each is reported, and what
//! it came to is durable before it is reported.

use std::path::PathBuf;
use std::time::Instant;

use muster_client::domain::command::{Report, WorkOrder};
use muster_client::domain::id::SnapshotId;
use muster_client::domain::model::{AgentConfig, BuildError, StrategyAction, StrategyDecision, VerificationReport};
use uuid::Uuid;

use super::strategy::{self, Seen};
use super::totals::Totals;
use super::{Fault, Finish, Workshop};
use crate::control::{Claimed, Reporter};
use crate::git::{Repository, Worktree};
use crate::layout::{RunFolder, SessionFolders};
use crate::output::RunOutput;
use crate::record::SessionRecord;
use crate::sandbox::View;
use crate::stop::Stop;
use crate::verification::Verifier;
use crate::{environment, files};

/// Files of one iteration that are reported one by one.
const FILES_REPORTED_MAX: usize = 500;
/// Files in one call.
const FILES_IN_CALL_MAX: usize = 100;

/// One run's flow.
pub(super) struct Flow<'a> {
    pub shop: &'a Workshop,
    pub claimed: &'a Claimed,
    /// The order as it was last seen.
    pub order: WorkOrder,
    pub session: &'a SessionFolders,
    pub folder: RunFolder,
    pub reporter: &'a Reporter,
    pub output: &'a RunOutput,
    pub stop: &'a Stop,
    pub repository: Repository,
    pub totals: &'a mut Totals,
    /// What the iterations so far taught.
    pub learned: Vec<String>,
}

/// An iteration under way.
pub(super) struct Iteration {
    pub number: u32,
    started: Instant,
}

impl Flow<'_> {
    /// Iterations this run may take.
    pub(super) fn max_iterations(&self) -> u32 {
        self.order.max_iterations.max(1)
    }

    /// Sends reports, unless the run must stop.
    pub(super) async fn tell(&self, reports: Vec<Report>) -> Result<(), Fault> {
        if self.stop.is_asked() {
            return Err(Fault::Stopped);
        }
        Ok(self.reporter.insist(reports, self.stop).await?)
    }

    /// Says so in the run's output and on the board.
    pub(super) async fn progress(&self, message: String) -> Result<(), Fault> {
        self.output.text(crate::output::OutputStream::System, &message).await;
        self.tell(vec![Report::Progress { message, percent: None }]).await
    }

    /// Makes the workspace and starts the run. The repository is locked by the caller.
    pub(super) async fn open_workspace(
        &self,
        commit: &str,
        branch: &str,
        record: &mut SessionRecord,
    ) -> Result<Worktree, Fault> {
        let worktree = self.repository.add_worktree(&self.session.workspace(), commit).await?;
        record.note(&worktree, self.session)?;
        let path = worktree.path().to_string_lossy().into_owned();
        let (branch, base_commit) = (branch.to_owned(), commit.to_owned());
        self.tell(vec![
            Report::WorkspaceAcquired { path, branch, base_commit },
            Report::Started { iteration: 1, harness_config: without_secrets(&self.order.agent) },
        ])
        .await?;
        Ok(worktree)
    }

    /// Reads the order again, for what people added to it.
    pub(super) async fn read_again(&mut self) {
        match self.claimed.again(self.shop.control.as_ref()).await {
            Ok(Some(order)) => (self.order.prompts, self.order.answers) = (order.prompts, order.answers),
            // What was known before is enough to go on; a lost lease shows in the next report.
            Ok(None) => {}
            Err(error) => tracing::info!(%error, "the order could not be read again"),
        }
    }

    /// Begins an iteration, with what people added since the one before.
    pub(super) async fn begin(&mut self, number: u32, feedback: Option<String>) -> Result<Iteration, Fault> {
        if number > 1 {
            self.read_again().await;
        }
        self.tell(vec![Report::IterationStarted { iteration: number, feedback }]).await?;
        Ok(Iteration { number, started: Instant::now() })
    }

    /// Reports a commit and the files that changed since `before`.
    pub(super) async fn snapshot(&self, iteration: &Iteration, tree: &Worktree, before: &str) -> Result<(), Fault> {
        let mut changes = tree.changes(before, tree.head()).await?;
        let left_off = changes.len().saturating_sub(FILES_REPORTED_MAX);
        changes.truncate(FILES_REPORTED_MAX);
        let snapshot_id = SnapshotId(Uuid::now_v7());
        let commit = tree.head().to_owned();
        self.tell(vec![Report::SnapshotCreated { snapshot_id, commit, iteration: iteration.number }]).await?;
        let mut reports: Vec<_> = changes
            .into_iter()
            .map(|change| Report::FileModified {
                path: change.path,
                change: change.change,
                lines_added: change.lines_added,
                lines_removed: change.lines_removed,
            })
            .collect();
        if left_off > 0 {
            reports.push(Report::Progress { message: format!("{left_off} more files changed"), percent: None });
        }
        // In calls that stay well under the service's limit for a body, however long the paths.
        for part in reports.chunks(FILES_IN_CALL_MAX) {
            self.tell(part.to_vec()).await?;
        }
        Ok(())
    }

    /// Verifies the workspace at `commit`; `None` when nothing is configured.
    pub(super) async fn verify(
        &self,
        iteration: &Iteration,
        commit: &str,
    ) -> Result<Option<VerificationReport>, Fault> {
        let commands = &self.order.verification;
        if commands.is_empty() {
            return Ok(None);
        }
        let checks = commands.iter().map(|command| command.name.clone()).collect();
        self.tell(vec![Report::VerificationStarted { iteration: iteration.number, checks }]).await?;
        let verifier = Verifier {
            view: self.view(),
            env: environment::for_checks(self.session),
            sandbox: &self.shop.sandbox,
            output: self.output,
            timeout: self.shop.settings.verification_timeout,
            stop: self.stop,
        };
        let report = verifier.verify(commands, commit).await;
        if self.stop.is_asked() {
            return Err(Fault::Stopped);
        }
        let path = self.folder.verification(iteration.number);
        files::write_durably(&path, &report)?;
        let report_file = path.to_string_lossy().into_owned();
        let told = Report::VerificationComplete { iteration: iteration.number, report: report.clone(), report_file };
        self.tell(vec![told]).await?;
        Ok(Some(report))
    }

    /// Reports the decision that ends an iteration.
    pub(super) async fn decided(
        &self,
        iteration: &Iteration,
        seen: &Seen<'_>,
        decision: &StrategyDecision,
    ) -> Result<(), Fault> {
        let (number, decision) = (iteration.number, decision.clone());
        self.tell(vec![
            Report::StrategyDecision { iteration: number, decision: decision.clone() },
            Report::IterationComplete {
                iteration: number,
                agent_success: seen.agent_error.is_none(),
                verification_passed: seen.verification.map(|report| report.passed),
                decision,
                duration_ms: u64::try_from(iteration.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
        ])
        .await
    }

    /// Leaves the rest to a person: the card is blocked with this error.
    pub(super) async fn escalate(&self, iteration: u32, error: BuildError) -> Result<Finish, Fault> {
        let decision = strategy::decision(StrategyAction::Escalate, &error.message, None);
        self.tell(vec![Report::StrategyDecision { iteration, decision }]).await?;
        Ok(Finish::failed(iteration, error))
    }

    /// What the session's processes see.
    pub(super) fn view(&self) -> View {
        let mut readable = vec![self.repository.common_dir().to_owned()];
        let rehearsal = self.shop.settings.rehearsal_command.iter().flatten().next().map(PathBuf::from);
        readable.extend(rehearsal.filter(|path| path.is_absolute()));
        readable.extend(std::env::current_exe());
        View {
            session: self.session.clone(),
            workspace: self.session.workspace(),
            readable,
            hidden: self.shop.hidden.clone(),
        }
    }
}

/// The configuration without the values that were granted to the agent.
fn without_secrets(config: &AgentConfig) -> AgentConfig {
    let mut config = config.clone();
    config.env.values_mut().for_each(|value| "[redacted]".clone_into(value));
    config
}
