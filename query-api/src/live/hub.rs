//! Hears of new rows for the whole process, and keeps one feed for each project that someone follows.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use muster_domain::id::{ProjectId, RunId};
use muster_read_store::query::InProject;
use muster_read_store::{Error, Listener, ReadStore, Wakeup};
use muster_service_kit::{Shutdown, mutant};
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;

use super::feed::Feed;
use super::follow::{EventCursor, OutputCursor};
use super::watermark::{Watermark, Watermarks};

/// How often is looked for what a lost notification did not tell.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// The live path. Clones share it.
#[derive(Debug, Clone)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: ReadStore,
    capacity: usize,
    positions: Watermarks<ProjectId>,
    outputs: Watermarks<(ProjectId, RunId)>,
    /// Counts everything heard, for those who wait for something they cannot name.
    heard: Watermark,
    feeds: Mutex<HashMap<ProjectId, Weak<Feed>>>,
}

impl Live {
    /// Starts to listen, until the stop. A feed holds `capacity` events.
    pub async fn start(store: ReadStore, capacity: usize, shutdown: &Shutdown) -> Result<Self, Error> {
        let listener = Listener::connect(&store).await?;
        let nothing = Watermarks::<()>::default();
        let live = Self(Arc::new(Inner {
            store,
            capacity,
            positions: Watermarks::default(),
            outputs: Watermarks::default(),
            heard: nothing.watch(()),
            feeds: Mutex::default(),
        }));
        let stop = shutdown.token();
        let inner = Arc::clone(&live.0);
        shutdown.spawn(async move { stop.run_until_cancelled(inner.listen(listener)).await });
        Ok(live)
    }

    /// How far a project is, as far as was heard; kept up to date while it is held.
    pub fn position(&self, project_id: ProjectId) -> Watermark {
        self.0.positions.watch(project_id)
    }

    /// Grows with everything that is heard, at least once a second.
    pub fn heard(&self) -> &Watermark {
        &self.0.heard
    }

    /// Every event of the project behind `after`, in order; from the present on without `after`.
    pub async fn events(&self, project_id: ProjectId, after: Option<u64>) -> Result<EventCursor, Error> {
        let committed = self.position(project_id);
        let start = self.0.store.project_position(project_id).await?;
        committed.raise(start);
        let feed = self.feed(project_id, start, committed);
        let mut after = after.unwrap_or(start);
        if mutant::is("resume_skips") {
            after += 1;
        } else if mutant::is("resume_repeats") {
            after = after.saturating_sub(1);
        }
        Ok(EventCursor::new(self.0.store.clone(), project_id, feed, after))
    }

    /// How far a run's output was heard to be stored.
    pub fn lines(&self, project_id: ProjectId, run_id: RunId) -> Watermark {
        self.0.outputs.watch((project_id, run_id))
    }

    /// Every line of a run's output behind `after`, in order.
    pub fn output(&self, project_id: ProjectId, run_id: RunId, after: u64) -> OutputCursor {
        OutputCursor::new(self.0.store.clone(), project_id, run_id, self.lines(project_id, run_id), after)
    }

    fn feed(&self, project_id: ProjectId, start: u64, committed: Watermark) -> Arc<Feed> {
        let mut feeds = self.0.feeds.lock();
        feeds.retain(|_, feed| feed.strong_count() > 0);
        if let Some(live) = feeds.get(&project_id).and_then(Weak::upgrade) {
            return live;
        }
        let end = Watermarks::default().watch(());
        let feed = Feed::open(self.0.store.clone(), project_id, start, committed, self.0.capacity, end);
        feeds.insert(project_id, Arc::downgrade(&feed));
        feed
    }
}

impl Inner {
    async fn listen(&self, mut listener: Listener) {
        let mut tick = tokio::time::interval(POLL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                wakeup = listener.next() => match wakeup {
                    Wakeup::Position { project_id, position } => self.positions.raise(project_id, position),
                    Wakeup::Output { project_id, run_id, line_number } => {
                        self.outputs.raise((project_id, run_id), line_number);
                    },
                    Wakeup::DeadLetters => {}
                    Wakeup::Reconnected => self.look().await,
                },
                _ = tick.tick() => self.look().await,
            }
            self.heard.raise(self.heard.current() + 1);
        }
    }

    /// Reads where everything that is watched stands.
    async fn look(&self) {
        if let Err(error) = self.try_look().await {
            tracing::warn!(%error, "cannot look for new rows; trying again");
        }
    }

    async fn try_look(&self) -> Result<(), Error> {
        let projects: Vec<_> = self.positions.watched().into_iter().map(|id| id.0).collect();
        if !projects.is_empty() {
            for (project_id, position) in self.store.positions_of(&projects).await? {
                self.positions.raise(project_id, position);
            }
        }
        let runs: Vec<_> =
            self.outputs.watched().into_iter().map(|(project_id, id)| InProject::of(project_id, id.0)).collect();
        if !runs.is_empty() {
            for (run, line_number) in self.store.output_ends(&runs).await? {
                self.outputs.raise((ProjectId(run.project_id), RunId(run.id)), line_number);
            }
        }
        Ok(())
    }
}
