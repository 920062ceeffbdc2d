//! One shared buffer of a project's newest events. One task fills it, however many read from it; a reader that is
//! further behind than the buffer reaches is told so, and reads the history instead.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use muster_domain::id::ProjectId;
use muster_read_store::ReadStore;
use muster_read_store::query::{Event, HistoryOf};
use parking_lot::RwLock;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::watermark::Watermark;

/// Events read from the history at once.
pub(super) const PAGE: u32 = 500;

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// A project's newest events, from one position to the end.
#[derive(Debug)]
pub(super) struct Feed {
    ring: RwLock<Ring>,
    /// Position of the newest event in the buffer.
    end: Watermark,
    _filling: DropGuard,
}

#[derive(Debug)]
struct Ring {
    capacity: usize,
    /// Position before the oldest event that is held.
    start: u64,
    events: VecDeque<Arc<Event>>,
}

/// What the buffer has for a reader.
#[derive(Debug, PartialEq)]
pub(super) enum Held {
    /// The next events, in order; at least one.
    Events(Vec<Arc<Event>>),
    /// Nothing new yet.
    Nothing,
    /// The reader is further behind than the buffer reaches.
    TooFarBehind,
}

impl Feed {
    /// A feed that goes on behind `start`, which is applied. `committed` says how far the project is.
    pub(super) fn open(
        store: ReadStore,
        project_id: ProjectId,
        start: u64,
        committed: Watermark,
        capacity: usize,
        end: Watermark,
    ) -> Arc<Self> {
        let stop = CancellationToken::new();
        end.raise(start);
        let ring = Ring { capacity: capacity.max(1), start, events: VecDeque::new() };
        let feed = Arc::new(Self { ring: RwLock::new(ring), end, _filling: stop.clone().drop_guard() });
        let filling = fill(Arc::downgrade(&feed), store, project_id, start, committed);
        tokio::spawn(async move { stop.run_until_cancelled(filling).await });
        feed
    }

    /// The events behind `after`, at most `limit`.
    pub(super) fn held(&self, after: u64, limit: usize) -> Held {
        self.ring.read().behind(after, limit)
    }

    /// Waits until there is an event behind `after`.
    pub(super) async fn above(&self, after: u64) {
        self.end.above(after).await;
    }
}

impl Ring {
    fn push(&mut self, event: Event) {
        self.events.push_back(Arc::new(event));
        while self.events.len() > self.capacity {
            if let Some(oldest) = self.events.pop_front() {
                self.start = oldest.at();
            }
        }
    }

    fn behind(&self, after: u64, limit: usize) -> Held {
        if after < self.start {
            return Held::TooFarBehind;
        }
        let skip = self.events.partition_point(|event| event.at() <= after);
        let next: Vec<_> = self.events.iter().skip(skip).take(limit).cloned().collect();
        if next.is_empty() { Held::Nothing } else { Held::Events(next) }
    }
}

async fn fill(feed: Weak<Feed>, store: ReadStore, project_id: ProjectId, start: u64, committed: Watermark) {
    let mut end = start;
    let mut wait = RETRY_FIRST;
    loop {
        committed.above(end).await;
        let page = store.history(HistoryOf::Project { project_id, after: end }, PAGE).await;
        let Some(feed) = feed.upgrade() else { return };
        match page {
            Ok(page) => {
                wait = RETRY_FIRST;
                let mut ring = feed.ring.write();
                for event in page.rows {
                    end = event.at();
                    ring.push(event);
                }
                drop(ring);
                feed.end.raise(end);
            }
            Err(error) => {
                tracing::warn!(%error, %project_id, end, "cannot read new events; trying again");
                drop(feed);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_LONGEST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use muster_domain::model::Source;
    use muster_read_store::query::Text;
    use uuid::Uuid;

    use super::*;

    fn event(position: i64) -> Event {
        Event {
            project_id: Uuid::nil(),
            position,
            task_id: None,
            sequence: 0,
            event_id: Uuid::nil(),
            event_type: "project.created".to_owned(),
            event_at: DateTime::default(),
            source: Text(Source::Cli),
            actor: String::new(),
            command_id: Uuid::nil(),
            command_digest: None,
            causation_id: None,
            correlation_id: Uuid::nil(),
            data: serde_json::Value::Null,
        }
    }

    fn positions(held: Held) -> Vec<u64> {
        match held {
            Held::Events(events) => events.iter().map(|event| event.at()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn holds_the_newest_and_says_when_a_reader_is_too_far_behind() {
        let mut ring = Ring { capacity: 3, start: 10, events: VecDeque::new() };
        assert_eq!(ring.behind(10, 9), Held::Nothing);
        assert_eq!(ring.behind(9, 9), Held::TooFarBehind);
        (11..=15).for_each(|position| ring.push(event(position)));

        assert_eq!(ring.behind(11, 9), Held::TooFarBehind);
        assert_eq!(positions(ring.behind(12, 9)), [13, 14, 15]);
        assert_eq!(positions(ring.behind(12, 2)), [13, 14]);
        assert_eq!(positions(ring.behind(14, 9)), [15]);
        assert_eq!(ring.behind(15, 9), Held::Nothing);
        assert_eq!(ring.behind(99, 9), Held::Nothing);
    }
}
