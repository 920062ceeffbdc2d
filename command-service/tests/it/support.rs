//! A running service and requests to it.

mod faulty_log;
mod instances;
mod shared_log;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use muster_command_service::{CommandService, Options, Settings, TrustEverything, http as rest};
use muster_domain::event::Event;
use muster_domain::id::{ProjectId, TaskId};
use muster_event_log::memory::MemoryLog;
use muster_event_log::{EventLog, LogOffset};
use muster_service_kit::{Authenticator, Config, Principal, Shutdown, limits};
use muster_test_kit::eventually;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

pub use faulty_log::{Chance, Fault, FaultyLog, REFUSED_TITLE};
pub use instances::{Instance, Pair};
pub use shared_log::{Board, SharedLog};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const PARTITIONS: u32 = 3;

/// Who asks in most tests: owner of what she creates.
pub const ADA: &str = "ada";
/// A member of nothing.
pub const BOB: &str = "bob";
/// An admin.
pub const ROOT: &str = "root";

/// What the instances of a test know each other by.
pub const INSTANCE_TOKEN: &str = "token-of-the-instances";

/// A service over a log, and the way in.
pub struct App {
    pub service: CommandService,
    pub log: Arc<dyn EventLog>,
    router: Router,
    shutdown: Shutdown,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl App {
    pub async fn start() -> Self {
        Self::over(Arc::new(MemoryLog::new(PARTITIONS))).await
    }

    /// With snapshots after a few events, so that most tests meet some.
    pub async fn over(log: Arc<dyn EventLog>) -> Self {
        let lease_check_interval = Duration::from_millis(10);
        Self::with(log, Settings { lease_check_interval, snapshot_every_events: 5, ..Settings::default() }).await
    }

    pub async fn with(log: Arc<dyn EventLog>, settings: Settings) -> Self {
        let app = Self::starting(log, settings);
        let service = app.service.clone();
        eventually(PATIENCE, || {
            let service = service.clone();
            async move { service.is_recovered() }
        })
        .await;
        app
    }

    /// A service that may still be reading its history.
    pub fn starting(log: Arc<dyn EventLog>, settings: Settings) -> Self {
        let shutdown = Shutdown::new();
        let options = Options { settings, probe: Arc::new(TrustEverything), ..Options::default() };
        Self::with_options(log, options, shutdown)
    }

    pub fn with_options(log: Arc<dyn EventLog>, options: Options, shutdown: Shutdown) -> Self {
        let service = CommandService::start(Arc::clone(&log), options, &shutdown);
        let users = [(ADA, false), (BOB, false), (ROOT, true)];
        let principal = |user: &str, admin| Principal { user: user.to_owned(), admin };
        let tokens = users.map(|(user, admin)| (format!("token-of-{user}"), principal(user, admin)));
        let authenticator = Authenticator::new(tokens).unwrap();
        let router = limits::standard_layers(rest::router(service.clone(), authenticator), &Config::default());
        Self { service, log, router, shutdown }
    }

    /// Stops as a process would, letting what is under way finish.
    pub async fn stop(self) -> Arc<dyn EventLog> {
        assert!(self.shutdown.drain(PATIENCE).await, "the writers did not stop");
        self.log
    }

    /// As [`App::stop`], while others still hold the app.
    pub async fn stop_now(&self) {
        assert!(self.shutdown.drain(PATIENCE).await, "the writers did not stop");
    }

    pub async fn send(&self, user: &str, method: Method, path: &str, key: Option<Uuid>, body: Option<&str>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !user.is_empty() {
            request = request.header("authorization", format!("Bearer token-of-{user}"));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key.to_string());
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap();
        self.answer(request).await
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// What another instance, reached at `from`, asks on behalf of Ada.
    pub async fn asked_by(&self, from: &str, key: Uuid, path: &str, body: &Value) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer token-of-{ADA}"))
            .header("content-type", "application/json")
            .header("idempotency-key", key.to_string())
            .header("muster-forwarded", from)
            .header("muster-instance-token", INSTANCE_TOKEN)
            .body(Body::from(body.to_string()))
            .unwrap();
        self.answer(request).await
    }

    /// A request of Ada's with these headers.
    pub async fn with_headers(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer token-of-{ADA}"));
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn post_as(&self, user: &str, path: &str, body: &Value) -> Answer {
        self.send(user, Method::POST, path, None, Some(&body.to_string())).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(ADA, path, body).await
    }

    pub async fn post_with_key(&self, key: Uuid, path: &str, body: &Value) -> Answer {
        self.send(ADA, Method::POST, path, Some(key), Some(&body.to_string())).await
    }

    /// A project of Ada's that hands out any number of runs.
    pub async fn project(&self) -> ProjectId {
        let settings = json!({ "max_concurrent_runs": 1000, "max_iterations": 3 });
        let body = json!({ "name": "Demo", "repository_path": "/repo", "settings": settings });
        let answer = self.post("/api/projects", &body).await.ok();
        answer.body["project_id"].as_str().unwrap().parse().unwrap()
    }

    pub async fn task(&self, project_id: ProjectId, title: &str) -> TaskId {
        let answer = self.post(&format!("/api/projects/{project_id}/tasks"), &json!({ "title": title })).await.ok();
        answer.body["task_id"].as_str().unwrap().parse().unwrap()
    }

    /// Every event of the log, partition by partition.
    pub async fn events(&self) -> Vec<Arc<Event>> {
        events_of(self.log.as_ref()).await
    }
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self
    }

    /// Checks that it is a problem document with that status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        self
    }
}

pub async fn events_of(log: &dyn EventLog) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    for partition in 0..log.partition_count() {
        let records = log.read(partition, LogOffset::START, usize::MAX >> 1).await.unwrap();
        events.extend(records.into_iter().map(|record| record.payload.unwrap()));
    }
    events
}

/// Checks that positions and sequences have neither gap nor repetition, and that no command is there twice.
pub fn assert_gapless(events: &[Arc<Event>]) {
    let mut positions = std::collections::HashMap::new();
    let mut sequences = std::collections::HashMap::new();
    let mut last_command = None;
    let mut commands = std::collections::HashSet::new();
    for event in events {
        let position = positions.entry(event.project_id).or_insert(0);
        *position += 1;
        assert_eq!(event.position, *position, "project {}", event.project_id);
        if let Some(task_id) = event.task_id {
            let sequence = sequences.entry(task_id).or_insert(0);
            *sequence += 1;
            assert_eq!(event.sequence, *sequence, "task {task_id}");
        }
        if last_command != Some(event.command_id) {
            assert!(commands.insert(event.command_id), "command {} is there twice", event.command_id);
            last_command = Some(event.command_id);
        }
    }
}
