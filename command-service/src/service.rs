//! What can be asked of the write side, free of HTTP: commands, claims, heartbeats, output.
//!
//! It must never decide: it finds the partition, checks that the caller may know of the project, and passes on.

mod asked_keys;
mod batch;
mod claim;
mod elsewhere;
mod error;
mod key_locks;
mod offers;
mod others;
mod output;
mod peers;
mod resolve;
mod status;
mod work_elsewhere;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use muster_domain::command::{Command, RenewLease};
use muster_domain::decide::{Actor, Outcome, Request};
use muster_domain::id::{CommandId, ProjectId, RunId};
use muster_domain::model::Source;
use muster_domain::rejection::Rejection;
use muster_event_log::EventLog;
use muster_schemas::api::{CommandRequest, HeartbeatRequest, HeartbeatResponse};
use muster_service_kit::auth::InstanceToken;
use muster_service_kit::{Caller, Drain, Problem, Shutdown, codes};
use tokio::sync::watch;

use crate::ownership::{Joining, Ownership};
use crate::partition::{self, Accepted, Archive, CommandKey, Handle, Refusal, Unready};
use crate::problem::{not_a_member, of_refusal, recovering};
use crate::repository::{GitProbe, RepositoryProbe};
use crate::room::{Room, Taken};
use crate::settings::Settings;
use asked_keys::AskedKeys;
use key_locks::KeyLocks;
use output::OutputLines;
use peers::Peers;
use resolve::KnownTasks;

pub(crate) use elsewhere::{Journey, Next};
pub use error::{Elsewhere, Error};
pub(crate) use offers::Offers;
pub(crate) use peers::{
    FORWARDED_HEADER, NOT_OWNER_HEADER, NOT_OWNER_IN_DOUBT, NOT_OWNER_STRANGER, OWNER_HEADER, Original,
};
pub(crate) use resolve::{TaskAnswer, TaskInQuestion};

/// What the service is started with.
pub struct Options {
    /// Limits, sizes and times.
    pub settings: Settings,
    /// Where the other instances reach this one: `http://host:port`.
    pub url: String,
    /// Who looks at repositories.
    pub probe: Arc<dyn RepositoryProbe>,
    /// Whether this is the only instance there is. It then takes every partition without asking who else is there, and
    /// waits for no predecessor that was killed; should there be another all the same, the log fences one of them.
    pub alone: bool,
    /// What the instances know each other by. One without it is known by none, and knows none.
    pub instance_token: Option<InstanceToken>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            url: "http://127.0.0.1:4401".to_owned(),
            probe: Arc::new(GitProbe),
            alone: false,
            instance_token: None,
        }
    }
}

/// Who asks, and through which surface.
#[derive(Debug, Clone)]
pub struct Who {
    /// The user whose rights count.
    pub actor: Actor,
    /// The surface.
    pub source: Source,
    /// The request as it came, to be passed on to other instances; none for a caller in this process.
    pub(crate) original: Option<Arc<Original>>,
}

impl Who {
    /// A caller in this process.
    pub fn new(actor: Actor, source: Source) -> Self {
        Self { actor, source, original: None }
    }

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
        Ok(Self::new(Actor { user: caller.user().to_owned(), admin: caller.principal.admin }, source))
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
    archive: Archive,
    partitions: Vec<Handle>,
    settings: Arc<Settings>,
    ownership: Ownership,
    peers: Peers,
    probe: Arc<dyn RepositoryProbe>,
    /// Changes when work may have become ready anywhere.
    wake: watch::Receiver<u64>,
    shutdown: Shutdown,
    claims: KeyLocks<CommandKey>,
    asked_keys: AskedKeys,
    output: OutputLines,
    known_tasks: KnownTasks,
    /// For the bodies of requests.
    room: Room,
}

impl CommandService {
    /// Joins the instances that divide the log's partitions between each other, and serves what becomes its own. Returns
    /// at once; [`CommandService::is_recovered`] tells when histories are read. With `shutdown` everything is given back,
    /// after what is under way.
    pub fn start(log: Arc<dyn EventLog>, options: Options, shutdown: &Shutdown) -> Self {
        let Options { settings, url, probe, alone, instance_token } = options;
        let instance_token = instance_token.unwrap_or_else(InstanceToken::random);
        let settings = Arc::new(settings);
        let ownership = Ownership::new(&url, log.partition_count());
        let archive = Archive::new(Arc::clone(&log), settings.finished_task_reads_max);
        let (wake, waiting) = watch::channel(0);
        let wake = Arc::new(wake);
        let (partitions, orders) = (0..log.partition_count())
            .map(|number| partition::spawn(&log, &archive, number, &settings, &ownership, &wake, shutdown))
            .unzip();
        let joining = Joining { log: Arc::clone(&log), session_timeout_ms: settings.session_timeout_ms, alone };
        shutdown.spawn(ownership.clone().run(joining, orders, shutdown.clone()));
        Self(Arc::new(Inner {
            log,
            archive,
            partitions,
            ownership,
            peers: Peers::new(&url, instance_token, settings.max_forwards, settings.peer_timeout),
            room: Room::new(settings.requests_max_bytes),
            settings,
            probe,
            wake: waiting,
            shutdown: shutdown.clone(),
            claims: KeyLocks::default(),
            asked_keys: AskedKeys::default(),
            output: OutputLines::default(),
            known_tasks: KnownTasks::default(),
        }))
    }

