//! `projector dead-letters`: what was set aside, and what is to become of it. Writes to standard output, as commands do.

use std::io::Write;

use anyhow::Context;
use clap::Subcommand;
use muster_domain::id::ProjectId;
use muster_read_store::{DeadLetter, ReadStore, Release};
use serde_json::{Value, json};

/// What to do with dead letters.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List them, newest first, one JSON object per line.
    List {
        /// Of this project only.
        #[arg(long)]
        project: Option<ProjectId>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one, with its value in hexadecimal.
    Show {
        /// Its id.
        id: i64,
    },
    /// Try it again, then go on with what waits behind it. A running projector carries it out.
    Retry {
        /// Its id.
        id: i64,
    },
    /// Leave it out for good, and go on with what waits behind it. A running projector carries it out.
    Discard {
        /// Its id.
        id: i64,
    },
}

pub(crate) async fn run(store: &ReadStore, command: Command) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match command {
        Command::List { project, limit } => {
            for letter in store.dead_letters(project, None, limit).await? {
                writeln!(out, "{}", summary(&letter))?;
            }
        }
        Command::Show { id } => {
            let letter = store.dead_letter(id).await?.with_context(|| format!("there is no dead letter {id}"))?;
            let mut whole = summary(&letter);
            whole["headers"] = letter.record.headers.clone();
            whole["value_hex"] = hex::encode(&letter.record.raw).into();
            writeln!(out, "{whole:#}")?;
        }
        Command::Retry { id } => store.request_release(id, Release::Retry).await?,
        Command::Discard { id } => store.request_release(id, Release::Discard).await?,
    }
    Ok(())
}

fn summary(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.dead_letter_id,
        "state": letter.state.as_str(),
        "attempts": letter.attempts,
        "parked_at": letter.parked_at.to_rfc3339(),
        "partition": letter.record.partition,
        "offset": letter.record.log_offset,
        "project_id": letter.record.project_id,
        "event_type": letter.record.event_type,
        "error": letter.record.error,
        "size_bytes": letter.record.raw.len(),
    })
}
