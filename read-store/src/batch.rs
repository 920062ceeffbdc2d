//! One batch of a partition, one transaction: rows, offset, positions, and the wake-up that is delivered on commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use sqlx::PgConnection;

use crate::apply::Tables;
use crate::dead_letter::parked_in;
use crate::error::{Doing, Error};
use crate::history::{History, HistoryEnd, lock_ends, store_ends};
use crate::mutant;
use crate::notify::announce_positions;
use crate::offset::{lock_offset, move_offset};
use crate::store::ReadStore;

/// What a batch came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Events that were applied.
    pub events: usize,
    /// Events that were applied before, or wait behind a dead letter of their project.
    pub skipped: usize,
    /// Rows that were written beside the history.
    pub rows: usize,
    /// Where each project that moved is now.
    pub positions: Vec<(ProjectId, u64)>,
}

/// Whether a project's events may skip positions: only behind a dead letter that was discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gaps {
    /// A gap is [`Error::PositionGap`].
    Refuse,
    /// The first gap of each project is taken as the discarded event.
    AllowFirst,
}

impl ReadStore {
    /// Applies records of a partition, in the order of the log, and moves the partition to `next_offset`: all in one
    /// transaction or not at all. A record below the stored offset is skipped, so that applying again changes nothing.
    pub async fn apply_batch(
        &self,
        partition: u32,
        records: &[(i64, Arc<Event>)],
        next_offset: i64,
    ) -> Result<Applied, Error> {
        let mut transaction = self.begin().await?;
        let stored = lock_offset(&mut transaction, partition).await?;
        if stored >= next_offset {
            return Ok(Applied { skipped: records.len(), ..Applied::default() });
        }
        let parked = parked_in(&mut transaction, partition).await?;
        let fresh: Vec<&Event> = records
            .iter()
            .filter(|(offset, event)| *offset >= stored && !parked.contains(&event.project_id))
            .map(|(_, event)| event.as_ref())
            .collect();
        if mutant::is("offset_outside_transaction") {
            let mut apart = self.begin().await?;
            drop(transaction);
            move_offset(&mut apart, partition, next_offset).await?;
            apart.commit().await.doing("committing an offset")?;
            transaction = self.begin().await?;
        }
        let mut applied = self.write(&mut transaction, &fresh, Gaps::Refuse).await?;
        applied.skipped += records.len() - fresh.len();
        move_offset(&mut transaction, partition, next_offset).await?;
        transaction.commit().await.doing("committing a batch")?;
        Ok(applied)
    }

    /// Writes `events` within a transaction; knows nothing of offsets.
    pub(crate) async fn write(
        &self,
        connection: &mut PgConnection,
        events: &[&Event],
        gaps: Gaps,
    ) -> Result<Applied, Error> {
        let projects: BTreeSet<_> = events.iter().map(|event| event.project_id.0).collect();
        let projects: Vec<_> = projects.into_iter().collect();
        if projects.is_empty() {
            return Ok(Applied::default());
        }
        let mut ends = lock_ends(connection, &projects).await?;
        let next = in_order(events, &ends, gaps)?;
        let mut applied = Applied { skipped: events.len() - next.len(), ..Applied::default() };
        if next.is_empty() {
            return Ok(applied);
        }
        let mut tables = Tables::load(connection, next.iter().copied()).await?;
        let mut history = History::default();
        let mut moved = BTreeMap::new();
        for event in next {
            if !(mutant::is("stale_row") && event.sequence % 50 == 7) {
                tables.apply(event);
            }
            let end = ends.entry(event.project_id).or_default();
            if mutant::is("drop_row") && event.position % 50 == 7 {
                end.position = event.position;
            } else {
                history.push(event, end)?;
            }
            moved.insert(event.project_id, end.clone());
        }
        applied.events = history.len();
        applied.rows = tables.store(connection).await?;
        history.store(connection).await?;
        store_ends(connection, &moved).await?;
        applied.positions = moved.iter().map(|(project, end)| (*project, end.position)).collect();
        if self.is_live() {
            announce_positions(connection, &applied.positions).await?;
        }
        Ok(applied)
    }
}

/// The events that are next for their project: without those applied before, and without a gap.
fn in_order<'e>(
    events: &[&'e Event],
    ends: &BTreeMap<ProjectId, HistoryEnd>,
    gaps: Gaps,
) -> Result<Vec<&'e Event>, Error> {
    let mut last: BTreeMap<ProjectId, u64> = ends.iter().map(|(project, end)| (*project, end.position)).collect();
    let mut jumped = BTreeSet::new();
    let mut next = Vec::with_capacity(events.len());
    for event in events.iter().copied() {
        let last = last.entry(event.project_id).or_default();
        if event.position <= *last {
            continue;
        }
        let is_gap = event.position > *last + 1;
        if is_gap && (gaps == Gaps::Refuse || !jumped.insert(event.project_id)) {
            return Err(Error::PositionGap {
                project_id: event.project_id,
                expected: *last + 1,
                found: event.position,
            });
        }
        *last = event.position;
        next.push(event);
    }
    Ok(next)
}