    /// Gives every partition back, and waits until other instances have taken them, where there are others. Requests are
    /// still answered meanwhile, and after it: by passing them on. At most `grace`.
    pub async fn leave(&self, grace: Duration) {
        self.0.ownership.leave(grace).await;
    }

    /// What comes before the stop: leaves, and lets callers go elsewhere meanwhile and for the drain time after it.
    pub async fn hand_over(&self, drain: &Drain, grace: Duration) {
        drain.begin();
        self.leave(grace).await;
        drain.run().await;
    }

    /// Where the other instances reach this one.
    pub fn url(&self) -> &str {
        self.0.ownership.url()
    }

    /// Whether another instance sent a request with these headers.
    pub(crate) fn is_instance(&self, headers: &HeaderMap) -> bool {
        self.0.peers.is_instance(headers)
    }

    /// Room for the body of a request, which takes it as it arrives, and keeps it until it is answered.
    pub(crate) fn room(&self) -> Taken {
        self.0.room.nothing()
    }

    /// Limits, sizes and times in force.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Carries out a command, once for each `key` of a caller.
    pub async fn execute(&self, who: &Who, key: CommandId, request: CommandRequest) -> Result<Submitted, Error> {
        let accepted = self.begin(who, key, request).await?.answer().await?;
        Ok(Submitted { outcome: accepted.outcome, repeated: accepted.repeated })
    }

    /// Keeps a lease alive. A heartbeat that is sent again gets the end its own renewal gave, whatever became of the
    /// lease since.
    pub async fn heartbeat(
        &self,
        who: &Who,
        key: CommandId,
        run_id: RunId,
        request: HeartbeatRequest,
    ) -> Result<HeartbeatResponse, Error> {
        let HeartbeatRequest { task_id, fencing_token, lease_duration_ms } = request;
        let lease_duration_ms = lease_duration_ms.unwrap_or(self.0.settings.lease_default_ms);
        let command = RenewLease { task_id, run_id, fencing_token, lease_duration_ms };
        let Outcome { lease_expires_at, position, .. } =
            self.execute(who, key, CommandRequest::of(command)).await?.outcome;
        // A renewal that is accepted is an event. Without one no time would be true.
        let lease_expires_at = lease_expires_at.ok_or_else(|| Problem::internal("a renewal without its event"))?;
        #[cfg(feature = "mutants")]
        let lease_expires_at = crate::mutants::told_end(lease_expires_at);
        Ok(HeartbeatResponse { lease_expires_at, position })
    }

    /// Finds the partition of a command and sends it there.
    async fn begin<'a>(&'a self, who: &'a Who, key: CommandId, request: CommandRequest) -> Result<HandedIn<'a>, Error> {
        let project_id = self.resolve(who, key, &request).await?;
        self.hand_in(who, key, project_id, request).await
    }

    /// Sends a command to its partition, and counts what it came to.
    async fn submit(
        &self,
        who: &Who,
        key: CommandId,
        project_id: ProjectId,
        request: CommandRequest,
    ) -> Result<Accepted, Error> {
        self.hand_in(who, key, project_id, request).await?.answer().await
    }

