//! People at the board: cards made, edited, dispatched, cancelled, several of them at the same card at once.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::call::{Caller, Operation, is_final};
use super::{Card, Project, Sent, World};
use crate::campaign::chance::Chance;
use crate::campaign::history::End;

/// Shares of what happens, of a hundred each.
const TWICE_AT_ONCE: u64 = 5;
const AGAIN_LATER: u64 = 4;
const IN_A_BATCH: u64 = 25;
/// Where requests overtake each other.
const IN_A_PAIR: u64 = 40;
const BATCH_MAX: u64 = 40;

/// The commands that make a project.
pub fn beginnings(project: &Project, index: usize, chance: &mut Chance) -> Vec<Operation> {
    let create = json!({
        "type": "create_project", "name": format!("Campaign {index}"), "repository_path": "/srv/campaign",
        "settings": settings(index.is_multiple_of(2), 8),
    });
    let join = json!({ "type": "add_member", "user": "bob", "role": "operator" });
    [create, join].map(|command| Operation::new(chance.uuid(), project.id, &command, None)).to_vec()
}

fn settings(require_plan_approval: bool, max_iterations: u64) -> Value {
    json!({
        "auto_dispatch": true, "require_plan_approval": require_plan_approval, "max_concurrent_runs": 50,
        "max_attempts": 3, "max_iterations": max_iterations,
    })
}

/// Sends commands until `stop`.
pub async fn run(mut caller: Caller, mut chance: Chance, world: &World, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        world.hold_back(stop).await;
        step(&mut caller, &mut chance, world).await;
    }
}

async fn step(caller: &mut Caller, chance: &mut Chance, world: &World) {
    if chance.percent(AGAIN_LATER)
        && let Some(sent) = world.one_for_later(chance)
    {
        if sent.user == caller.user() {
            // Long after others went past it. What was carried out has the same answer; what was refused may be taken now.
            caller.settle_again(&sent.operation, chance).await;
        } else {
            world.keep_for_later(sent, chance);
        }
        return;
    }
    if world.pairs.load(Ordering::Relaxed) && chance.percent(IN_A_PAIR) {
        return pair(caller, chance, world).await;
    }
    if chance.percent(IN_A_BATCH) {
        return batch(caller, chance, world).await;
    }
    let Some(operation) = command(chance, world) else { return };
    if chance.percent(TWICE_AT_ONCE) {
        let indexes = [chance.below(world.instances.len()), chance.below(world.instances.len())];
        let ends = caller.send_twice(&operation, indexes).await;
        // Where one was refused, the other may yet have been carried out.
        if ends.iter().all(is_final) {
            let told = ends.iter().find(|end| matches!(end, End::Ok(_))).or(ends.first());
            if let Some(end) = told {
                caller.learn(&operation, end);
            }
            return;
        }
    }
    let end = caller.settle(&operation, chance).await;
    if is_final(&end) && chance.percent(AGAIN_LATER) {
        world.keep_for_later(Sent { user: caller.user(), operation }, chance);
    }
}

async fn batch(caller: &mut Caller, chance: &mut Chance, world: &World) {
    let count = chance.between(2, BATCH_MAX);
    let operations: Vec<_> = (0..count).filter_map(|_| command(chance, world)).collect();
    let Some(ends) = caller.send_batch(&operations, chance.below(world.instances.len())).await else { return };
    for (operation, end) in operations.iter().zip(&ends) {
        if is_final(end) {
            caller.learn(operation, end);
        } else if caller.hurries() {
            caller.leave(operation);
        } else {
            caller.settle(operation, chance).await;
        }
    }
}

/// Two commands about one card, one right after the other and each to an instance of its own: they may arrive in either
/// order, and both are carried out.
async fn pair(caller: &mut Caller, chance: &mut Chance, world: &World) {
    let Some((project, card)) = world.project(chance).and_then(|project| Some((project, project.card(chance)?))) else {
        return;
    };
    let number = chance.between(0, 9_999);
    let operations = [number, number + 1].map(|number| {
        let key = chance.uuid();
        Operation::new(key, project.id, &edit(card.task_id, number, chance), None)
    });
    let first = chance.below(world.instances.len());
    let ends = caller.send_pair(&operations, [first, (first + 1) % world.instances.len()]).await;
    if let [End::Ok(first), End::Ok(second)] = &ends
        && second.position < first.position
    {
        world.swapped.fetch_add(1, Ordering::Relaxed);
    }
    for (operation, end) in operations.iter().zip(&ends) {
        if is_final(end) {
            caller.learn(operation, end);
        } else {
            caller.settle(operation, chance).await;
        }
    }
}

/// The next command of a client.
fn command(chance: &mut Chance, world: &World) -> Option<Operation> {
    let key = chance.uuid();
    let project = world.project(chance)?;
    let (what, number) = (chance.between(1, 100), chance.between(0, 9_999));
    let card = project.card(chance);
    let (command, expected) = match (what, card) {
        (1..=16, _) | (_, None) => (create(chance, number), None),
        (17..=60, Some(card)) => (edit(card.task_id, number, chance), expected(card, chance)),
        (61..=96, Some(card)) => (other(what, card.task_id, number), expected(card, chance)),
        (97, Some(card)) => (edit(card.task_id, number, chance), Some(card.sequence + 1_000)),
        (98, Some(_)) => (edit(chance.uuid(), number, chance), None),
        (99, Some(_)) => {
            (json!({ "type": "add_member", "user": format!("guest-{}", number % 5), "role": "viewer" }), None)
        }
        (_, Some(_)) => (
            json!({ "type": "change_settings", "settings": settings(number.is_multiple_of(2), 1 + number % 20) }),
            None,
        ),
    };
    Some(Operation::new(key, project.id, &command, expected))
}

/// Two in three say what they have seen, so that of several clients one wins.
fn expected(card: Card, chance: &mut Chance) -> Option<u64> {
    chance.percent(66).then_some(card.sequence)
}

fn create(chance: &mut Chance, number: u64) -> Value {
    const PRIORITIES: [&str; 4] = ["low", "medium", "high", "urgent"];
    let mut command = json!({ "type": "create_task", "title": format!("Card {number}") });
    if chance.percent(70) {
        command["task_id"] = json!(chance.uuid());
    }
    if let Some(priority) = chance.pick(&PRIORITIES) {
        command["priority"] = json!(priority);
    }
    command
}

fn edit(task_id: Uuid, number: u64, chance: &mut Chance) -> Value {
    let mut command = json!({ "type": "update_task", "task_id": task_id, "title": format!("Title {number}") });
    if chance.percent(20) {
        command["description"] = json!(format!("Text {number}. ").repeat(20));
    }
    command
}

fn other(what: u64, task_id: Uuid, number: u64) -> Value {
    match what {
        61..=72 => json!({ "type": "inject_prompt", "task_id": task_id, "message": format!("Mind {number}") }),
        73..=80 => json!({
            "type": "add_artifact", "task_id": task_id, "kind": "link", "path": format!("https://example.org/{number}"),
        }),
        81..=84 => json!({ "type": "dispatch_task", "task_id": task_id }),
        85..=88 => json!({ "type": "approve_plan", "task_id": task_id }),
        89..=90 => json!({ "type": "request_retry", "task_id": task_id }),
        91..=93 => {
            json!({ "type": "move_task", "task_id": task_id, "status": if number.is_multiple_of(2) { "inbox" } else { "blocked" } })
        }
        _ => json!({ "type": "cancel_task", "task_id": task_id }),
    }
}
