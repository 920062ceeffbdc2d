//! Hands what there is after a campaign to the checkers: what clients saw, the log as it lies there, and the tables before
//! and after a rebuild. It must never judge anything itself.

use std::time::Duration;

use anyhow::Context as _;
use muster_event_log::raw::RawLog;

use super::history::Entry;
use super::process;
use super::stage::Stage;
use crate::checks::{self, Evidence, Finding, Log, Tables};

/// How long reading the whole log anew may take.
const REBUILT_WITHIN: Duration = Duration::from_mins(5);
/// The topic of the events, as services are configured here.
const TOPIC: &str = "muster.events";

/// The whole log, once nobody writes it any more.
pub async fn whole_log(stage: &Stage) -> anyhow::Result<Log> {
    Log::read(&raw_log(stage).await).await.context("reading the log")
}

/// Looks at everything. Every service has stopped.
pub async fn verdict(stage: &Stage, history: Vec<Entry>, log: Log) -> anyhow::Result<Vec<Finding>> {
    let leftovers = process::left_over(&stage.mark);
    let tables = Tables::read(&stage.read_url().await?).await.context("reading the tables")?;
    stage.projector.lock().await.run_once(&["rebuild"], REBUILT_WITHIN).await.context("rebuilding")?;
    let rebuilt = Tables::read(&stage.read_url().await?).await.context("reading the rebuilt tables")?;
    let history = history.into_iter().collect();
    let evidence = Evidence { history, log, tables, rebuilt: Some(rebuilt), leftovers: Some(leftovers) };
    Ok(tokio::task::spawn_blocking(move || checks::check(&evidence)).await?)
}

/// Where the log is, without a link in between.
pub async fn raw_log(stage: &Stage) -> RawLog {
    match (&stage.kafka, &stage.addresses.registry) {
        (Some(kafka), Some(registry_url)) => RawLog::Kafka {
            bootstrap: kafka.lock().await.bootstrap(),
            registry_url: registry_url.clone(),
            topic: TOPIC.to_owned(),
        },
        _ => RawLog::Postgres { url: stage.log_url().await.unwrap_or_default() },
    }
}

impl Stage {
    /// The read model, without a link in between. Postgres has another port after each start.
    pub async fn read_url(&self) -> anyhow::Result<String> {
        self.postgres.lock().await.database(super::stage::READ_DATABASE)
    }

    async fn log_url(&self) -> anyhow::Result<String> {
        self.postgres.lock().await.database(super::stage::LOG_DATABASE)
    }
}
