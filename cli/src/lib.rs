//! The command line: the board's commands, the development server that runs everything in one process, and the demo.
//!
//! Commands talk to a server through `muster-client` alone; only [`dev`] links the services. It must never decide what a
//! service decides: a rule that holds for the command line only is no rule.

mod args;
mod data_dir;
mod error;
mod output;
mod target;

mod api;
mod repository;
mod select;
mod verification;

mod command;
mod demo;
mod dev;

mod docs;

use std::process::ExitCode;

use clap::Parser;
use uuid::Uuid;

use args::Cli;
use output::Output;

pub use docs::reference_page;

/// Characters of an id that are shown: of its end, as the beginning of a time-ordered id tells the time only.
const SHORT_ID_CHARS: usize = 8;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(&cli.global);
    match command::run(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The end of an id, as it is shown and may be typed.
fn short(id: Uuid) -> String {
    let text = id.simple().to_string();
    text[text.len() - SHORT_ID_CHARS..].to_owned()
}
