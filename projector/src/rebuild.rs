//! Rebuilds the read model from the log, beside the live one and without stopping it, and swaps the two.

use std::sync::Arc;
use std::time::Duration;

use muster_event_log::EventLog;
use muster_read_store::Rebuild;
use muster_service_kit::Readiness;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::backlog::Backlog;
use crate::error::Error;
use crate::settings::Settings;
use crate::{Context, spawn_partitions};

/// How often it looks whether the new schema has caught up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Reads the whole log into a schema of its own, waits until that is as far as the live one, and puts it in its place.
/// Returns whether it did: a `shutdown` on the way leaves the live read model as it is.
pub async fn rebuild(
    log: Arc<dyn EventLog>,
    url: &str,
    max_connections: u32,
    settings: Settings,
    shutdown: CancellationToken,
) -> Result<bool, Error> {
    let rebuild = Rebuild::start(url, max_connections).await?;
    let readiness = Readiness::new();
    let backlog = Backlog::new(log.partition_count(), readiness.flag("rebuild"));
    let store = rebuild.store().clone();
    let context = Context::new(log, store, settings, backlog);
    let stop = shutdown.child_token();
    let filling = spawn_partitions(&context, &stop);
    let filling: JoinHandle<()> = tokio::spawn(async move {
        filling.join_all().await;
    });
    let filling = AbortOnDropHandle::new(filling);
    while !context.backlog.is_empty() {
        if pause(&shutdown).await {
            return Ok(false);
        }
    }
    tracing::info!("the new read model has caught up; holding the live one for the swap");
    let held = rebuild.hold_live().await?;
    while !held.is_caught_up().await? {
        if pause(&shutdown).await {
            return Ok(false);
        }
    }
    stop.cancel();
    // It ends in good order; a panic inside a partition was dealt with by its supervisor.
    drop(filling.await);
    held.swap().await?;
    Ok(true)
}

/// Waits a little. Returns whether it is time to stop.
async fn pause(shutdown: &CancellationToken) -> bool {
    tokio::time::timeout(LOOK_EVERY, shutdown.cancelled()).await.is_ok()
}
