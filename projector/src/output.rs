//! Agent output: lines from the log into the store, beside the events and independent of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_event_log::{EventLog, LogOffset, OutputRecord};
use muster_read_store::{OutputLine, ReadStore};
use tokio_util::sync::CancellationToken;

use crate::collect::Batches;
use crate::error::Error;
use crate::settings::Settings;

/// Projects lines until `stop`, or until the log or the store fails.
pub(crate) async fn run(
    log: Arc<dyn EventLog>,
    store: ReadStore,
    settings: Settings,
    stop: CancellationToken,
) -> Result<(), Error> {
    let stored = store.output_offsets().await?;
    let from = (0..log.partition_count())
        .map(|partition| (partition, LogOffset(stored.get(&partition).copied().unwrap_or(0))))
        .collect();
    let stream = log.subscribe_output(from).await?;
    let mut batches = Batches::new(stream, settings.batch_max_events, settings.batch_max_wait);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            batch = batches.next() => append(&store, batch?).await?,
        }
    }
}

async fn append(store: &ReadStore, batch: Vec<OutputRecord>) -> Result<(), Error> {
    let mut next_offsets = BTreeMap::new();
    let mut lines = Vec::with_capacity(batch.len());
    for record in batch {
        next_offsets.insert(record.partition, record.offset.next().0);
        lines.push(OutputLine {
            project_id: record.line.project_id,
            task_id: record.line.task_id,
            run_id: record.line.run_id,
            line_number: record.line.line_number,
            written_at: record.line.timestamp,
            stream: record.line.stream.as_str().to_owned(),
            content: record.line.content,
        });
    }
    let stored = store.append_output(&lines, &next_offsets).await?;
    metrics::counter!("muster_projector_output_lines_total").increment(stored);
    Ok(())
}
