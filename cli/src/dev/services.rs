//! The services, put together in one process: one log, one read store, one port.
//! It must never give a service anything that it would not have in a process of its own.

use std::sync::Arc;
use std::time::Duration;

use muster_command_service::{CommandService, GitProbe, Options, Settings, connect_log, http};
use muster_event_log::EventLog;
use muster_query_api::QueryApi;
use muster_read_store::ReadStore;
use muster_service_kit::serve::HttpListener;
use muster_service_kit::{Authenticator, Config, Readiness, Shutdown, health, limits, serve};
use tokio::task::JoinSet;

use super::agents;
use crate::error::{Error, Result};

/// How long agents may take to be stopped and their work given back, while the other services still take reports.
const AGENTS_WITHIN: Duration = Duration::from_secs(15);
/// How long the other services may take after that.
const SERVICES_WITHIN: Duration = Duration::from_secs(5);

/// Running services.
pub struct Services {
    readiness: Readiness,
    parts: JoinSet<Error>,
    /// The runner's stop: it ends first.
    agents: Shutdown,
    /// The stop of everything else.
    core: Shutdown,
}

impl Services {
    /// Starts all of them; [`Services::readiness`] tells when they are ready.
    pub async fn start(config: &Config, listener: HttpListener, with_runner: bool) -> Result<Self> {
        let (agents, core) = (Shutdown::new(), Shutdown::new());
        let readiness = Readiness::new();
        let mut parts = JoinSet::new();
        let log = connect_log(config).await.map_err(|error| Error::Failed(format!("{error:#}")))?;
        let store = connect_store(config).await?;

        start_projector(&mut parts, config, Arc::clone(&log), store, &readiness, &core);
        let url = listener.url().map_err(|error| Error::Failed(error.to_string()))?;
        let router = limits::standard_layers(router(config, url, log, &readiness, &core).await?, config);
        let (stop, grace) = (core.clone(), Duration::from_millis(config.http.shutdown_grace_ms));
        parts.spawn(async move { ended("HTTP", serve::serve(router, listener, &stop, grace).await) });
        if with_runner {
            let (config, stop) = (config.runner.clone(), agents.clone());
            parts.spawn(async move { ended("the runner", agents::run(config, stop).await) });
        }
        Ok(Self { readiness, parts, agents, core })
    }

    /// Whether all of them are ready.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Returns when one of them has ended by itself.
    pub async fn failed(&mut self) -> Error {
        match self.parts.join_next().await {
            Some(Ok(error)) => error,
            Some(Err(error)) => Error::Failed(error.to_string()),
            None => std::future::pending().await,
        }
    }

    /// Stops the agents, then everything else. Whether all of it ended in time.
    pub async fn stop(mut self) -> bool {
        let agents = self.agents.drain(AGENTS_WITHIN).await;
        let core = self.core.drain(SERVICES_WITHIN).await;
        let parts = async { while self.parts.join_next().await.is_some() {} };
        agents && core && tokio::time::timeout(SERVICES_WITHIN, parts).await.is_ok()
    }
}

async fn connect_store(config: &Config) -> Result<ReadStore> {
    let url = config.read_store.url.as_ref().ok_or_else(|| Error::Usage("`read_store.url` is not set".to_owned()))?;
    let store = ReadStore::connect(url.expose(), config.read_store.max_connections).await;
    store.map_err(|error| Error::Failed(format!("read store: {error}")))
}

fn start_projector(
    parts: &mut JoinSet<Error>,
    config: &Config,
    log: Arc<dyn EventLog>,
    store: ReadStore,
    readiness: &Readiness,
    stop: &Shutdown,
) {
    let settings = muster_projector::Settings::from(&config.projector);
    let (readiness, stop) = (readiness.clone(), stop.token());
    parts.spawn(
        async move { ended("the projector", muster_projector::run(log, store, settings, &readiness, stop).await) },
    );
}

/// The routes of both sides and of health.
async fn router(
    config: &Config,
    url: String,
    log: Arc<dyn EventLog>,
    readiness: &Readiness,
    stop: &Shutdown,
) -> Result<axum::Router> {
    let authenticator = Authenticator::from_config(&config.auth).map_err(|error| Error::Usage(error.to_string()))?;
    let settings = Settings::from_config(config);
    let options = Options { settings, url, probe: Arc::new(GitProbe), alone: true, instance_token: None };
    let commands = CommandService::start(log, options, stop);
    commands.register_readiness(readiness);
    let queries = QueryApi::connect(config.clone()).await.map_err(|error| Error::Failed(error.to_string()))?;
    let queries = queries.router(readiness, stop).await.map_err(|error| Error::Failed(error.to_string()))?;
    Ok(http::router(commands, authenticator).merge(queries).merge(health::router(readiness.clone())))
}

fn ended<E: std::fmt::Display>(part: &str, outcome: std::result::Result<(), E>) -> Error {
    match outcome {
        Ok(()) => Error::Failed(format!("{part} ended")),
        Err(error) => Error::Failed(format!("{part} failed: {error}")),
    }
}
