//! What can be asked of the write side, free of HTTP: commands, claims, heartbeats, output.
//!
//! It must never decide: it finds the partition, checks that the caller may know of the project, and passes on.

mod claim;
mod key_locks;
mod output;
mod resolve;

use std::sync::Arc;

use muster_domain::command::{Command, RenewLease};
use muster_domain::decide::{Actor, Outcome, Request};
use muster_domain::id::{CommandId, ProjectId, RunId, TaskId};
use muster_domain::model::Source;
use muster_event_log::EventLog;
use muster_schemas::api::{CommandRequest, HeartbeatRequest, HeartbeatResponse};
use muster_service_kit::{Caller, Problem, Readiness, Shutdown, codes};
use tokio::sync::watch;

use crate::ownership::Ownership;
use crate::partition::{self, Accepted, CommandKey, Handle, Refusal};
use crate::problem::{not_a_member, of_refusal, recovering};
use crate::repository::{GitProbe, RepositoryProbe};
use crate::settings::Settings;
use key_locks::KeyLocks;
use output::OutputLines;

/// What the service is started with.
pub struct Options {
    /// Limits, sizes and times.
    pub settings: Settings,
    /// Which partitions it writes.
    pub ownership: Ownership,
    /// Who looks at repositories.
    pub probe: Arc<dyn RepositoryProbe>,
}

impl Default for Options {
    fn default() -> Self {
        Self { settings: Settings::default(), ownership: Ownership::All, probe: Arc::new(GitProbe) }
    }
}

/// Who asks, and through which surface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The user whose rights count.
    pub actor: Actor,
    /// The surface.
    pub source: Source,
}

impl Who {
    /// The caller of a request. A source that is none is `invalid_argument`; without one it is `web`.
    pub fn of(caller: &Caller) -> Result<Self, Problem> {
        let source = match &caller.source {
            None => Source::Web,
            Some(text) => text.parse().map_err(|error| {
                Problem::new(codes::INVALID_ARGUMENT)
                    .detail(format!("Muster-Source: {error}."))
                    .with("header", muster_service_kit::auth::SOURCE_HEADER)
            })?,
        };
        Ok(Self { actor: Actor { user: caller.user().to_owned(), admin: caller.principal.admin }, source })
    }
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The answer, the same each time.
    pub outcome: Outcome,
    /// Whether an earlier request with this id had done it.
    pub repeated: bool,
}

/// The write side. Clones are the same one.
#[derive(Clone)]
pub struct CommandService(Arc<Inner>);

struct Inner {
    log: Arc<dyn EventLog>,
    partitions: Vec<Handle>,
    settings: Arc<Settings>,
    probe: Arc<dyn RepositoryProbe>,
    /// Changes when work may have become ready anywhere.
    wake: watch::Receiver<u64>,
    shutdown: Shutdown,
    claims: KeyLocks<CommandKey>,
    output: OutputLines,
}

impl CommandService {
    /// Starts a writer for each partition. Returns at once; [`CommandService::is_recovered`] tells when histories are
    /// read. The writers end with `shutdown`, after what is under way.
    pub fn start(log: Arc<dyn EventLog>, options: Options, shutdown: &Shutdown) -> Self {
        let Options { settings, ownership, probe } = options;
        let settings = Arc::new(settings);
        let (wake, waiting) = watch::channel(0);
        let wake = Arc::new(wake);
        let partitions = (0..log.partition_count())
            .map(|number| partition::spawn(&log, number, &settings, ownership, &wake, shutdown))
            .collect();
        Self(Arc::new(Inner {
            log,
            partitions,
            settings,
            probe,
            wake: waiting,
            shutdown: shutdown.clone(),
            claims: KeyLocks::default(),
            output: OutputLines::default(),
        }))
    }

    /// Whether every partition takes commands.
    pub fn is_recovered(&self) -> bool {
        self.0.partitions.iter().all(Handle::is_recovered)
    }

