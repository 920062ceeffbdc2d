//! Commands decided by the domain and applied to the read store, as command service, log and projector would.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use muster_client::api::CommandRequest;
use muster_domain::command::{
    ApprovePlan, ClaimWork, Command, CreateProject, CreateTask, Criterion, PlannedChunk, Report, ReportRun,
};
use muster_domain::decide::{Actor, ClaimOutcome, Context, Limits, Outcome, Request, SeededIds, handle};
use muster_domain::event::Event;
use muster_domain::id::{CommandId, ProjectId, RunId, SessionId, TaskId};
use muster_domain::model::{
    AgentConfig, AgentKind, Complexity, Priority, ProjectSettings, Role, RunResult, Source, VerificationCommand,
};
use muster_domain::state::{ProjectState, fold};
use muster_domain::time::Timestamp;
use muster_query_api::{Commands, Fault};
use muster_read_store::{OutputLine, ReadStore};
use muster_service_kit::{Caller, Code};
use tokio::sync::Mutex;
use uuid::Uuid;

static SEED: AtomicU64 = AtomicU64::new(1);

/// Every project's state, and the read store that follows it.
pub struct World {
    pub store: ReadStore,
    inner: Mutex<Inner>,
}

struct Inner {
    states: HashMap<ProjectId, ProjectState>,
    answers: HashMap<CommandId, Outcome>,
    ids: SeededIds,
    now: Timestamp,
    offset: i64,
    /// Whether events reach the read store at once.
    projecting: bool,
    waiting: Vec<(i64, Arc<Event>)>,
}

impl World {
    pub async fn new() -> Arc<Self> {
        Self::with_connections(8).await
    }

    /// With so many connections to the read store.
    pub async fn with_connections(max_connections: u32) -> Arc<Self> {
        let url = muster_test_kit::fresh_database("query_api").await;
        let store = ReadStore::connect(&url, max_connections).await.unwrap();
        let ids = SeededIds::new(SEED.fetch_add(1, Ordering::Relaxed));
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let inner = Inner {
            states: HashMap::new(),
            answers: HashMap::new(),
            ids,
            now,
            offset: 0,
            projecting: true,
            waiting: Vec::new(),
        };
        Arc::new(Self { store, inner: Mutex::new(inner) })
    }

    /// Decides and applies; what the command came to, or the rejection's code.
    pub async fn try_send(
        &self,
        user: &str,
        project_id: ProjectId,
        command: impl Into<Command>,
    ) -> Result<Outcome, String> {
        let request = CommandRequest::new(project_id, command);
        self.decide(user, request, None).await
    }

    pub async fn send(&self, user: &str, project_id: ProjectId, command: impl Into<Command>) -> Outcome {
        self.try_send(user, project_id, command).await.unwrap()
    }

    async fn decide(&self, user: &str, request: CommandRequest, key: Option<CommandId>) -> Result<Outcome, String> {
        let mut inner = self.inner.lock().await;
        let command_id = key.unwrap_or_else(|| CommandId(Uuid::now_v7()));
        if let Some(answer) = inner.answers.get(&command_id) {
            return Ok(answer.clone());
        }
        let task_id = request.command.task_id();
        let of_task = inner
            .states
            .iter()
            .find(|(_, state)| task_id.is_some_and(|id| state.tasks.contains_key(&id)))
            .map(|(id, _)| *id);
        let project_id = request.project_id.or(of_task).unwrap_or_else(|| ProjectId(Uuid::now_v7()));
        inner.now = inner.now.plus_ms(1);
        let now = inner.now;
        let state = inner.states.remove(&project_id).unwrap_or_default();
        let decided = handle(
            &state,
            &Request {
                command_id,
                digest: "0".repeat(64),
                project_id,
                expected_sequence: request.expected_sequence,
                correlation_id: command_id.0,
                causation_id: None,
                command: request.command,
            },
            &mut Context {
                now,
                actor: Actor { user: user.to_owned(), admin: user == super::ADMIN },
                source: Source::Cli,
                limits: Limits::default(),
                ids: &mut inner.ids,
            },
        );
        let events = match decided {
            Ok(events) => events,
            Err(rejection) => {
                inner.states.insert(project_id, state);
                return Err(rejection.code().to_owned());
            }
        };
        let state = events.iter().fold(state, fold);
        let position = state.position;
        inner.states.insert(project_id, state);
        let outcome = Outcome::of(&events).unwrap_or(Outcome {
            command_id,
            project_id,
            task_id,
            sequence: None,
            position,
            event_ids: Vec::new(),
            claim: None,
            lease_expires_at: None,
        });
        inner.answers.insert(command_id, outcome.clone());
        for event in events {
            let offset = inner.offset;
            inner.waiting.push((offset, Arc::new(event)));
            inner.offset += 1;
        }
        if inner.projecting {
            self.apply(&mut inner).await;
        }
        Ok(outcome)
    }

