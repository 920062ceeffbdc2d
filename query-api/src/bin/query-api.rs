//! The query service as a process of its own. It must never do more than put together what the library gives.

use std::process::ExitCode;
use std::time::Duration;

use muster_query_api::QueryApi;
use muster_service_kit::config::Loader;
use muster_service_kit::{Config, Readiness, Shutdown, health, limits, serve, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let config: Config = Loader::standard().load()?;
    telemetry::init(&config.telemetry)?;
    let shutdown = Shutdown::on_signals()?;
    let listener = serve::listen(&config.http).await?;
    let url = listener.url()?;
    let readiness = Readiness::new();
    let served = QueryApi::connect(config.clone()).await?.router(&readiness, &shutdown).await?;
    let router = limits::standard_layers(served.merge(health::router(readiness)), &config);
    let grace = Duration::from_millis(config.http.shutdown_grace_ms);
    tracing::info!(%url, "the query service listens");
    serve::serve(router, listener, &shutdown, grace).await?;
    shutdown.drain(grace).await;
    Ok(())
}
