//! Records that cannot be read or applied: first to the dead-letter topic, then set aside in the store, which moves the
//! partition on. A crash between the two repeats the first; it never loses the record.

use muster_domain::event::Event;
use muster_domain::time::Timestamp;
use muster_event_log::{DeadLetter, LogOffset, Poison};
use muster_read_store::{LIVE_SCHEMA, PROJECTION, ParkOutcome, Poisoned};
use muster_service_kit::mutant;

use crate::Context;
use crate::error::Error;
use crate::release;

/// Sets aside a record that holds no event this build can read.
pub(crate) async fn set_aside(
    context: &Context,
    partition: u32,
    offset: LogOffset,
    poison: &Poison,
) -> Result<(), Error> {
    send(context, &from_poison(partition, offset, poison), 1).await
}

/// Sets aside an event that the store refuses.
pub(crate) async fn set_aside_event(
    context: &Context,
    partition: u32,
    offset: i64,
    event: &Event,
    error: &muster_read_store::Error,
) -> Result<(), Error> {
    send(context, &from_event(partition, offset, event, error), 1).await
}

/// Sets aside whatever is at an offset, without reading it: reading it ended the process again and again.
pub(crate) async fn set_aside_unread(
    context: &Context,
    partition: u32,
    offset: i64,
    attempts: u32,
) -> Result<(), Error> {
    let poisoned = Poisoned {
        partition,
        log_offset: offset,
        project_id: None,
        task_id: None,
        event_type: None,
        error: format!("the projector ended {attempts} times while it read this record"),
        raw: Vec::new(),
        headers: serde_json::json!({}),
    };
    send(context, &poisoned, attempts).await
}

pub(crate) fn from_poison(partition: u32, offset: LogOffset, poison: &Poison) -> Poisoned {
    let headers: serde_json::Map<_, _> =
        poison.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    Poisoned {
        partition,
        log_offset: offset.0,
        project_id: poison.project_id,
        task_id: None,
        event_type: poison.event_type.clone(),
        error: poison.error.clone(),
        raw: poison.value.to_vec(),
        headers: headers.into(),
    }
}

/// The value of an event that was read but not applied is its JSON.
pub(crate) fn from_event(partition: u32, offset: i64, event: &Event, error: &muster_read_store::Error) -> Poisoned {
    Poisoned {
        partition,
        log_offset: offset,
        project_id: Some(event.project_id),
        task_id: event.task_id,
        event_type: Some(event.event_type().to_owned()),
        error: error.to_string(),
        raw: serde_json::to_vec(event).unwrap_or_default(),
        headers: serde_json::json!({ "content-type": "application/json" }),
    }
}

async fn send(context: &Context, poisoned: &Poisoned, attempts: u32) -> Result<(), Error> {
    if mutant::is("forget_dead_letter") {
        context.store.apply_batch(poisoned.partition, &[], poisoned.log_offset + 1).await?;
        return Ok(());
    }
    publish(context, poisoned, attempts).await?;
    match context.store.park(poisoned).await? {
        ParkOutcome::Waits => {}
        ParkOutcome::DiscardedBefore => release::run(context, poisoned.partition).await?,
        ParkOutcome::Parked => {
            metrics::counter!("muster_projector_dead_letters_total").increment(1);
            tracing::error!(
                partition = poisoned.partition,
                offset = poisoned.log_offset,
                project_id = poisoned.project_id.map(|id| id.to_string()),
                event_type = poisoned.event_type,
                error = poisoned.error,
                "a record was set aside; its project waits until the dead letter is retried or discarded"
            );
        }
    }
    Ok(())
}

/// Puts a record on the dead-letter topic. A rebuild meets the same records again and tells nobody.
pub(crate) async fn publish(context: &Context, poisoned: &Poisoned, attempts: u32) -> Result<(), Error> {
    if context.store.schema() != LIVE_SCHEMA {
        return Ok(());
    }
    let headers = poisoned.headers.as_object().into_iter().flatten();
    let letter = DeadLetter {
        partition: poisoned.partition,
        offset: LogOffset(poisoned.log_offset),
        consumer: PROJECTION.to_owned(),
        error: poisoned.error.clone(),
        attempts,
        failed_at: Timestamp::from(chrono::Utc::now()),
        event_type: poisoned.event_type.clone(),
        project_id: poisoned.project_id,
        value: poisoned.raw.clone().into(),
        headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
    };
    Ok(context.log.dead_letter(letter).await?)
}
