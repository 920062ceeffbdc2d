//! `loadtest`: measures scenarios and prints each figure beside its limit.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use muster_loadtest::{Bounds, Kafka, Machine, Postgres, Report, scenario};

/// Measures Muster beside what the same machine does at best in the same run.
///
/// Servers are started for the run, on the loopback address only, and removed with it.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
struct Arguments {
    /// What to measure; everything when left out.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Sizes of batches, in events.
    #[arg(long, value_delimiter = ',')]
    batches: Option<Vec<usize>>,
    /// Rounds of each figure. The product and its limits take turns in every round.
    #[arg(long, default_value_t = Bounds::default().rounds)]
    rounds: u32,
    /// Events of a turn, where the batch size leaves the choice.
    #[arg(long, default_value_t = Bounds::default().events_per_turn)]
    events_per_turn: usize,
    /// Seconds after which no further round of a figure is begun.
    #[arg(long, default_value_t = Bounds::default().seconds_max)]
    seconds_max: u64,
    /// Writes the figures as JSON to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Scenario {
    /// Appends to the log in Kafka.
    AppendKafka,
    /// Appends to the log in Postgres.
    AppendPostgres,
    /// From events to rows of the read model.
    Project,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let bounds = Bounds {
        rounds: arguments.rounds,
        events_per_turn: arguments.events_per_turn,
        seconds_max: arguments.seconds_max,
        ..Bounds::default()
    };
    let all = || Scenario::value_variants().iter().copied().collect();
    let chosen: BTreeSet<_> =
        if arguments.scenarios.is_empty() { all() } else { arguments.scenarios.iter().copied().collect() };
    let mut report = Report { machine: Machine::here(), figures: Vec::new() };
    for scenario in chosen {
        let figures = measure(scenario, arguments.batches.as_deref(), &bounds).await;
        report.figures.extend(figures.with_context(|| format!("scenario {scenario:?}"))?);
    }
    report.machine.end();
    std::io::stdout().lock().write_all(report.table().as_bytes())?;
    if let Some(file) = arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(&file, json + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

async fn measure(
    scenario: Scenario,
    batches: Option<&[usize]>,
    bounds: &Bounds,
) -> anyhow::Result<Vec<muster_loadtest::Figure>> {
    match scenario {
        Scenario::AppendKafka => {
            let kafka = Kafka::start().await?;
            scenario::append_kafka::run(&kafka.address(), batches.unwrap_or(&[1, 100, 1000]), bounds).await
        }
        Scenario::AppendPostgres => {
            let postgres = Postgres::start().await?;
            let url = postgres.database("log")?;
            scenario::append_postgres::run(&url, batches.unwrap_or(&[1, 100, 1000]), bounds).await
        }
        Scenario::Project => {
            let postgres = Postgres::start().await?;
            let url = postgres.database("read")?;
            scenario::project::run(&url, batches.unwrap_or(&[100, 1000]), bounds).await
        }
    }
}
