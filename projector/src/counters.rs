//! What the projector counts. Names end in their unit.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::event::Event;
use muster_domain::time::Timestamp;
use muster_read_store::Applied;

/// Counts one batch: its size, how long it took, and how old its last event was when it was readable.
#[expect(clippy::cast_precision_loss, reason = "a batch is far smaller than 2^52 events, and a delay than 2^52 ms")]
pub(crate) fn batch(partition: u32, events: &[(i64, Arc<Event>)], applied: &Applied, took: Duration) {
    let label = partition.to_string();
    metrics::counter!("muster_projector_applied_events_total", "partition" => label.clone())
        .increment(applied.events as u64);
    metrics::counter!("muster_projector_skipped_events_total", "partition" => label.clone())
        .increment(applied.skipped as u64);
    metrics::counter!("muster_projector_written_rows_total").increment(applied.rows as u64);
    metrics::histogram!("muster_projector_batch_events").record(events.len() as f64);
    metrics::histogram!("muster_projector_apply_seconds").record(took.as_secs_f64());
    if let Some((offset, event)) = events.last() {
        let delay_ms = Timestamp::from(chrono::Utc::now()).ms_since(event.timestamp);
        metrics::histogram!("muster_projector_delay_seconds").record(delay_ms as f64 / 1000.0);
        metrics::gauge!("muster_projector_next_offset", "partition" => label).set((*offset + 1) as f64);
    }
}

/// Says how far a partition is behind the end of the log, in offsets. Offsets that hold no event count as well.
#[expect(clippy::cast_precision_loss, reason = "a lag is far smaller than 2^52")]
pub(crate) fn lag(partition: u32, offsets: i64) {
    metrics::gauge!("muster_projector_consumer_lag_offsets", "partition" => partition.to_string()).set(offsets as f64);
}
