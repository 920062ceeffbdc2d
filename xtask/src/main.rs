//! `cargo xtask`: what this repository checks and generates about itself.
//!
//! Must never depend on a crate of the product: it has to work while one of them does not compile.

mod containers;
mod contracts;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "What this repository checks and generates about itself")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the rules the compiler does not know: dependency arrows, file headers, file lengths, forbidden attributes
    Tidy,
    /// Regenerate the committed contracts: OpenAPI, GraphQL SDL, AsyncAPI, event catalog, configuration page
    Contracts {
        /// Fail when that changes a file, and name the files
        #[arg(long)]
        check: bool,
    },
    /// Check the files for Docker Compose and Helm against the images and the configuration
    Containers,
}

fn main() -> ExitCode {
    let root = root();
    let outcome = match Arguments::parse().task {
        Task::Tidy => tidy::run(&root),
        Task::Contracts { check } => contracts::run(&root, check),
        Task::Containers => containers::run(&root),
    };
    match outcome {
        Ok(report) => {
            say(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder: this package's parent.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

#[expect(clippy::print_stderr, reason = "a command line program speaks to its user")]
fn say(text: &str) {
    eprintln!("{text}");
}
