//! `loadtest`: measures scenarios and prints each figure beside its limit; runs fault campaigns.

mod cli;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use muster_loadtest::campaign;
use muster_loadtest::{Bounds, Database, Figure, Kafka, Log, Machine, Postgres, Programs, Report, scenario};

/// Measures Muster beside what the same machine does at best in the same run.
///
/// Servers are started for the run, on the loopback address only, and removed with it.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    measure: Measure,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Runs the services under load while they are killed, frozen and cut off, then checks that nothing was lost.
    Campaign(cli::campaign::Arguments),
    /// Shows that the checkers notice mistakes: runs a campaign for each that the services can be told to make.
    Mutants(cli::mutants::Arguments),
}

#[derive(Debug, clap::Args)]
struct Measure {
    /// What to measure; everything when left out.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Sizes of batches, in events.
    #[arg(long, value_delimiter = ',')]
    batches: Option<Vec<usize>>,
    /// Connections that each send one command after the other, for `commands-http`: on one partition with each number, on
    /// twelve with the largest.
    #[arg(long, value_delimiter = ',', default_values_t = [4096, 1024, 256, 64])]
    connections: Vec<usize>,
    /// Rounds of each figure. The product and its limits take turns in every round.
    #[arg(long, default_value_t = Bounds::default().rounds)]
    rounds: u32,
    /// Events of a turn, where the batch size leaves the choice.
    #[arg(long, default_value_t = Bounds::default().events_per_turn)]
    events_per_turn: usize,
    /// Seconds after which no further round of a figure is begun.
    #[arg(long, default_value_t = Bounds::default().seconds_max)]
    seconds_max: u64,
    /// Seconds of Muster's work before the first round of each figure that do not count, for `commands-http`,
    /// `commands-batch` and `latency`: a broker's JVM compiles for that long what it does often.
    #[arg(long, default_value_t = 20)]
    warm_up_seconds: u64,
    /// How Muster reaches Postgres. Its limits use the faster way always, which is the socket.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    transport: Transport,
    /// The program `muster`, for what goes from end to end; the one beside this program when left out.
    #[arg(long)]
    muster: Option<PathBuf>,
    /// The folder with `command-service` and `empty-handler`; that of this program when left out.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Writes the figures as JSON to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// How long what goes on beside the work may take in the end.
const LAST_WORK_WITHIN: Duration = Duration::from_secs(1);
/// Exit status of what somebody ended, as the shell reports a process that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// Files of a run beside its connections.
const OWN_FILES: usize = 1_024;
/// Each waits for the group to notice.
const TAKEOVERS_MAX: u32 = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// TCP on the loopback address.
    Tcp,
    /// The server's socket in the file system.
    Socket,
}

