//! Which partitions still have to catch up. The projector is ready once none has.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use muster_service_kit::health::ReadyFlag;

/// The partitions that have not caught up since the start.
#[derive(Clone)]
pub(crate) struct Backlog {
    behind: Arc<Mutex<BTreeSet<u32>>>,
    flag: ReadyFlag,
}

impl Backlog {
    pub(crate) fn new(partition_count: u32, flag: ReadyFlag) -> Self {
        let backlog = Self { behind: Arc::new(Mutex::new((0..partition_count).collect())), flag };
        backlog.flag.not_ready(format!("{partition_count} partitions have not caught up"));
        backlog
    }

    /// Whether a partition has not caught up yet.
    pub(crate) fn is_behind(&self, partition: u32) -> bool {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).contains(&partition)
    }

    /// Whether every partition has caught up.
    pub(crate) fn is_empty(&self) -> bool {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Marks a partition as caught up.
    pub(crate) fn caught_up(&self, partition: u32) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        if behind.remove(&partition) {
            match behind.len() {
                0 => self.flag.ready(),
                count => self.flag.not_ready(format!("{count} partitions have not caught up")),
            }
        }
    }
}
