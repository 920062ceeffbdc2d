//! One partition: from the stored offset on, batch after batch, each in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_domain::event::Event;
use muster_event_log::{LogOffset, LogRecord};
use muster_read_store::Claim;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::Context;
use crate::collect::Batches;
use crate::counters;
use crate::error::Error;
use crate::poison;
use crate::release;

/// After so many starts that moved nothing, records are counted before they are read, one at a time.
const CAREFUL_AFTER: u32 = 2;
/// A record that was begun so many times and never finished is set aside unread.
const SET_ASIDE_AFTER: u32 = 3;

/// How often the consumer lag is looked at.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// The projection of one partition.
pub(crate) struct Partition {
    context: Context,
    partition: u32,
}

impl Partition {
    pub(crate) fn new(context: Context, partition: u32) -> Self {
        Self { context, partition }
    }

    /// Projects until `stop`, or until the log or the store fails. A start that neither moves the partition nor ends in
    /// good order has crashed, and counts.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let claim = self.context.store.claim_partition(self.partition).await?;
        let outcome = self.start(claim, stop).await;
        self.context.store.forget_attempts(self.partition).await?;
        outcome
    }

    async fn start(&self, claim: Claim, stop: CancellationToken) -> Result<(), Error> {
        let mut next_offset = claim.next_offset;
        if claim.attempts > CAREFUL_AFTER {
            tracing::warn!(partition = self.partition, attempts = claim.attempts, "going on with care");
            next_offset = self.go_carefully(next_offset, &stop).await?;
        }
        self.project(next_offset, stop).await
    }

    /// Takes as many records as a batch may hold, one at a time, each counted before it is read. Returns where to go on.
    /// Careful partitions take turns: a record that ends the process counts against nothing but itself.
    async fn go_carefully(&self, mut next_offset: i64, stop: &CancellationToken) -> Result<i64, Error> {
        for _ in 0..self.context.settings.batch_max_events {
            let _turn = self.context.careful.lock().await;
            if self.context.log.end(self.partition).await? <= LogOffset(next_offset) {
                break;
            }
            let begun = self.context.store.begin_record(self.partition).await?;
            if begun > SET_ASIDE_AFTER {
                poison::set_aside_unread(&self.context, self.partition, next_offset, begun - 1).await?;
                next_offset += 1;
                continue;
            }
            let records = self.context.log.read(self.partition, LogOffset(next_offset), 1).await?;
            let Some(last) = records.last() else {
                // What is left in the log is no record, so none was begun.
                self.context.store.forget_attempts(self.partition).await?;
                break;
            };
            next_offset = last.offset.next().0;
            self.take(records).await?;
            if stop.is_cancelled() {
                break;
            }
        }
        Ok(next_offset)
    }

    async fn project(&self, mut next_offset: i64, stop: CancellationToken) -> Result<(), Error> {
        let settings = self.context.settings;
        let stream = self.context.log.subscribe(self.partition, LogOffset(next_offset)).await?;
        let mut batches = Batches::new(stream, settings.batch_max_events, settings.batch_max_wait);
        let mut bell = self.context.bell.subscribe();
        let mut look_at_lag = tokio::time::interval(LAG_EVERY);
        look_at_lag.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.context.backlog.is_behind(self.partition) {
                self.look_for_end(next_offset).await?;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = bell.rung() => release::run(&self.context, self.partition).await?,
                _ = look_at_lag.tick() => {
                    let end = self.context.log.end(self.partition).await?;
                    counters::lag(self.partition, end.0.saturating_sub(next_offset));
                }
                batch = batches.next() => {
                    let batch = batch?;
                    if let Some(last) = batch.last() {
                        next_offset = last.offset.next().0;
                    }
                    self.take(batch).await?;
                }
            }
        }
    }

    /// Whether there is nothing left to read: then the partition has caught up.
    async fn look_for_end(&self, next_offset: i64) -> Result<(), Error> {
        if self.context.log.read(self.partition, LogOffset(next_offset), 1).await?.is_empty() {
            self.context.store.forget_attempts(self.partition).await?;
            self.context.backlog.caught_up(self.partition);
        }
        Ok(())
    }

    /// Applies the events of a batch and sets its poison records aside, in the order of the log.
    async fn take(&self, batch: Vec<LogRecord>) -> Result<(), Error> {
        let mut events: Vec<(i64, Arc<Event>)> = Vec::with_capacity(batch.len());
        for record in batch {
            match record.payload {
                Ok(event) => events.push((record.offset.0, event)),
                Err(poison) => {
                    self.apply(std::mem::take(&mut events)).await?;
                    poison::set_aside(&self.context, self.partition, record.offset, &poison).await?;
                }
            }
        }
        self.apply(events).await
    }

    async fn apply(&self, events: Vec<(i64, Arc<Event>)>) -> Result<(), Error> {
        let Some((last, _)) = events.last() else { return Ok(()) };
        let started = Instant::now();
        match self.context.store.apply_batch(self.partition, &events, last + 1).await {
            Ok(applied) => {
                counters::batch(self.partition, &events, &applied, started.elapsed());
                Ok(())
            }
            Err(error) if error.is_data() && events.len() == 1 => {
                let (offset, event) = &events[0];
                poison::set_aside_event(&self.context, self.partition, *offset, event, &error).await
            }
            Err(error) if error.is_data() => {
                tracing::warn!(partition = self.partition, %error, "a batch cannot be applied; taking it one by one");
                for event in events {
                    Box::pin(self.apply(vec![event])).await?;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
