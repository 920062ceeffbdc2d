//! The `projector` process: configuration in, projection and health out; and the dead letters, by hand.
//! It must never hold logic of the projection itself: that is the library's.

mod dead_letters;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use muster_event_log::kafka::KafkaConfig;
use muster_event_log::postgres::PostgresConfig;
use muster_event_log::{EventLog, LogConfig};
use muster_projector::Settings;
use muster_read_store::ReadStore;
use muster_service_kit::config::{Config, LogKind};
use muster_service_kit::{Readiness, Shutdown, Startup, health, serve, telemetry};

/// Reads the log and writes the read model.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Project until stopped (the default).
    Run,
    /// Read the whole log anew beside the live read model, then put the result in its place.
    Rebuild,
    /// List, inspect, retry and discard records that could not be applied.
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Config::load()?;
    telemetry::init(&config.telemetry)?;
    match arguments.command.unwrap_or(Command::Run) {
        Command::Run => project(&config).await,
        Command::Rebuild => rebuild(&config).await,
        Command::DeadLetters(command) => dead_letters::run(&connect_store(&config).await?, command).await,
    }
}

async fn project(config: &Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let readiness = Readiness::new();
    let startup = Startup::new(config, &readiness, &shutdown);
    let listener = serve::bind(&config.http.host, config.projector.health_port).await?;
    let grace = Duration::from_millis(config.http.shutdown_grace_ms);
    let (router, stop) = (health::router(readiness.clone()), shutdown.clone());
    tracing::info!(address = %listener.local_addr()?, "health and metrics");
    shutdown.spawn(async move {
        if let Err(error) = serve::serve(router, listener, &stop, grace).await {
            tracing::error!(%error, "health and metrics are gone");
        }
    });
    let outcome = project_once_there(config, &startup, &readiness, &shutdown).await;
    shutdown.drain(grace).await;
    outcome
}

/// Waits for log and read store, then projects until stopped.
async fn project_once_there(
    config: &Config,
    startup: &Startup,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let Some(log) = startup.obtain("the log", async || connect_log(config).await, may_pass).await? else {
        return Ok(());
    };
    let Some(store) = startup.obtain("the read store", async || connect_store(config).await, may_pass).await? else {
        return Ok(());
    };
    let checked = store.clone();
    readiness.register("read_store", move || {
        let store = checked.clone();
        async move { store.ping().await.map_err(|error| error.to_string()) }
    });
    let settings = Settings::from(&config.projector);
    let projecting = muster_projector::run(log, store, settings, readiness, shutdown.token());
    startup.finished();
    Ok(projecting.await?)
}

/// Whether the server may be there later.
fn may_pass(error: &anyhow::Error) -> bool {
    error.downcast_ref::<muster_event_log::Error>().is_some_and(muster_event_log::Error::is_transient)
        || error.downcast_ref::<muster_read_store::Error>().is_some_and(muster_read_store::Error::may_pass)
}

async fn rebuild(config: &Config) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let log = connect_log(config).await?;
    let settings = Settings::from(&config.projector);
    let connections = config.read_store.max_connections;
    let is_done = muster_projector::rebuild(log, store_url(config)?, connections, settings, shutdown.token()).await?;
    anyhow::ensure!(is_done, "stopped on the way; the read model is as it was");
    Ok(())
}

fn store_url(config: &Config) -> anyhow::Result<&str> {
    let url = config.read_store.url.as_ref();
    Ok(url.context("configuration key `read_store.url` is not set (MUSTER_READ_STORE__URL)")?.expose())
}

async fn connect_store(config: &Config) -> anyhow::Result<ReadStore> {
    Ok(ReadStore::connect(store_url(config)?, config.read_store.max_connections).await?)
}

async fn connect_log(config: &Config) -> anyhow::Result<Arc<dyn EventLog>> {
    let kafka = &config.log.kafka;
    let log = match config.log.kind {
        LogKind::Postgres => {
            let url = config
                .log
                .postgres_url
                .as_ref()
                .context("configuration key `log.postgres_url` is not set (MUSTER_LOG__POSTGRES_URL)")?;
            LogConfig::Postgres(PostgresConfig {
                request_timeout_ms: config.log.postgres_request_timeout_ms,
                lock_timeout_ms: config.log.postgres_lock_timeout_ms,
                ..PostgresConfig::new(url.expose())
            })
        }
        LogKind::Kafka => LogConfig::Kafka(KafkaConfig {
            topic_prefix: kafka.topic_prefix.clone(),
            partitions: kafka.partitions,
            replication_factor: kafka.replication_factor,
            transaction_timeout_ms: kafka.transaction_timeout_ms,
            stall_timeout_ms: kafka.stall_timeout_ms,
            properties: kafka.librdkafka_properties(),
            ..KafkaConfig::new(&kafka.bootstrap, &kafka.registry_url)
        }),
        LogKind::Memory => anyhow::bail!("a log in memory ends with its process: a projector alone has none to read"),
    };
    Ok(muster_event_log::connect(&log).await?)
}