    async fn apply(&self, inner: &mut Inner) {
        let records = std::mem::take(&mut inner.waiting);
        self.store.apply_batch(0, &records, inner.offset).await.unwrap();
    }

    /// From now on events wait, as when the projector lags.
    pub async fn hold_back(&self) {
        self.inner.lock().await.projecting = false;
    }

    /// Applies what waits, and from now on at once.
    pub async fn catch_up(&self) {
        let mut inner = self.inner.lock().await;
        inner.projecting = true;
        self.apply(&mut inner).await;
    }

    pub async fn position(&self, project_id: ProjectId) -> u64 {
        self.inner.lock().await.states[&project_id].position
    }

    /// A task as the domain has it.
    pub async fn task_state(&self, project_id: ProjectId, task_id: TaskId) -> muster_domain::state::Task {
        self.inner.lock().await.states[&project_id].tasks[&task_id].as_ref().clone()
    }

    pub async fn project(&self, owner: &str) -> ProjectId {
        let project_id = ProjectId(Uuid::now_v7());
        let command = CreateProject {
            name: format!("Project of {owner}"),
            repository_path: "/repo".to_owned(),
            default_branch: "main".to_owned(),
            settings: project_settings(),
        };
        self.send(owner, project_id, command).await;
        project_id
    }

    pub async fn task(&self, owner: &str, project_id: ProjectId, title: &str, priority: Priority) -> TaskId {
        self.task_after(owner, project_id, title, priority, Vec::new()).await
    }

    pub async fn task_after(
        &self,
        owner: &str,
        project_id: ProjectId,
        title: &str,
        priority: Priority,
        blocked_by: Vec<TaskId>,
    ) -> TaskId {
        let command = CreateTask {
            task_id: None,
            title: title.to_owned(),
            description: "Make it work".to_owned(),
            acceptance_criteria: vec![Criterion::Text("The tests pass".to_owned())],
            priority,
            complexity: Complexity::S,
            blocked_by,
            interactive: false,
        };
        self.send(owner, project_id, command).await.task_id.unwrap()
    }

    pub async fn claim(&self, project_id: ProjectId, roles: &[Role]) -> (TaskId, ClaimOutcome) {
        let command = ClaimWork {
            session_id: SessionId(Uuid::now_v7()),
            session_key: "s".to_owned(),
            roles: roles.to_vec(),
            lease_duration_ms: 60_000,
            workspace_dir: "/w".to_owned(),
            data_dir: "/d".to_owned(),
        };
        let outcome = self.send(super::ADMIN, project_id, command).await;
        (outcome.task_id.unwrap(), outcome.claim.unwrap())
    }

    pub async fn report(&self, project_id: ProjectId, task_id: TaskId, claim: &ClaimOutcome, reports: Vec<Report>) {
        let (run_id, fencing_token) = (claim.run_id, claim.fencing_token);
        let command = ReportRun { task_id, run_id, fencing_token, reports };
        self.send(super::ADMIN, project_id, command).await;
    }

