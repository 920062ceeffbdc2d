//! `muster replay`: a card's history, and its state at any point of it, by the same fold the services use.

use muster_client::domain::event::Event;
use muster_client::domain::state::{Task, fold_task};
use serde::Serialize;

use super::status::describe;
use crate::api::Api;
use crate::args::ReplayArgs;
use crate::error::{Error, Result};
use crate::output::{EventLines, Output};
use crate::select;

#[derive(Serialize)]
struct Replay {
    events: Vec<Event>,
    state: Task,
}

pub async fn run(api: &Api, args: ReplayArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let mut events = api.history(row.id).await?;
    if let Some(last) = args.to_seq {
        let end = events.last().map_or(0, |event| event.sequence);
        if last == 0 || last > end {
            return Err(Error::Usage(format!("--to-seq {last}: the task's history goes from 1 to {end}")));
        }
        events.retain(|event| event.sequence <= last);
    }
    let state = events.iter().fold(None, fold_task);
    let state = state.ok_or_else(|| Error::NotFound(format!("task {} has no history", row.id)))?;
    output.value(&Replay { events, state }, |replay| {
        let lines = EventLines::new(output.style());
        let numbered = |event: &Event| format!("{:>4}  {}", event.sequence, lines.line(event));
        let events: Vec<_> = replay.events.iter().map(numbered).collect();
        format!("{}\n\n{}", events.join("\n"), describe(&replay.state, output.style()))
    })
}
