//! What the tests share: a log with events, a store, and a projector that can be stopped.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::event::{Event, EventData};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_domain::model::Source;
use muster_domain::time::Timestamp;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{EventLog, LogOffset};
use muster_projector::Settings;
use muster_read_store::ReadStore;
use muster_service_kit::Readiness;
use muster_test_kit::postgres::Binaries;
use muster_test_kit::{eventually, fresh_database};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Long enough for a loaded machine; nothing waits this long unless it fails.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// A store in a database of its own.
pub(crate) async fn fresh_store() -> ReadStore {
    fresh_store_and_url().await.0
}

/// The same, with the database's URL for [`execute`].
pub(crate) async fn fresh_store_and_url() -> (ReadStore, String) {
    let url = fresh_database("projector").await;
    (ReadStore::connect(&url, 8).await.unwrap(), url)
}

/// Runs SQL behind the store's back.
pub(crate) fn execute(url: &str, sql: &str) {
    query(url, sql);
}

/// The same, and what it answers.
pub(crate) fn query(url: &str, sql: &str) -> String {
    Binaries::find().unwrap().psql(url, sql).unwrap()
}

/// A running projector.
pub(crate) struct Running {
    pub(crate) readiness: Readiness,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), muster_projector::Error>>,
}

impl Running {
    pub(crate) fn start(log: &MemoryLog, store: &ReadStore) -> Self {
        Self::start_on(Arc::new(log.clone()), store)
    }

    /// The same on any log.
    pub(crate) fn start_on(log: Arc<dyn EventLog>, store: &ReadStore) -> Self {
        let settings = Settings { batch_max_events: 10, batch_max_wait: Duration::from_millis(2) };
        let (readiness, shutdown) = (Readiness::new(), CancellationToken::new());
        let task = tokio::spawn(muster_projector::run(log, store.clone(), settings, &readiness, shutdown.clone()));
        Self { readiness, shutdown, task }
    }

    /// Ends it as a kill would: nothing is finished, nothing is said to the store.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(SOON, self.task).await.expect("it stops when told").unwrap().unwrap();
    }
}

pub(crate) fn project(name: &str) -> ProjectId {
    ProjectId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}

/// The event at `position` of a project: its creation, then one task after the other.
pub(crate) fn event(project_id: ProjectId, position: u64) -> Arc<Event> {
    let id = |name: &str| Uuid::new_v5(&project_id.0, format!("{name} {position}").as_bytes());
    let settings = json!({"max_iterations": 1, "max_attempts": 1, "max_concurrent_runs": 1, "budget": {},
        "preview_mode": "process", "auto_dispatch": true, "require_plan_approval": true});
    let data = if position == 1 {
        EventData::from_json(
            "project.created",
            json!({"name": "p", "repository_path": "/r", "default_branch": "main", "owner": "alice",
                "settings": settings}),
        )
    } else {
        EventData::from_json(
            "task.created",
            json!({"title": format!("task {position}"), "description": "", "priority": "low", "complexity": "s",
                "created_by": "alice", "interactive": false}),
        )
    };
    Arc::new(Event {
        id: EventId(id("event")),
        timestamp: Timestamp::from_micros(1_700_000_000_000_000),
        project_id,
        task_id: (position > 1).then(|| TaskId(id("task"))),
        sequence: u64::from(position > 1),
        position,
        source: Source::Cli,
        actor: "alice".to_owned(),
        command_id: CommandId(id("command")),
        command_digest: None,
        causation_id: None,
        correlation_id: id("correlation"),
        data: data.unwrap(),
    })
}

/// Appends events of a project to its partition.
pub(crate) async fn append(log: &dyn EventLog, project_id: ProjectId, positions: std::ops::RangeInclusive<u64>) {
    let events: Vec<_> = positions.map(|position| event(project_id, position)).collect();
    let mut writer = log.open_writer(log.partition_for(project_id)).await.unwrap();
    let end = writer.end();
    writer.append(end, &events).await.unwrap();
}

pub(crate) async fn reaches(store: &ReadStore, project_id: ProjectId, position: u64) {
    eventually(SOON, || async { store.project_position(project_id).await.unwrap() == position }).await;
}

pub(crate) async fn reads_everything(log: &MemoryLog, store: &ReadStore) {
    for partition in 0..log.partition_count() {
        let end = log.end(partition).await.unwrap();
        eventually(SOON, || async { LogOffset(store.next_offset(partition).await.unwrap()) == end }).await;
    }
}

pub(crate) async fn count(store: &ReadStore, project_id: ProjectId) -> u64 {
    store.verify_audit_chain(project_id).await.unwrap().checked
}

/// Every row of the read model, as text.
pub(crate) fn dump(url: &str) -> String {
    ["project_positions", "projects", "project_members", "tasks", "event_history", "agent_output"]
        .map(|table| query(url, &format!("select to_jsonb(t) from muster_read.{table} t order by to_jsonb(t)::text")))
        .join("\n")
}
