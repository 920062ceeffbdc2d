//! `muster dev`: every service in one process on one port, on servers of its own, with its data kept.
//! It must never behave otherwise than the services do when they run apart: it only puts them together.

mod agents;
mod banner;
mod servers;
mod services;
mod settings;

use std::time::{Duration, Instant};

use muster_service_kit::{Readiness, Shutdown, serve, telemetry};
use muster_test_kit::process;

use crate::args::{DevArgs, GlobalArgs};
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::output::Output;
use banner::Banner;
use servers::Servers;
use services::Services;

/// How long everything may take to become ready, once its servers are.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// Pause between two looks at whether it is.
const READY_PAUSE: Duration = Duration::from_millis(20);
/// Pause between two looks at whether a server still runs.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

pub async fn run(args: &DevArgs, global: &GlobalArgs, output: Output) -> Result {
    let data = DataDir::locate(global.data_dir.as_deref())?;
    data.create()?;
    let held = process::hold(data.root()).map_err(Error::io(data.root()))?;
    let _held = held.ok_or_else(|| in_use(&data))?;

    let mut config = settings::load(args)?;
    telemetry::init(&config.telemetry).map_err(|error| Error::Usage(error.to_string()))?;
    let listener = serve::listen(&config.http).await.map_err(|error| cannot_listen(&error))?;
    let url = listener.url().map_err(Error::doing("the listener"))?;
    let shutdown = Shutdown::on_signals().map_err(Error::doing("signal handlers"))?;

    let servers = Servers::start(&data, args.kafka, output);
    let mut servers = tokio::select! {
        servers = servers => servers?,
        () = shutdown.triggered() => return Ok(()),
    };
    settings::complete(&mut config, &url, &servers, &data)?;
    let mut services = Services::start(&config, listener, !args.no_runner).await?;
    let outcome = serve_until_stopped(&mut services, &mut servers, &shutdown, &data, output, &url).await;
    data.remove_url();
    output.note("Stopping ...");
    if !services.stop().await {
        tracing::warn!("work was still going on; it is left, and taken up again at the next start");
    }
    outcome
}

async fn serve_until_stopped(
    services: &mut Services,
    servers: &mut Servers,
    shutdown: &Shutdown,
    data: &DataDir,
    output: Output,
    url: &str,
) -> Result {
    tokio::select! {
        ready = until_ready(services.readiness()) => ready?,
        failed = services.failed() => return Err(failed),
        () = shutdown.triggered() => return Ok(()),
    }
    data.write_url(url)?;
    Banner::new(url, data, servers)?.write(output)?;
    tokio::select! {
        failed = services.failed() => Err(failed),
        stopped = watch(servers) => Err(Error::Failed(format!("{stopped} has stopped; see its log in {}", data.root().display()))),
        () = shutdown.triggered() => Ok(()),
    }
}

/// Waits until every readiness check passes.
async fn until_ready(readiness: Readiness) -> Result {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let failing = readiness.failing().await;
        if failing.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let failing: Vec<_> = failing.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
            return Err(Error::Failed(format!("not ready within {READY_WITHIN:?}: {}", failing.join("; "))));
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
}

/// Returns when one of the servers has stopped by itself.
async fn watch(servers: &mut Servers) -> &'static str {
    loop {
        if let Some(stopped) = servers.stopped() {
            return stopped;
        }
        tokio::time::sleep(WATCH_PAUSE).await;
    }
}

fn in_use(data: &DataDir) -> Error {
    let at = data.url().ok().flatten().map(|url| format!(" at {url}")).unwrap_or_default();
    Error::Failed(format!(
        "another `muster dev` runs on {}{at}: stop it, or give this one a folder of its own with --data-dir",
        data.root().display()
    ))
}

fn cannot_listen(error: &serve::Error) -> Error {
    match error {
        serve::Error::PortInUse { host, port } => {
            Error::Failed(format!("port {port} on {host} is in use: choose another with --port (0 takes a free one)"))
        }
        other => Error::Failed(other.to_string()),
    }
}
