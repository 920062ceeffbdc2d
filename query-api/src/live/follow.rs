//! A subscriber's own place in a project's events or a run's output. A slow one reads the history until it has caught
//! up; it holds nobody back, and misses nothing.

use std::sync::Arc;

use muster_domain::id::{ProjectId, RunId};
use muster_read_store::query::{Event, HistoryOf, Line};
use muster_read_store::{Error, ReadStore};

use super::feed::{Feed, Held, PAGE};
use super::watermark::Watermark;

/// Events given out at once.
const BATCH: usize = 200;

/// A place in a project's events.
#[derive(Debug)]
pub struct EventCursor {
    store: ReadStore,
    project_id: ProjectId,
    feed: Arc<Feed>,
    after: u64,
}

impl EventCursor {
    pub(super) fn new(store: ReadStore, project_id: ProjectId, feed: Arc<Feed>, after: u64) -> Self {
        Self { store, project_id, feed, after }
    }

    /// Position of the last event that was given out.
    pub fn after(&self) -> u64 {
        self.after
    }

    /// Passes over everything up to `position`.
    pub fn skip_to(&mut self, position: u64) {
        self.after = self.after.max(position);
    }

    /// The next events in order, at least one; waits for them. They stay the next ones until [`EventCursor::skip_to`].
    pub async fn peek(&self) -> Result<Vec<Arc<Event>>, Error> {
        loop {
            match self.feed.held(self.after, BATCH) {
                Held::Events(events) => return Ok(events),
                Held::Nothing => {}
                Held::TooFarBehind => {
                    metrics::counter!("muster_query_history_reads_total").increment(1);
                    let of = HistoryOf::Project { project_id: self.project_id, after: self.after };
                    let rows = self.store.history(of, PAGE).await?.rows;
                    if !rows.is_empty() {
                        return Ok(rows.into_iter().map(Arc::new).collect());
                    }
                }
            }
            self.feed.above(self.after).await;
        }
    }
}

/// A place in a run's output.
#[derive(Debug)]
pub struct OutputCursor {
    store: ReadStore,
    project_id: ProjectId,
    run_id: RunId,
    stored: Watermark,
    after: u64,
    /// Up to this line there is nothing behind `after`; `None` where nobody has looked.
    looked: Option<u64>,
}

/// Lines that were read and not given out yet.
#[derive(Debug)]
pub struct Lines {
    rows: Vec<Line>,
    after: u64,
    looked: Option<u64>,
}

impl Lines {
    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl OutputCursor {
    pub(super) fn new(store: ReadStore, project_id: ProjectId, run_id: RunId, stored: Watermark, after: u64) -> Self {
        Self { store, project_id, run_id, stored, after, looked: None }
    }

    /// Whether there may be lines to read.
    pub fn has_news(&self) -> bool {
        self.looked.is_none_or(|looked| self.stored.current() > looked)
    }

    /// Waits until there may be lines to read; asks nothing of the store.
    pub async fn news(&self) {
        if let Some(looked) = self.looked {
            self.stored.above(looked).await;
        }
    }

    /// The next lines in order, none where there are none yet. They stay the next ones until [`OutputCursor::pass`].
    pub async fn peek(&self) -> Result<Lines, Error> {
        let heard = self.stored.current();
        let slice = self.store.output(self.project_id, self.run_id, self.after, PAGE).await?;
        let last = slice.rows.last().and_then(|line| u64::try_from(line.line_number).ok());
        let after = last.unwrap_or(self.after);
        let looked = (!slice.has_more).then_some(after.max(heard));
        Ok(Lines { rows: slice.rows, after, looked })
    }

    /// Passes over lines, and gives them out.
    pub fn pass(&mut self, lines: Lines) -> Vec<Line> {
        (self.after, self.looked) = (lines.after, lines.looked);
        lines.rows
    }
}
