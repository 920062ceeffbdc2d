//! The command service as a process of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use muster_command_service::{
    CommandService, GitProbe, Options, RepositoryProbe, Settings, TrustEverything, connect_log, http, may_pass,
};
use muster_service_kit::auth::InstanceToken;
use muster_service_kit::config::{Loader, LogKind};
use muster_service_kit::{Authenticator, Deferred, Readiness, Shutdown, Startup, health, limits, serve, telemetry};
use serde_json::json;

/// Takes commands over HTTP and appends the events that follow to the log.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// TCP port to listen on; 0 takes a free one.
    #[arg(long)]
    port: Option<u16>,
    /// Address to listen on.
    #[arg(long)]
    host: Option<String>,
    /// Takes projects whose repository is not on this machine, unseen.
    #[arg(long)]
    trust_repositories: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Loader::standard()
        .service_defaults(json!({ "http": { "port": 4401 } }))
        .flags(json!({ "http": { "port": arguments.port, "host": arguments.host } }))
        .load()?;
    telemetry::init(&config.telemetry)?;
    let shutdown = Shutdown::on_signals().context("signals cannot be handled")?;
    let authenticator = Authenticator::from_config(&config.auth)?;
    if authenticator.is_empty() {
        tracing::warn!("no token is configured: every command will be refused (`auth.tokens`)");
    }
    let log_is_shared = config.log.kind != LogKind::Memory;
    let instance_token = InstanceToken::from_config(&config.auth);
    anyhow::ensure!(
        instance_token.is_some() || !log_is_shared,
        "`auth.instance_token` is not set (MUSTER_AUTH__INSTANCE_TOKEN): other instances of this log are known by it. \
         Make one up, and give it to each: `openssl rand -hex 32`"
    );
    #[cfg(feature = "mutants")]
    muster_command_service::leave_a_process();
    let listener = serve::listen(&config.http).await?;
    let url = config.command.advertised_url.clone().map_or_else(|| listener.url(), Ok)?;
    tracing::info!(url = listener.url()?, "listening");
    if log_is_shared && config.command.advertised_url.is_none() && listener.local_addr()?.ip().is_unspecified() {
        tracing::warn!(url, "other machines cannot reach this instance there; set `command.advertised_url`");
    }
    let (readiness, deferred) = (Readiness::new(), Deferred::default());
    let startup = Startup::new(&config, &readiness, &shutdown);
    // Writers and requests stop only after the partitions were handed over and callers had time to go elsewhere.
    let stop = Shutdown::new();
    let drain = listener.drain();
    let grace = Duration::from_millis(config.http.shutdown_grace_ms);
    let serving = serve::serve(deferred.router(readiness.clone()), listener, &stop, grace);
    let working = async {
        if let Some(log) = startup.obtain("the log", async || connect_log(&config).await, may_pass).await? {
            let probe: Arc<dyn RepositoryProbe> =
                if arguments.trust_repositories { Arc::new(TrustEverything) } else { Arc::new(GitProbe) };
            let options =
                Options { settings: Settings::from_config(&config), url, probe, alone: false, instance_token };
            let service = CommandService::start(log, options, &stop);
            service.register_readiness(&readiness);
            let router = http::router(service.clone(), authenticator).merge(health::router(readiness));
            deferred.set(limits::standard_layers(router, &config));
            startup.finished();
            shutdown.triggered().await;
            service.hand_over(&drain, grace).await;
        }
        drain.end();
        stop.trigger();
        anyhow::Ok(())
    };
    tokio::try_join!(async { Ok(serving.await?) }, working)?;
    if !stop.drain(grace).await {
        tracing::warn!("writers did not stop in time");
    }
    Ok(())
}