    /// Has the most urgent task planned in two chunks; the plan waits.
    pub async fn plan(&self, project_id: ProjectId) -> (TaskId, RunId) {
        let (task_id, claim) = self.claim(project_id, &[Role::Planner]).await;
        let chunk = |title: &str, depends_on: &[u32]| PlannedChunk {
            title: title.to_owned(),
            description: String::new(),
            depends_on: depends_on.to_vec(),
        };
        let plan = Report::PlanReady {
            plan: "# Plan".to_owned(),
            chunks: vec![chunk("One", &[]), chunk("Two", &[0])],
            estimated_cost_usd: Some(0.5),
        };
        self.report(project_id, task_id, &claim, vec![started(), plan, complete()]).await;
        (task_id, claim.run_id)
    }

    pub async fn approve(&self, user: &str, project_id: ProjectId, task_id: TaskId) {
        self.send(user, project_id, ApprovePlan { task_id, digest: None }).await;
    }

    /// So many runs that ended, each with `lines` lines of output, of at least `width` bytes each.
    pub async fn talkative_runs(
        &self,
        owner: &str,
        project_id: ProjectId,
        count: usize,
        lines: u64,
        width: usize,
    ) -> Vec<RunId> {
        let mut runs = Vec::new();
        for n in 0..count {
            self.task(owner, project_id, &format!("Talk {n}"), Priority::Low).await;
            let (task_id, run_id) = self.plan(project_id).await;
            self.wide_output(project_id, task_id, run_id, 1..lines + 1, width).await;
            runs.push(run_id);
        }
        runs
    }

    pub async fn output(&self, project_id: ProjectId, task_id: TaskId, run_id: RunId, lines: std::ops::Range<u64>) {
        self.wide_output(project_id, task_id, run_id, lines, 0).await;
    }

    /// Lines of output, of at least `width` bytes each.
    pub async fn wide_output(
        &self,
        project_id: ProjectId,
        task_id: TaskId,
        run_id: RunId,
        lines: std::ops::Range<u64>,
        width: usize,
    ) {
        let lines: Vec<_> = lines
            .map(|line_number| OutputLine {
                project_id,
                task_id,
                run_id,
                line_number,
                written_at: Timestamp::from_micros(1_700_000_000_000_000),
                stream: "stdout".to_owned(),
                content: format!("{:width$}", format!("line {line_number}")),
            })
            .collect();
        self.store.append_output(&lines, &std::collections::BTreeMap::new()).await.unwrap();
    }
}

fn project_settings() -> ProjectSettings {
    ProjectSettings {
        verification: vec![VerificationCommand {
            name: "tests".to_owned(),
            command: vec!["true".to_owned()],
            timeout_ms: None,
        }],
        ..ProjectSettings::default()
    }
}

fn started() -> Report {
    Report::Started {
        iteration: 1,
        harness_config: AgentConfig {
            kind: AgentKind::Rehearsal,
            command: Vec::new(),
            model: None,
            env: std::collections::BTreeMap::new(),
            timeout_ms: None,
            silence_timeout_ms: None,
        },
    }
}

fn complete() -> Report {
    Report::Complete {
        result: RunResult::Succeeded,
        total_iterations: 1,
        duration_ms: 5,
        pr_url: None,
        error: None,
        tokens: None,
        cost_usd: None,
    }
}

#[async_trait]
impl Commands for World {
    async fn execute(
        &self,
        caller: &Caller,
        request: CommandRequest,
        key: Option<CommandId>,
    ) -> Result<Outcome, Fault> {
        self.decide(caller.user(), request, key).await.map_err(|code| {
            let code = Code::find(&code).unwrap_or_else(|| panic!("no code {code}"));
            Fault::new(code, "The domain refused.")
        })
    }
}