    /// Sends a command to its partition, where it stands behind all that were sent before. What it comes to is counted.
    async fn hand_in<'a>(
        &'a self,
        who: &'a Who,
        key: CommandId,
        project_id: ProjectId,
        request: CommandRequest,
    ) -> Result<HandedIn<'a>, Error> {
        let name = command_name(&request.command);
        match self.pass_on(who, key, project_id, request).await {
            Ok(submitted) => Ok(HandedIn { service: self, who, project_id, name, submitted }),
            Err(error) => {
                count(name, &Err(&error));
                Err(error)
            }
        }
    }

    /// Passes a command on, after looking whether the caller may know of the project.
    async fn pass_on(
        &self,
        who: &Who,
        key: CommandId,
        project_id: ProjectId,
        request: CommandRequest,
    ) -> Result<partition::Submitted, Error> {
        let CommandRequest { command, expected_sequence, correlation_id, causation_id, .. } = request;
        let partition = self.0.log.partition_for(project_id);
        let tenure = self.serving(partition).await?;
        let checked = async {
            self.check_member(who, project_id, &command).await?;
            self.check_key(who, key, project_id)?;
            self.check_repository(who, key, project_id, &command).await
        };
        self.within(partition, tenure, checked.await)?;
        let (digest, size_bytes) = crate::digest::with_size(project_id, &command, &who.actor.user);
        let request = Request {
            command_id: key,
            digest,
            project_id,
            expected_sequence,
            correlation_id: correlation_id.unwrap_or(key.0),
            causation_id,
            command,
        };
        let submitted = self.partition_of(project_id).submit(request, size_bytes, who.actor.clone(), who.source);
        submitted.map_err(|refusal| self.told(who, project_id, refusal))
    }

    /// What the caller is told of a refusal.
    fn told(&self, who: &Who, project_id: ProjectId, refusal: Refusal) -> Error {
        match refusal {
            Refusal::Elsewhere { in_doubt } => {
                Elsewhere { partition: self.0.log.partition_for(project_id), in_doubt }.into()
            }
            // A project's creator chooses its id. One that is taken by others answers like every command on theirs.
            Refusal::Rejected(Rejection::ProjectExists) if !who.actor.admin && !self.is_member(who, project_id) => {
                not_a_member().into()
            }
            refusal => of_refusal(refusal).into(),
        }
    }

    fn partition_of(&self, project_id: ProjectId) -> &Handle {
        &self.0.partitions[self.0.log.partition_for(project_id) as usize]
    }

    /// Waits while the history of a partition of this instance is read. The tenure, for [`CommandService::within`].
    async fn serving(&self, partition: u32) -> Result<u64, Error> {
        let patience = self.0.settings.recovery_patience;
        self.0.partitions[partition as usize].serving(patience).await.map_err(|unready| match unready {
            Unready::Elsewhere => Elsewhere { partition, in_doubt: false }.into(),
            Unready::Recovering => recovering().into(),
        })
    }

    /// What was found in a partition's state, unless the partition was given back meanwhile: its state was empty then.
    fn within<T>(&self, partition: u32, tenure: u64, found: Result<T, Problem>) -> Result<T, Error> {
        match found {
            Err(_) if !self.0.partitions[partition as usize].is_tenure(tenure) => {
                Err(Elsewhere { partition, in_doubt: false }.into())
            }
            found => Ok(found?),
        }
    }

    async fn check_member(&self, who: &Who, project_id: ProjectId, command: &Command) -> Result<(), Problem> {
        let creates = matches!(command, Command::CreateProject(_));
        if who.actor.admin || creates || self.is_member(who, project_id) {
            return Ok(());
        }
        // Another process may have made them one, or a command that is not committed yet.
        let looked = Box::pin(self.partition_of(project_id).look()).await;
        match looked {
            _ if self.is_member(who, project_id) => Ok(()),
            Ok(()) => Err(not_a_member()),
            Err(refusal) => Err(of_refusal(refusal)),
        }
    }

    /// Refuses a key that belongs to a command of a project in another partition. In its own the writer knows; where that
    /// remembers the key it has an answer to it, whatever was sent elsewhere.
    fn check_key(&self, who: &Who, key: CommandId, project_id: ProjectId) -> Result<(), Problem> {
        let own = self.0.log.partition_for(project_id) as usize;
        let key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        if self.0.partitions[own].committed().remembers(&key) {
            return Ok(());
        }
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

/// A command that its partition has, and what is needed to tell what it came to.
struct HandedIn<'a> {
    service: &'a CommandService,
    who: &'a Who,
    project_id: ProjectId,
    name: &'static str,
    submitted: partition::Submitted,
}

impl HandedIn<'_> {
    async fn answer(self) -> Result<Accepted, Error> {
        let Self { service, who, project_id, name, submitted } = self;
        let answer = submitted.answer().await.map_err(|refusal| service.told(who, project_id, refusal));
        count(name, &answer.as_ref());
        answer
    }
}

fn count(name: &'static str, answer: &Result<&Accepted, &Error>) {
    let outcome = match answer {
        Ok(accepted) if accepted.repeated => "repeated",
        Ok(accepted) if accepted.outcome.event_ids.is_empty() => "unchanged",
        Ok(_) => "accepted",
        Err(Error::Problem(problem)) => problem.code().code,
        Err(Error::Elsewhere(_)) => "elsewhere",
    };
    metrics::counter!("muster_commands_total", "command" => name, "outcome" => outcome).increment(1);
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
