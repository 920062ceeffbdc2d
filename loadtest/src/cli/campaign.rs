//! `loadtest campaign`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use muster_loadtest::campaign::{self, Kind, LogKind, Options, Patience};

/// What `loadtest campaign` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the services keep events.
    #[arg(long, value_enum, default_value_t = LogKind::Postgres)]
    log: LogKind,
    /// From which faults and load follow; another one each time when left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Faults.
    #[arg(long, default_value_t = 60)]
    faults: usize,
    /// So many faults of each kind, instead of a number in all.
    #[arg(long)]
    each: Option<usize>,
    /// Commands to be acknowledged; load is spread over the faults.
    #[arg(long, default_value_t = 10_000)]
    commands: u64,
    /// Seconds after which no further fault begins.
    #[arg(long, default_value_t = 600)]
    seconds_max: u64,
    /// Kinds of faults; all when left out.
    #[arg(long, value_enum, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Instances of the command service.
    #[arg(long, default_value_t = 3)]
    instances: usize,
    /// Clients that send commands.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Partitions of the log.
    #[arg(long, default_value_t = 12)]
    partitions: u32,
    /// Where the services' programs are; beside this one when left out.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// A mutant of the services that must be noticed (programs built with the feature `mutants`).
    #[arg(long)]
    mutant: Option<String>,
    /// Keeps history, logs and data in this new folder. Without it they are kept only when something is
    /// violated or the campaign breaks off.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Writes the report as JSON to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs a campaign. Fails when an invariant is violated.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = arguments.options()?;
    writeln!(std::io::stdout().lock(), "seed {}, log in {:?}", options.seed, options.log)?;
    let report = campaign::run(&options).await?;
    std::io::stdout().lock().write_all(report.table().as_bytes())?;
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(file, json + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Beside the report, so that only that is read by whatever reads it.
pub(super) fn tell_progress(what: &str) {
    drop(writeln!(std::io::stderr().lock(), "{what}"));
}

impl Arguments {
    fn options(&self) -> anyhow::Result<Options> {
        anyhow::ensure!(self.instances > 0 && self.clients > 0 && self.partitions > 0, "one of each at least");
        let (most, _) = uuid::Uuid::new_v4().as_u64_pair();
        Ok(Options {
            // Short enough to be typed.
            seed: self.seed.unwrap_or(most % 1_000_000),
            log: self.log,
            faults: self.faults,
            commands: self.commands,
            seconds_max: self.seconds_max,
            kinds: self.kinds.clone(),
            each: self.each,
            instances: self.instances,
            clients: self.clients,
            partitions: self.partitions,
            bin_dir: match &self.bin_dir {
                Some(folder) => std::path::absolute(folder)?,
                None => campaign::programs_beside_this()?,
            },
            mutant: self.mutant.clone(),
            keep: self.keep.as_deref().map(std::path::absolute).transpose()?,
            short_lived: false,
            patience: Patience::LONG,
            tell: tell_progress,
        })
    }
}
