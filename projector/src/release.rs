//! Releases: a dead letter is tried again or left out, and what waited behind it is read from the log and applied.

use std::sync::Arc;

use muster_domain::event::Event;
use muster_event_log::LogOffset;
use muster_read_store::{Gaps, Listener, Parked, Poisoned, ReadStore, Release, Wakeup};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Context;
use crate::error::Error;
use crate::poison;

/// Rings when someone asked for a release, or may have.
#[derive(Clone)]
pub(crate) struct ReleaseBell {
    rings: watch::Sender<u64>,
}

impl Default for ReleaseBell {
    fn default() -> Self {
        Self { rings: watch::Sender::new(0) }
    }
}

/// One partition's ear for the bell.
pub(crate) struct ReleaseEar {
    rings: watch::Receiver<u64>,
}

impl ReleaseBell {
    /// An ear that hears the bell once at the start, and then whenever it rings.
    pub(crate) fn subscribe(&self) -> ReleaseEar {
        let mut rings = self.rings.subscribe();
        rings.mark_changed();
        ReleaseEar { rings }
    }

    /// Listens to the store and rings, until `stop`.
    pub(crate) async fn listen(self, store: ReadStore, stop: CancellationToken) -> Result<(), Error> {
        let mut listener = Listener::connect(&store).await?;
        // What was asked for before this returned was not heard.
        self.ring();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                wakeup = listener.next() => {
                    if matches!(wakeup, Wakeup::DeadLetters | Wakeup::Reconnected) {
                        self.ring();
                    }
                }
            }
        }
    }

    fn ring(&self) {
        self.rings.send_modify(|rings| *rings += 1);
    }
}

impl ReleaseEar {
    /// Waits until the bell rings. Safe to cancel.
    pub(crate) async fn rung(&mut self) {
        if self.rings.changed().await.is_err() {
            // The bell lives as long as the projector.
            std::future::pending::<()>().await;
        }
    }
}

/// Carries out every release that was asked for in a partition.
pub(crate) async fn run(context: &Context, partition: u32) -> Result<(), Error> {
    for parked in context.store.parked(partition).await? {
        if let Some(release) = parked.release {
            carry_out(context, parked, release).await?;
        }
    }
    Ok(())
}

async fn carry_out(context: &Context, mut parked: Parked, release: Release) -> Result<(), Error> {
    let mut gaps = if release == Release::Discard { Gaps::AllowFirst } else { Gaps::Refuse };
    loop {
        let chunk = waiting(context, &parked, release).await?;
        let outcome = context.store.apply_released(&parked, &chunk.events, chunk.next_offset, gaps).await;
        match outcome {
            Ok((applied, is_finished)) => {
                if applied.events > 0 {
                    gaps = Gaps::Refuse;
                }
                parked.from_offset = chunk.next_offset;
                if let Some(poisoned) = chunk.poisoned {
                    return park_again(context, &parked, &poisoned).await;
                }
                if is_finished {
                    tracing::info!(project_id = %parked.project_id, ?release, "a dead letter was released");
                    return Ok(());
                }
            }
            Err(error) if error.is_data() => {
                if let Some(poisoned) = one_by_one(context, &mut parked, chunk, &mut gaps).await? {
                    return park_again(context, &parked, &poisoned).await;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Events of a parked project, up to the next record that cannot be read.
struct Chunk {
    events: Vec<Arc<Event>>,
    offsets: Vec<i64>,
    next_offset: i64,
    poisoned: Option<Poisoned>,
}

async fn waiting(context: &Context, parked: &Parked, release: Release) -> Result<Chunk, Error> {
    let max = context.settings.batch_max_events;
    // Asked before reading: with nothing left to read, all that came before this end is behind us, and no more than that.
    let end = context.log.end(parked.partition).await?;
    let records = context.log.read(parked.partition, LogOffset(parked.from_offset), max).await?;
    let next_offset = parked.from_offset.max(end.0);
    let mut chunk = Chunk { events: Vec::new(), offsets: Vec::new(), next_offset, poisoned: None };
    for record in records {
        chunk.next_offset = record.offset.next().0;
        if release == Release::Discard && record.offset.0 == parked.log_offset {
            continue;
        }
        match record.payload {
            Ok(event) if event.project_id == parked.project_id => {
                chunk.events.push(event);
                chunk.offsets.push(record.offset.0);
            }
            Err(poison) if poison.project_id == Some(parked.project_id) => {
                chunk.poisoned = Some(poison::from_poison(parked.partition, record.offset, &poison));
                chunk.next_offset = record.offset.0;
                break;
            }
            _ => {}
        }
    }
    Ok(chunk)
}

/// Applies a chunk event by event, until one fails by its own fault: that one is returned.
async fn one_by_one(
    context: &Context,
    parked: &mut Parked,
    chunk: Chunk,
    gaps: &mut Gaps,
) -> Result<Option<Poisoned>, Error> {
    for (event, offset) in chunk.events.into_iter().zip(chunk.offsets) {
        match context.store.apply_released(parked, std::slice::from_ref(&event), offset + 1, *gaps).await {
            Ok((applied, _)) => {
                if applied.events > 0 {
                    *gaps = Gaps::Refuse;
                }
                parked.from_offset = offset + 1;
            }
            Err(error) if error.is_data() => {
                return Ok(Some(poison::from_event(parked.partition, offset, &event, &error)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

async fn park_again(context: &Context, parked: &Parked, poisoned: &Poisoned) -> Result<(), Error> {
    poison::publish(context, poisoned, 2).await?;
    context.store.repark(parked, poisoned).await?;
    tracing::warn!(
        project_id = %parked.project_id, offset = poisoned.log_offset, error = poisoned.error,
        "a released record failed; its project waits again"
    );
    Ok(())
}
