//! The log in memory.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use muster_domain::event::{Event, EventData, UnknownEvent};
use muster_domain::id::ProjectId;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{DeadLetter, EventLog, Poison};

use super::{Harness, PARTITIONS, Repeats};

pub struct Memory(MemoryLog);

impl Memory {
    pub async fn start() -> Self {
        std::future::ready(Self(MemoryLog::new(PARTITIONS))).await
    }
}

#[async_trait]
impl Harness for Memory {
    async fn connect(&self) -> Arc<dyn EventLog> {
        Arc::new(self.0.clone())
    }

    async fn inject_poison(&self, partition: u32, project: ProjectId, value: &[u8]) {
        let poison = Poison {
            error: "no event".to_owned(),
            event_type: Some("task.started".to_owned()),
            project_id: Some(project),
            position: None,
            value: Bytes::copy_from_slice(value),
            headers: Vec::new(),
        };
        self.0.inject(partition, Err(poison)).expect("a partition");
    }

    async fn inject_unknown(&self, partition: u32, event: &Event, mood: &str) {
        let data = serde_json::json!({ "mood": mood });
        let data = EventData::Unknown(UnknownEvent { event_type: "task.teleported".to_owned(), data });
        self.0.inject(partition, Ok(Arc::new(Event { data, ..event.clone() }))).expect("a partition");
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.dead_letters()
    }

    async fn damage_snapshot(&self, _partition: u32) -> bool {
        false
    }

    fn repeats(&self) -> Repeats {
        Repeats::Dropped
    }
}
