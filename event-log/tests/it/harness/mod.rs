//! What the cases need from an implementation beyond its interface.

pub mod instance;
pub mod kafka;
pub mod memory;
pub mod postgres;
pub mod proxy;
pub mod servers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_event_log::{DeadLetter, Error, EventLog, LogOffset, LogRecord};
use muster_schemas::samples;
use uuid::Uuid;

/// Longest any single step may take; reached only when something is broken.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Partitions of every log under test.
pub const PARTITIONS: u32 = 3;

/// Whether a line appended twice is stored once.
#[derive(Debug, PartialEq, Eq)]
pub enum Repeats {
    Stored,
    Dropped,
}

/// One fresh log of an implementation.
#[async_trait]
pub trait Harness: Send + Sync {
    /// A handle as another process would have it: nothing shared with other handles but the log itself.
    async fn connect(&self) -> Arc<dyn EventLog>;

    /// Puts a record into the log, past any writer, whose value is no event.
    async fn inject_poison(&self, partition: u32, project: ProjectId, value: &[u8]);

    /// Puts an event of the type `task.teleported` into the log, whose data has `mood` and whose schema is registered.
    async fn inject_unknown(&self, partition: u32, event: &Event, mood: &str);

    /// The dead letters, as a person would look them up.
    async fn dead_letters(&self) -> Vec<DeadLetter>;

    /// Damages the newest snapshot of a partition. False where that cannot be.
    async fn damage_snapshot(&self, partition: u32) -> bool;

    /// What becomes of a line of output that is appended twice.
    fn repeats(&self) -> Repeats;
}

/// A project whose events are in `partition`.
pub fn project_in(partition: u32) -> ProjectId {
    std::iter::repeat_with(|| ProjectId(Uuid::new_v4()))
        .find(|project| muster_event_log::partition_of(&project.to_string(), PARTITIONS) == partition)
        .expect("the iterator has no end")
}

/// `count` events of `project`, at positions from `first`.
pub fn events(project: ProjectId, first: u64, count: u64) -> Vec<Arc<Event>> {
    (first..first + count)
        .map(|position| Arc::new(samples::sample_event("task.started", project, position).expect("catalogued")))
        .collect()
}

/// The schema of `task.teleported`: `task.started` of a later version, with one field more in its data.
pub fn unknown_schema() -> String {
    let mut schema: serde_json::Value =
        serde_json::from_str(muster_schemas::schema_for("task.started").expect("catalogued").json).expect("JSON");
    schema["event_type"] = "task.teleported".into();
    schema["name"] = "TaskTeleported".into();
    let data = schema["fields"].as_array_mut().and_then(|fields| fields.last_mut()).expect("fields");
    let field = serde_json::json!({"name": "mood", "type": "string"});
    data["type"]["fields"].as_array_mut().expect("fields").push(field);
    schema.to_string()
}

/// The datum of `event`, which is a `task.started`, as a `task.teleported` with `mood`.
pub fn unknown_datum(event: &Event, mood: &str) -> Vec<u8> {
    let mut datum = muster_schemas::encode(event).expect("encodable");
    // The type is the second field, after an id of 36 characters; both strings begin with their length, doubled.
    let id = &datum[..37];
    let rest = &datum[38 + "task.started".len()..];
    let kind = "task.teleported";
    let length = |text: &str| u8::try_from(text.len() * 2).expect("a short text");
    datum = [id, &[length(kind)], kind.as_bytes(), rest, &[length(mood)], mood.as_bytes()].concat();
    datum
}

/// Every record of `partition`, from `from` to the end.
pub async fn read_all(log: &dyn EventLog, partition: u32, mut from: LogOffset) -> Vec<LogRecord> {
    let mut all = Vec::new();
    loop {
        let batch = log.read(partition, from, 100).await.expect("readable");
        let Some(last) = batch.last() else { return all };
        from = last.offset.next();
        all.extend(batch);
    }
}

/// The next `count` items of a subscription.
pub async fn take<T>(stream: &mut BoxStream<'static, Result<T, Error>>, count: usize) -> Vec<T> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let item = tokio::time::timeout(DEADLINE, stream.next()).await;
        let item = item.unwrap_or_else(|_| panic!("only {} of {count} came", taken.len()));
        taken.push(item.expect("a subscription does not end").expect("readable"));
    }
    taken
}

/// Positions of the events in `records`.
pub fn positions(records: &[LogRecord]) -> Vec<u64> {
    records.iter().map(|record| record.payload.as_ref().expect("an event").position).collect()
}
