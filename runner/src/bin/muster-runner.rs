//! The runner as a process of its own. It must never do more than read its configuration and start [`muster_runner`].

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use muster_client::Client;
use muster_runner::settings::Settings;
use muster_service_kit::{Config, Shutdown, telemetry};

/// Claims work from the command service and does it with agents in isolated worktrees.
#[derive(Debug, Parser)]
#[command(name = "muster-runner", version)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Works until it is stopped (also without a subcommand).
    Run,
    /// Is the rehearsal agent: speaks the Agent Client Protocol on standard streams.
    RehearsalAgent,
}

fn main() -> anyhow::Result<ExitCode> {
    if let Some(What::RehearsalAgent) = Arguments::parse().what {
        let code = muster_runner::rehearsal_agent_main();
        return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
    }
    work()?;
    Ok(ExitCode::SUCCESS)
}

#[tokio::main]
async fn work() -> anyhow::Result<()> {
    let config = Config::load()?;
    telemetry::init(&config.telemetry)?;
    let token = config.runner.token.as_ref().context("runner.token is not set")?;
    let client = Client::new(&config.runner.command_url, token.expose())?.with_source("orchestrator");
    let shutdown = Shutdown::on_signals()?;
    muster_runner::run(Settings::from_config(&config.runner), Arc::new(client), shutdown).await?;
    Ok(())
}
