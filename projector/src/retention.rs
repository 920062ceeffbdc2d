//! Retention of agent output: lines are kept as long as the log keeps them, so that both show the same.

use std::time::Duration;

use muster_domain::time::Timestamp;
use muster_read_store::ReadStore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

const KEEP_DAYS: i64 = 30;
const PRUNE_EVERY: Duration = Duration::from_hours(1);
/// Lines of one delete, so that none holds its locks for long.
const CHUNK: u32 = 10_000;

/// Prunes at the start and then every hour, until `stop`.
pub(crate) async fn run(store: ReadStore, stop: CancellationToken) -> Result<(), Error> {
    let mut hourly = tokio::time::interval(PRUNE_EVERY);
    hourly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = hourly.tick() => prune(&store, &stop).await?,
        }
    }
}

async fn prune(store: &ReadStore, stop: &CancellationToken) -> Result<(), Error> {
    let before = Timestamp::from(chrono::Utc::now() - chrono::TimeDelta::days(KEEP_DAYS));
    let mut lines = 0;
    while !stop.is_cancelled() {
        let pruned = store.prune_output(before, CHUNK).await?;
        lines += pruned;
        if pruned < u64::from(CHUNK) {
            break;
        }
    }
    if lines > 0 {
        tracing::info!(lines, "pruned agent output older than {KEEP_DAYS} days");
    }
    Ok(())
}
