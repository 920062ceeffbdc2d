//! Snapshots of a partition, so that taking it over does not take longer the longer its history is.
//!
//! They are an optimisation and nothing more: one that is missing, damaged or another build's is left out, and the whole
//! history is read instead. Taking one must never delay a command.

mod content;
mod format;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use muster_domain::id::EventId;
use muster_event_log::{Error as LogError, EventLog, LogOffset, LogRecord};
use parking_lot::RwLock;

use super::ledger::Ledger;
use super::memory::Window;
pub(crate) use content::Image;
use format::Error;

/// A snapshot of many things is taken less often: when this part of their number has been appended since.
const SIZE_PART: usize = 8;

/// Takes the snapshots of a partition, one at a time.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// Events after which another is taken; never when 0.
    every_events: usize,
    /// Things the newest one held.
    size: usize,
    under_way: Arc<AtomicBool>,
}

impl Snapshots {
    pub(super) fn new(every_events: usize) -> Self {
        #[cfg(feature = "mutants")]
        let every_events = crate::mutants::snapshot_every(every_events);
        Self { every_events, size: 0, under_way: Arc::default() }
    }

    /// Takes one beside everything else, if enough was committed since the last.
    pub(super) fn take_if_due(&mut self, log: &Arc<dyn EventLog>, partition: u32, ledger: &RwLock<Ledger>) {
        let due = self.every_events.max(self.size / SIZE_PART);
        if self.every_events == 0 || ledger.read().events_since_snapshot() < due {
            return;
        }
        if self.under_way.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(image) = ledger.write().image(partition) else {
            self.under_way.store(false, Ordering::Release);
            return;
        };
        #[cfg(feature = "mutants")]
        let image = crate::mutants::snapshot(image);
        self.size = image.size();
        let (log, under_way) = (Arc::clone(log), Arc::clone(&self.under_way));
        tokio::spawn(async move {
            keep(log.as_ref(), image).await;
            under_way.store(false, Ordering::Release);
        });
    }
}

async fn keep(log: &dyn EventLog, image: Image) {
    let (partition, next, started) = (image.partition, image.next, Instant::now());
    let encoded = tokio::task::spawn_blocking(move || image.encode()).await;
    let bytes = match encoded.map_err(std::io::Error::other).flatten() {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) => {
            tracing::warn!(partition, %error, "a snapshot cannot be written");
            return;
        }
    };
    let size_bytes = bytes.len();
    match log.put_snapshot(partition, bytes).await {
        Ok(()) => {
            let seconds = started.elapsed().as_secs_f64();
            metrics::histogram!("muster_command_snapshot_seconds").record(seconds);
            metrics::counter!("muster_command_snapshots_total", "outcome" => "kept").increment(1);
            tracing::debug!(partition, %next, size_bytes, seconds, "a snapshot is kept");
        }
        Err(error) => {
            metrics::counter!("muster_command_snapshots_total", "outcome" => "failed").increment(1);
            tracing::warn!(partition, %next, size_bytes, %error, "the log did not keep a snapshot");
        }
    }
}

/// Begins with the newest snapshot where nothing is known yet. What cannot be used is left out, with a line that says why.
pub(super) async fn restore(log: &dyn EventLog, partition: u32, ledger: &RwLock<Ledger>) -> Result<(), LogError> {
    if ledger.read().next() != LogOffset::START {
        return Ok(());
    }
    let started = Instant::now();
    let bytes = match log.snapshot(partition).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(()),
        Err(error) => {
            tracing::warn!(partition, %error, "no snapshot can be had; the whole history is read");
            return Ok(());
        }
    };
    let size_bytes = bytes.len();
    let empty = ledger.read().emptied();
    let decoded = tokio::task::spawn_blocking(move || Image::decode(&bytes)).await;
    let image = match decoded.unwrap_or(Err(Error::Damaged("it cannot be read"))) {
        Ok(image) => image,
        Err(error) => return left_out(partition, &error),
    };
    if let Err(error) = fits(log, partition, &empty, &image).await? {
        return left_out(partition, &error);
    }
    let next = image.next;
    let Ok(restored) = tokio::task::spawn_blocking(move || empty.restored(image)).await else {
        return left_out(partition, &Error::Damaged("its content does not fit together"));
    };
    *ledger.write() = restored;
    let seconds = started.elapsed().as_secs_f64();
    tracing::debug!(partition, %next, size_bytes, seconds, "a snapshot is read");
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "it ends a function that may fail otherwise")]
fn left_out(partition: u32, error: &Error) -> Result<(), LogError> {
    metrics::counter!("muster_command_snapshots_total", "outcome" => "left_out").increment(1);
    tracing::warn!(partition, %error, "a snapshot is left out; the whole history is read");
    Ok(())
}

/// Whether the image is of this log as it is now, and remembers as much as this process should.
async fn fits(
    log: &dyn EventLog,
    partition: u32,
    ledger: &Ledger,
    image: &Image,
) -> Result<Result<(), Error>, LogError> {
    let unfit = |reason: String| Ok(Err(Error::Unfit(reason)));
    if image.partition != partition {
        return unfit(format!("it is of partition {}", image.partition));
    }
    if !image.idempotency_window.covers(ledger.idempotency_window()) {
        let Window { project, partition } = image.idempotency_window;
        return unfit(format!("it remembers {project} commands of a project at most, {partition} in all"));
    }
    let end = log.end(partition).await?;
    if image.next > end {
        return unfit(format!("it is of offset {}, and the log ends at {end}", image.next));
    }
    // The record before it must be the one it was taken after: the log may have been made anew.
    match record_at(log, partition, LogOffset(image.next.0.saturating_sub(1))).await? {
        Record::Event(id) if id == image.last => {}
        // Retention took it: there is nothing to compare with, and nothing else to begin with.
        Record::Truncated => {}
        _ => return unfit(format!("the log has another event than {} before offset {}", image.last, image.next)),
    }
    for (project_id, (offset, _)) in &image.unreadable {
        if matches!(record_at(log, partition, *offset).await?, Record::Event(_)) {
            return unfit(format!("project {project_id} may be readable by now"));
        }
    }
    Ok(Ok(()))
}

enum Record {
    Event(EventId),
    Other,
    Truncated,
}

async fn record_at(log: &dyn EventLog, partition: u32, offset: LogOffset) -> Result<Record, LogError> {
    match log.read(partition, offset, 1).await {
        Ok(records) => Ok(match records.first() {
            Some(LogRecord { offset: at, payload: Ok(event), .. }) if *at == offset => Record::Event(event.id),
            _ => Record::Other,
        }),
        Err(LogError::Truncated { .. }) => Ok(Record::Truncated),
        Err(error) => Err(error),
    }
}
