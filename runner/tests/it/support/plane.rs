//! A control plane in memory that decides by the domain's own rules.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use muster_client::api::{ClaimRequest, OutputLine};
use muster_client::domain::command::{
    ClaimWork, Command, CreateProject, RenewLease, Report, ReportRun, WorkOrder, work_order,
};
use muster_client::domain::decide::{Actor, Context, IdSource, Limits, Outcome, Request, handle};
use muster_client::domain::event::Event;
use muster_client::domain::id::{CommandId, ProjectId, RunId, TaskId};
use muster_client::domain::model::{ProjectSettings, Source};
use muster_client::domain::rejection::Rejection;
use muster_client::domain::state::{ProjectState, Task};
use muster_runner::control::{Control, Error, Lease};
use parking_lot::Mutex;
use uuid::Uuid;

#[derive(Default)]
struct Inner {
    state: ProjectState,
    events: Vec<Event>,
    lines: Vec<OutputLine>,
    next_lines: BTreeMap<RunId, u64>,
    claims: BTreeMap<CommandId, (TaskId, RunId)>,
}

/// One project's control plane.
pub struct Plane {
    project_id: ProjectId,
    inner: Mutex<Inner>,
    away: AtomicBool,
}

struct FreshIds;

impl IdSource for FreshIds {
    fn next_id(&mut self) -> Uuid {
        Uuid::now_v7()
    }
}

impl Plane {
    /// With one project.
    pub fn new(repository_path: &str, settings: ProjectSettings) -> Self {
        let plane =
            Self { project_id: ProjectId(Uuid::now_v7()), inner: Mutex::default(), away: AtomicBool::new(false) };
        let create = CreateProject {
            name: "demo".to_owned(),
            repository_path: repository_path.to_owned(),
            default_branch: "main".to_owned(),
            settings,
        };
        plane.send(create).unwrap();
        plane
    }

    /// Decides and applies.
    pub fn send(&self, command: impl Into<Command>) -> Result<Option<Outcome>, Rejection> {
        let mut inner = self.inner.lock();
        let id = Uuid::now_v7();
        let request = Request {
            command_id: CommandId(id),
            digest: String::new(),
            project_id: self.project_id,
            expected_sequence: None,
            correlation_id: id,
            causation_id: None,
            command: command.into(),
        };
        let mut context = Context {
            now: chrono::Utc::now().into(),
            actor: Actor { user: "ada".to_owned(), admin: true },
            source: Source::Orchestrator,
            limits: Limits::default(),
            ids: &mut FreshIds,
        };
        let events = handle(&inner.state, &request, &mut context)?;
        for event in &events {
            inner.state.apply(event);
        }
        let outcome = Outcome::of(&events);
        inner.events.extend(events);
        Ok(outcome)
    }

    /// Makes every call fail as if the service were away, or ends that.
    pub fn be_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// The card.
    pub fn task(&self, id: TaskId) -> Task {
        self.inner.lock().state.tasks[&id].as_ref().clone()
    }

    /// Live leases.
    pub fn leases(&self) -> usize {
        self.inner.lock().state.leases.len()
    }

    /// Events of those types, in order.
    pub fn events_of(&self, types: &[&str]) -> Vec<Event> {
        self.inner.lock().events.iter().filter(|event| types.contains(&event.event_type())).cloned().collect()
    }

    /// Types of all events, in order.
    pub fn types(&self) -> Vec<String> {
        self.inner.lock().events.iter().map(|event| event.event_type().to_owned()).collect()
    }

    /// All output so far.
    pub fn output(&self) -> String {
        let inner = self.inner.lock();
        let lines = inner.lines.iter().map(|line| format!("{}: {}", line.stream, line.content));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn at_home(&self) -> Result<(), Error> {
        if self.away.load(Ordering::SeqCst) { Err(Error::Unavailable("away".to_owned())) } else { Ok(()) }
    }
}

fn translate(rejection: &Rejection) -> Error {
    match rejection {
        Rejection::StaleFencingToken { .. } => Error::LeaseLost(rejection.to_string()),
        other => Error::Refused { code: other.code().to_owned(), detail: other.to_string() },
    }
}

/// What a report points at is on disk, whole, before anyone hears of it.
fn assert_durable(report: &Report) {
    let file = match report {
        Report::AgentComplete { result_file, .. } | Report::AgentFailed { result_file, .. } => result_file,
        Report::VerificationComplete { report_file, .. } => report_file,
        _ => return,
    };
    serde_json::from_slice::<serde_json::Value>(&std::fs::read(file).unwrap()).unwrap();
}

#[async_trait]
impl Control for Plane {
    async fn claim(&self, request: &ClaimRequest, key: CommandId) -> Result<Option<WorkOrder>, Error> {
        self.at_home()?;
        let known = self.inner.lock().claims.get(&key).copied();
        if let Some((task_id, run_id)) = known {
            return Ok(work_order(&self.inner.lock().state, task_id, run_id));
        }
        let claim = ClaimWork {
            session_id: request.session_id,
            session_key: request.session_key.clone(),
            roles: request.roles.clone(),
            lease_duration_ms: request.lease_duration_ms.unwrap_or(60_000),
            workspace_dir: request.workspace_dir.clone(),
            data_dir: request.data_dir.clone(),
        };
        let outcome = self.send(claim).map_err(|rejection| translate(&rejection))?;
        let Some((task_id, claim)) = outcome.and_then(|outcome| Some((outcome.task_id?, outcome.claim?))) else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            return Ok(None);
        };
        let mut inner = self.inner.lock();
        inner.claims.insert(key, (task_id, claim.run_id));
        Ok(work_order(&inner.state, task_id, claim.run_id))
    }

    async fn report(&self, lease: &Lease, reports: Vec<Report>, _key: CommandId) -> Result<(), Error> {
        self.at_home()?;
        for report in &reports {
            assert_durable(report);
        }
        let Lease { task_id, run_id, fencing_token, .. } = *lease;
        let report = ReportRun { task_id, run_id, fencing_token, reports };
        self.send(report).map(drop).map_err(|rejection| translate(&rejection))
    }

    async fn renew(&self, lease: &Lease, lease_duration_ms: u64) -> Result<(), Error> {
        self.at_home()?;
        let Lease { task_id, run_id, fencing_token, .. } = *lease;
        let renew = RenewLease { task_id, run_id, fencing_token, lease_duration_ms };
        self.send(renew).map(drop).map_err(|rejection| translate(&rejection))
    }

    async fn output(&self, lease: &Lease, first_line_number: u64, lines: &[OutputLine]) -> Result<(), Error> {
        self.at_home()?;
        let mut inner = self.inner.lock();
        if !inner.state.holds_lease(lease.task_id, lease.run_id, lease.fencing_token) {
            return Err(Error::LeaseLost("no lease".to_owned()));
        }
        let next = inner.next_lines.entry(lease.run_id).or_insert(1);
        assert_eq!(first_line_number, *next, "a gap in the output");
        *next += lines.len() as u64;
        inner.lines.extend_from_slice(lines);
        Ok(())
    }
}
