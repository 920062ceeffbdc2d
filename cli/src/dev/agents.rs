//! The runner within this process. It talks to the other services over HTTP, as one elsewhere would.

use std::sync::Arc;

use muster_client::Client;
use muster_runner::Settings;
use muster_service_kit::Shutdown;
use muster_service_kit::config::RunnerConfig;

use crate::error::{Error, Result};

/// Works until the stop is asked for and the agents have ended.
pub async fn run(config: RunnerConfig, stop: Shutdown) -> Result {
    let token = config.token.as_ref().map(|token| token.expose().to_owned()).unwrap_or_default();
    let client = Client::new(&config.command_url, &token)?.with_source("orchestrator");
    let settings = Settings::from_config(&config);
    muster_runner::run(settings, Arc::new(client), stop).await.map_err(|error| Error::Failed(error.to_string()))
}
