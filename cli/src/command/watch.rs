//! `muster watch`: a card's history, then what happens, until it is done, failed or cancelled.

use futures::StreamExt;
use muster_client::domain::event::Event;
use muster_client::domain::id::{ProjectId, TaskId};
use muster_client::domain::model::TaskStatus;
use muster_client::domain::state::{Task, fold_task};

use crate::api::Api;
use crate::args::WatchArgs;
use crate::error::{Error, Result};
use crate::output::{EventLines, Output, is_noise};
use crate::select;

pub async fn run(api: &Api, args: WatchArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let lines = EventLines::new(output.style());
    let task = follow(api, row.project_id, row.id, |event| show(event, &lines, output)).await?;
    verdict(&task)
}

/// Hands out every event of a card, in order and once, until nothing more happens to it by itself; its last state.
async fn follow(
    api: &Api,
    project_id: ProjectId,
    task_id: TaskId,
    mut each: impl FnMut(&Event) -> Result,
) -> Result<Task> {
    let mut task = None;
    let mut position = 0;
    for event in api.history(task_id).await? {
        each(&event)?;
        position = event.position;
        task = fold_task(task, &event);
    }
    let mut live = api.client().events(project_id, position);
    loop {
        if let Some(task) = task.as_ref().filter(|task| task.is_terminal()) {
            return Ok(task.clone());
        }
        let event = live.next().await.ok_or_else(|| Error::Failed("the server ended the events".to_owned()))??;
        if event.task_id == Some(task_id) {
            each(&event)?;
            task = fold_task(task, &event);
        }
    }
}

fn show(event: &Event, lines: &EventLines, output: Output) -> Result {
    output.json_line(event)?;
    if is_noise(event) { Ok(()) } else { output.line(lines.line(event)) }
}

/// Only a card that is done is a success.
fn verdict(task: &Task) -> Result {
    match task.status {
        TaskStatus::Done => Ok(()),
        status => {
            let why = task.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
            Err(Error::Failed(format!("the task is {status}{why}")))
        }
    }
}
