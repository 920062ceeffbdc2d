//! The runner within this process.

use muster_service_kit::Shutdown;
use muster_service_kit::config::RunnerConfig;

use crate::error::Result;

pub async fn run(_config: RunnerConfig, stop: &Shutdown) -> Result {
    stop.triggered().await;
    Ok(())
}
