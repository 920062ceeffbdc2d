//! The query service as a process of its own. It must never do more than put together what the library gives.

use std::process::ExitCode;
use std::time::Duration;

use muster_query_api::{Error, QueryApi};
use muster_service_kit::config::Loader;
use muster_service_kit::{Config, Deferred, Readiness, Shutdown, Startup, health, limits, serve, telemetry};

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
    tracing::info!(url = listener.url()?, "the query service listens");
    let (readiness, deferred) = (Readiness::new(), Deferred::default());
    let startup = Startup::new(&config, &readiness, &shutdown);
    let grace = Duration::from_millis(config.http.shutdown_grace_ms);
    let serving = serve::serve(deferred.router(readiness.clone()), listener, &shutdown, grace);
    let starting = async {
        let connect = async || QueryApi::connect(config.clone()).await?.router(&readiness, &shutdown).await;
        if let Some(served) = startup.obtain("the read store", connect, Error::may_pass).await? {
            deferred.set(limits::standard_layers(served.merge(health::router(readiness.clone())), &config));
            startup.finished();
        }
        anyhow::Ok(())
    };
    tokio::try_join!(async { Ok(serving.await?) }, starting)?;
    shutdown.drain(grace).await;
    Ok(())
}
