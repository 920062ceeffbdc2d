//! Writes the GraphQL schema to `docs/schema.graphql`; with `--check` only says whether it is up to date.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;

/// Writes the GraphQL schema in the schema definition language.
#[derive(Parser)]
struct Arguments {
    /// Where to write it.
    #[arg(default_value = "docs/schema.graphql")]
    path: PathBuf,
    /// Write nothing; fail when the file is not up to date.
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<()> {
    let Arguments { path, check } = Arguments::parse();
    let current = muster_query_api::graphql::sdl();
    if !check {
        return fs::write(&path, current).with_context(|| format!("cannot write {}", path.display()));
    }
    let written = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if written != current {
        bail!("{} is not up to date: run `cargo run -p muster-query-api --bin sdl`", path.display());
    }
    Ok(())
}