impl Transport {
    fn url(self, database: &Database) -> &str {
        match self {
            Self::Tcp => &database.tcp,
            Self::Socket => &database.socket,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Scenario {
    /// Appends to the log in Kafka.
    AppendKafka,
    /// Appends to the log in Postgres.
    AppendPostgres,
    /// From events to rows of the read model.
    Project,
    /// From a command over HTTP to its event at a subscriber, with the log in Postgres.
    EndToEndEmbedded,
    /// The same with the log in Kafka.
    EndToEndKafka,
    /// Commands to a command service with its log in Kafka, one for each HTTP request.
    CommandsHttp,
    /// The same, 100 for each request.
    CommandsBatch,
    /// The same, one at a time.
    Latency,
    /// From a killed command service to the next one's first answer.
    Takeover,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return told(&error.into()),
    };
    let code = runtime.block_on(act(&arguments));
    // A client of a server that is gone may take its time to notice.
    runtime.shutdown_timeout(LAST_WORK_WITHIN);
    code
}

async fn act(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.command {
        None => run(&arguments.measure).await.map(|()| ExitCode::SUCCESS),
        Some(Command::Campaign(arguments)) => cli::campaign::run(arguments).await,
        Some(Command::Mutants(arguments)) => cli::mutants::run(arguments).await,
    };
    match outcome {
        Ok(code) => code,
        Err(error) => told(&error),
    }
}

fn told(error: &anyhow::Error) -> ExitCode {
    // Nobody reads it when this fails.
    drop(writeln!(std::io::stderr().lock(), "loadtest: {error:#}"));
    if error.is::<campaign::Interrupted>() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
}

/// Measures what was asked for. What was measured is written also when a scenario fails.
async fn run(arguments: &Measure) -> anyhow::Result<()> {
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
    let mut failed = Ok(());
    for scenario in chosen {
        match measure(scenario, arguments, &bounds).await {
            Ok(figures) => report.figures.extend(figures),
            Err(error) => failed = Err(error.context(format!("scenario {scenario:?}"))),
        }
    }
    report.machine.end();
    std::io::stdout().lock().write_all(report.table().as_bytes())?;
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    failed
}

async fn measure(scenario: Scenario, arguments: &Measure, bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let batches = |default: &[usize]| arguments.batches.clone().unwrap_or_else(|| default.to_vec());
    match scenario {
        Scenario::AppendKafka => {
            let kafka = Kafka::start().await?;
            scenario::append_kafka::run(&kafka.address(), &batches(&[1, 100, 1000]), bounds).await
        }
        Scenario::AppendPostgres => {
            let postgres = Postgres::start().await?;
            let database = postgres.database("log")?;
            let url = arguments.transport.url(&database);
            scenario::append_postgres::run(url, &database.socket, &batches(&[1, 100, 1000]), bounds).await
        }
        Scenario::Project => {
            let postgres = Postgres::start().await?;
            let database = postgres.database("read")?;
            let url = arguments.transport.url(&database);
            scenario::project::run(url, &database.socket, &batches(&[100, 1000]), bounds).await
        }
        Scenario::EndToEndEmbedded => end_to_end(arguments, Log::Embedded, bounds).await,
        Scenario::EndToEndKafka => end_to_end(arguments, Log::Kafka, bounds).await,
        Scenario::CommandsHttp | Scenario::CommandsBatch | Scenario::Latency | Scenario::Takeover => {
            commands(scenario, arguments, bounds).await
        }
    }
}

async fn commands(scenario: Scenario, arguments: &Measure, bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let programs =
        arguments.programs.as_deref().map_or_else(Programs::beside, |folder| Ok(Programs::within(folder)))?;
    let kafka = Kafka::start().await?;
    let kafka = kafka.address();
    let bounds = &Bounds { warm_up_seconds: arguments.warm_up_seconds, ..*bounds };
    let batch = |default: usize| arguments.batches.as_ref().and_then(|sizes| sizes.first().copied()).unwrap_or(default);
    match scenario {
        Scenario::CommandsHttp => {
            let mut figures = Vec::new();
            let most = arguments.connections.iter().copied().max().unwrap_or(1).max(1);
            allow_open_files(2 * most + OWN_FILES)?;
            let alone = arguments.connections.iter().map(|connections| (*connections, 1, 1));
            for spread in alone.chain([(most, 8, 12)]) {
                figures.extend(
                    scenario::commands::http::run(&programs, &kafka, spread, batch(turn(spread.0)), bounds).await?,
                );
            }
            Ok(figures)
        }
        Scenario::Takeover => {
            let events = match arguments.batches.as_deref() {
                Some([few, many]) => (*few, *many),
                _ => (10_000, 1_000_000),
            };
            let rounds = arguments.rounds.min(TAKEOVERS_MAX);
            scenario::takeover::run(&programs.command_service, &kafka, events, rounds).await
        }
        Scenario::CommandsBatch => scenario::commands::batch::run(&programs, &kafka, 4, batch(2000), bounds).await,
        _ => scenario::commands::latency::run(&programs, &kafka, bounds).await,
    }
}

/// The system allows a process so many open files, and a connection is one; what is started from here inherits it.
fn allow_open_files(wanted: usize) -> anyhow::Result<()> {
    let allowed = rlimit::increase_nofile_limit(wanted as u64)?;
    anyhow::ensure!(
        allowed >= wanted as u64,
        "{allowed} files may be open, {wanted} are needed: fewer `--connections`"
    );
    Ok(())
}

/// Commands of a turn: as many for each connection, and enough for the few to show anything.
fn turn(connections: usize) -> usize {
    (16 * connections).max(4_096)
}

async fn end_to_end(arguments: &Measure, log: Log, bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("muster"));
    let muster = arguments.muster.clone().map_or_else(beside, Ok)?;
    let postgres = Postgres::start().await?;
    let database = postgres.database("limits")?;
    let kafka = Kafka::start().await?;
    scenario::end_to_end::run(&muster, log, &kafka.address().bootstrap, &database.socket, bounds).await
}