    /// Adds the check `command-service`: every partition has read its history.
    pub fn register_readiness(&self, readiness: &Readiness) {
        let service = self.clone();
        readiness.register("command-service", move || {
            let missing = service.0.partitions.iter().filter(|handle| !handle.is_recovered()).count();
            async move {
                if missing == 0 { Ok(()) } else { Err(format!("{missing} partitions are reading their history")) }
            }
        });
    }

    /// Limits, sizes and times in force.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Carries out a command, once for each `key` of a caller.
    pub async fn execute(&self, who: &Who, key: CommandId, request: CommandRequest) -> Result<Submitted, Problem> {
        let project_id = self.resolve(who, key, &request).await?;
        let accepted = self.submit(who, key, project_id, request).await?;
        Ok(Submitted { outcome: accepted.outcome, repeated: accepted.repeated })
    }

    /// Keeps a lease alive.
    pub async fn heartbeat(
        &self,
        who: &Who,
        key: CommandId,
        run_id: RunId,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatResponse, Problem> {
        let HeartbeatRequest { task_id, fencing_token, lease_duration_ms } = request;
        let lease_duration_ms = lease_duration_ms.unwrap_or(self.0.settings.lease_default_ms);
        let command = RenewLease { task_id, run_id, fencing_token, lease_duration_ms };
        let submitted = self.execute(who, key, CommandRequest::of(command)).await?;
        let position = submitted.outcome.position;
        let project_id = submitted.outcome.project_id;
        let expires = self.lease_end(project_id, task_id, run_id);
        let lease_expires_at = expires.unwrap_or_else(|| chrono::Utc::now().into());
        Ok(HeartbeatResponse { lease_expires_at, position })
    }

    fn lease_end(
        &self,
        project_id: ProjectId,
        task_id: TaskId,
        run_id: RunId,
    ) -> Option<muster_domain::time::Timestamp> {
        let ledger = self.partition_of(project_id).committed();
        let run = ledger.project(project_id)?.tasks.get(&task_id)?.run(run_id)?;
        run.lease.as_ref().map(|lease| lease.expires_at)
    }

    /// Sends a command to its partition, and counts what it came to.
    async fn submit(
        &self,
        who: &Who,
        key: CommandId,
        project_id: ProjectId,
        request: CommandRequest,
    ) -> Result<Accepted, Problem> {
        let name = command_name(&request.command);
        let answer = self.pass_on(who, key, project_id, request).await;
        let outcome = match &answer {
            Ok(accepted) if accepted.repeated => "repeated",
            Ok(accepted) if accepted.outcome.event_ids.is_empty() => "unchanged",
            Ok(_) => "accepted",
            Err(problem) => problem.code().code,
        };
        metrics::counter!("muster_commands_total", "command" => name, "outcome" => outcome).increment(1);
        answer
    }

    /// Passes a command on, after looking whether the caller may know of the project.
    async fn pass_on(
        &self,
        who: &Who,
        key: CommandId,
        project_id: ProjectId,
        request: CommandRequest,
    ) -> Result<Accepted, Problem> {
        let CommandRequest { command, expected_sequence, correlation_id, causation_id, .. } = request;
        self.recovered(project_id).await?;
        self.check_member(who, project_id, &command).await?;
        self.check_key(who, key, project_id)?;
        self.check_repository(who, key, project_id, &command).await?;
        let digest = crate::digest::digest(project_id, &command, &who.actor.user);
        let request = Request {
            command_id: key,
            digest,
            project_id,
            expected_sequence,
            correlation_id: correlation_id.unwrap_or(key.0),
            causation_id,
            command,
        };
        let handle = self.partition_of(project_id);
        handle.submit(request, who.actor.clone(), who.source).await.map_err(of_refusal)
    }

    fn partition_of(&self, project_id: ProjectId) -> &Handle {
        &self.0.partitions[self.0.log.partition_for(project_id) as usize]
    }

    async fn recovered(&self, project_id: ProjectId) -> Result<(), Problem> {
        let patience = self.0.settings.recovery_patience;
        if self.partition_of(project_id).wait_recovered(patience).await { Ok(()) } else { Err(recovering()) }
    }

    async fn all_recovered(&self) -> Result<(), Problem> {
        let deadline = tokio::time::Instant::now() + self.0.settings.recovery_patience;
        for handle in &self.0.partitions {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if !handle.wait_recovered(left).await {
                return Err(recovering());
            }
        }
        Ok(())
    }

    async fn check_member(&self, who: &Who, project_id: ProjectId, command: &Command) -> Result<(), Problem> {
        let creates = matches!(command, Command::CreateProject(_));
        if who.actor.admin || creates || self.is_member(who, project_id) {
            return Ok(());
        }
        // Another process may have made them one.
        self.partition_of(project_id).look().await;
        if self.is_member(who, project_id) { Ok(()) } else { Err(not_a_member()) }
    }

    /// Refuses a key that belongs to a command of a project in another partition. In its own the writer knows.
    fn check_key(&self, who: &Who, key: CommandId, project_id: ProjectId) -> Result<(), Problem> {
        let own = self.0.log.partition_for(project_id) as usize;
        let key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        let elsewhere = self.0.partitions.iter().enumerate().filter(|(number, _)| *number != own);
        let mut reused = elsewhere.filter(|(_, handle)| handle.committed().remembers(&key));
        match reused.next() {
            Some(_) => Err(of_refusal(Refusal::KeyReused(key.command_id))),
            None => Ok(()),
        }
    }

    fn is_member(&self, who: &Who, project_id: ProjectId) -> bool {
        self.partition_of(project_id).committed().role_of(project_id, &who.actor.user).is_some()
    }

    /// Looks at what a project names, unless the command was carried out before.
    async fn check_repository(
        &self,
        who: &Who,
        key: CommandId,
        project_id: ProjectId,
        command: &Command,
    ) -> Result<(), Problem> {
        let key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        if self.partition_of(project_id).committed().remembers(&key) {
            return Ok(());
        }
        let probe = &self.0.probe;
        match command {
            // Paths that are not absolute are the domain's to refuse.
            Command::CreateProject(create) if create.repository_path.starts_with('/') => {
                probe.check_repository(&create.repository_path, &create.default_branch).await?;
                probe.check_verification(Some(&create.repository_path), &create.settings.verification).await
            }
            Command::ChangeSettings(change) => {
                let repository = {
                    let ledger = self.partition_of(project_id).committed();
                    ledger.project(project_id).and_then(|state| Some(state.project.as_ref()?.repository_path.clone()))
                };
                probe.check_verification(repository.as_deref(), &change.settings.verification).await
            }
            _ => Ok(()),
        }
    }
}

/// The command's name, for labels.
fn command_name(command: &Command) -> &'static str {
    match command {
        Command::CreateProject(_) => "create_project",
        Command::ChangeSettings(_) => "change_settings",
        Command::AddMember(_) => "add_member",
        Command::RemoveMember(_) => "remove_member",
        Command::CreateTask(_) => "create_task",
        Command::UpdateTask(_) => "update_task",
        Command::DispatchTask(_) => "dispatch_task",
        Command::MoveTask(_) => "move_task",
        Command::ApprovePlan(_) => "approve_plan",
        Command::RejectPlan(_) => "reject_plan",
        Command::AnswerQuestion(_) => "answer_question",
        Command::RequestRetry(_) => "request_retry",
        Command::InjectPrompt(_) => "inject_prompt",
        Command::CancelTask(_) => "cancel_task",
        Command::AddArtifact(_) => "add_artifact",
        Command::ClaimWork(_) => "claim_work",
        Command::RenewLease(_) => "renew_lease",
        Command::ExpireLeases(_) => "expire_leases",
        Command::ReportRun(_) => "report_run",
    }
}
