//! `loadtest mutants`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use muster_loadtest::campaign::{LogKind, Options, Patience, mutants::Trials, programs_beside_this};

use super::campaign::tell_progress;

/// What `loadtest mutants` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Tries these alone; all when left out.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// From which faults and load follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the services' programs are, built with the feature `mutants`; beside this one when left out.
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Writes what came of it as JSON to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Tries mutants out. Fails when one is not noticed in time, or something is noticed without one.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = Options {
        seed: arguments.seed,
        log: LogKind::Postgres,
        // Each mistake has its own.
        faults: 0,
        commands: 0,
        seconds_max: 0,
        kinds: Vec::new(),
        each: None,
        instances: 2,
        clients: 16,
        partitions: 4,
        bin_dir: match &arguments.bin_dir {
            Some(folder) => std::path::absolute(folder)?,
            None => programs_beside_this()?,
        },
        mutant: None,
        keep: None,
        short_lived: true,
        patience: Patience::LONG,
        tell: tell_progress,
    };
    // It takes long, and what is known is worth having when it is interrupted.
    let write = |trials: &Trials| {
        let Some(file) = &arguments.json else { return Ok(()) };
        let json = serde_json::to_string_pretty(trials)?;
        std::fs::write(file, json + "\n").with_context(|| format!("writing {}", file.display()))
    };
    let trials = Trials::run(&options, &arguments.only, write).await?;
    write(&trials)?;
    std::io::stdout().lock().write_all(trials.table().as_bytes())?;
    Ok(if trials.is_proof() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
