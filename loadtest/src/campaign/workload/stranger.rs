//! Someone with a token who is a member of nothing, and tries everything.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::World;
use super::call::{Caller, Operation};
use crate::campaign::chance::Chance;
use crate::campaign::history::{Entry, Peek};

/// Between two tries: they are looked at one by one afterwards.
const PAUSE_MS: (u64, u64) = (40, 160);
/// Streams do not end by themselves.
const BODY_BYTES_MAX: usize = 4_096;

/// Asks for what is none of its business until `stop`.
pub async fn run(mut caller: Caller, mut chance: Chance, world: &World, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(chance.between(PAUSE_MS.0, PAUSE_MS.1))).await;
        let Some(project) = world.project(&mut chance) else { continue };
        let task_id = project.card(&mut chance).map_or_else(|| chance.uuid(), |card| card.task_id);
        if chance.percent(40) {
            let command = json!({ "type": "update_task", "task_id": task_id, "title": "Mine" });
            let operation = Operation::new(chance.uuid(), project.id, &command, None);
            caller.settle(&operation, &mut chance).await;
            continue;
        }
        let id = project.id;
        let query = match chance.below(4) {
            0 => format!("{{ projects {{ id name }} project(id: \"{id}\") {{ id name repositoryPath }} }}"),
            1 => format!("{{ tasks(projectId: \"{id}\", first: 5) {{ nodes {{ id title }} }} }}"),
            2 => format!("{{ task(id: \"{task_id}\") {{ id title status }} }}"),
            _ => format!("{{ eventHistory(projectId: \"{id}\", first: 5) {{ events {{ id data }} }} }}"),
        };
        let asked = match chance.below(3) {
            0 => (format!("/api/projects/{id}/events?after=0"), None),
            1 => (format!("/tasks/{task_id}/state"), None),
            _ => ("/graphql".to_owned(), Some(json!({ "query": query }))),
        };
        if let Some((status, body)) = peek(&caller, world, &asked.0, asked.1.as_ref()).await {
            let method = if asked.1.is_some() { "POST" } else { "GET" };
            let asked = format!("{method} {} {}", asked.0, asked.1.unwrap_or_default());
            let user = caller.user().to_owned();
            world.recorder.write(&Entry::Peek(Peek { caller: user, asked, project_id: Some(id), status, body }));
        }
    }
}

async fn peek(caller: &Caller, world: &World, path: &str, body: Option<&Value>) -> Option<(u16, String)> {
    let url = format!("{}{path}", world.query);
    let request = match body {
        Some(body) => caller.http().post(url).json(body),
        None => caller.http().get(url),
    };
    let mut response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let mut text = Vec::new();
    while text.len() < BODY_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        text.extend_from_slice(&chunk);
    }
    Some((status, String::from_utf8_lossy(&text).into_owned()))
}
