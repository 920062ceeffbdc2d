//! The numbered invariants, and checks of those that events and state alone can show.
//!
//! Unit tests, property tests, the fault campaign and debug builds all call [`check`]; the rest of the list is checked by
//! the test of the part that keeps it.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, EventData};
use crate::id::{CommandId, ProjectId, RunId, TaskId};
use crate::model::{SubtaskStatus, TaskStatus};
use crate::state::{ProjectState, fold};

/// Every invariant: number and what it says.
pub const ALL: &[(&str, &str)] = &[
    ("I1", "every acknowledged command is in the log exactly once"),
    ("I2", "a refused command is not in the log"),
    ("I3", "a command whose answer was lost is there zero or one times, and asking again with its id tells which"),
    ("I4", "per task sequence and per project position are gapless; one winner per expected sequence"),
    ("I5", "a read model equals an independent fold of the log, and is byte-equal to a fresh rebuild"),
    ("I6", "stored offset = last applied event; it never moves back"),
    ("I7", "a subscriber sees every position once, in order, across reconnects"),
    ("I8", "log minus read model = dead letters"),
    ("I9", "the audit chain verifies"),
    ("I10", "no row of one project reaches a non-member"),
    ("I11", "a work item has at most one live lease; nothing is accepted under an older token"),
    ("I12", "no process, mount or worktree outlives its session"),
];

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{number}: {detail}")]
pub struct Violation {
    /// Its number.
    pub number: &'static str,
    /// What was seen.
    pub detail: String,
}

fn violated(number: &'static str, detail: impl Into<String>) -> Result<(), Violation> {
    Err(Violation { number, detail: detail.into() })
}

/// Checks what the whole history of one project and the state it led to show.
///
/// # Errors
/// The first [`Violation`] met.
pub fn check(state: &ProjectState, events: &[Event]) -> Result<(), Violation> {
    check_log(events)?;
    check_leases(events)?;
    check_state(state)?;
    let folded = events.iter().fold(ProjectState::default(), fold);
    if &folded != state {
        return violated("I5", "the state is not the fold of its events");
    }
    Ok(())
}

/// I1, I4: counts are gapless and a command's events stand together.
///
/// # Errors
/// The first [`Violation`] met.
pub fn check_log(events: &[Event]) -> Result<(), Violation> {
    let mut positions: BTreeMap<ProjectId, u64> = BTreeMap::new();
    let mut sequences: BTreeMap<TaskId, u64> = BTreeMap::new();
    let mut last_command: BTreeMap<ProjectId, CommandId> = BTreeMap::new();
    let mut commands: BTreeSet<(ProjectId, CommandId)> = BTreeSet::new();
    for event in events {
        let position = positions.entry(event.project_id).or_default();
        *position += 1;
        if event.position != *position {
            return violated("I4", format!("position {} where {position} was due", event.position));
        }
        if let Some(task_id) = event.task_id {
            let sequence = sequences.entry(task_id).or_default();
            *sequence += 1;
            if event.sequence != *sequence {
                return violated("I4", format!("{task_id}: sequence {} where {sequence} was due", event.sequence));
            }
        }
        let previous = last_command.insert(event.project_id, event.command_id);
        if previous != Some(event.command_id) && !commands.insert((event.project_id, event.command_id)) {
            return violated("I1", format!("command {} is in the log twice", event.command_id));
        }
    }
    Ok(())
}

/// I11: leases of one piece of work do not overlap, and tokens grow.
fn check_leases(events: &[Event]) -> Result<(), Violation> {
    let mut live: BTreeMap<RunId, u64> = BTreeMap::new();
    let mut pieces: BTreeSet<(Option<TaskId>, crate::model::Role, Option<crate::id::SubtaskId>)> = BTreeSet::new();
    let mut piece_of = BTreeMap::new();
    let mut last_token = 0;
    for event in events {
        match &event.data {
            EventData::WorkAssigned(assigned) => {
                if assigned.fencing_token <= last_token {
                    return violated("I11", format!("token {} after {last_token}", assigned.fencing_token));
                }
                last_token = assigned.fencing_token;
                let piece = (event.task_id, assigned.role, assigned.subtask_id);
                if !pieces.insert(piece) {
                    return violated("I11", format!("two live leases on {piece:?}"));
                }
                piece_of.insert(assigned.run_id, piece);
                live.insert(assigned.run_id, assigned.fencing_token);
            }
            EventData::WorkReleased(released) => {
                if live.remove(&released.run_id) != Some(released.fencing_token) {
                    return violated("I11", format!("{} released a lease it did not hold", released.run_id));
                }
                if let Some(piece) = piece_of.remove(&released.run_id) {
                    pieces.remove(&piece);
                }
            }
            EventData::AgentComplete(complete) if !live.contains_key(&complete.run_id) => {
                return violated("I11", format!("{} reported without a lease", complete.run_id));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What any state must look like.
fn check_state(state: &ProjectState) -> Result<(), Violation> {
    if !state.tasks.index_follows() {
        return violated("I5", "what the queues and leases say is not what the tasks say");
    }
    for task in state.tasks.values() {
        for run in task.live_runs() {
            if run.lease.is_none() || !state.leases.contains_key(&run.id) {
                return violated("I11", format!("run {} is live without a lease", run.id));
            }
        }
        if task.status == TaskStatus::Done && task.evidence.len() != task.acceptance_criteria.len() {
            return violated("X4", format!("{} is done without evidence for every criterion", task.id));
        }
        if task.is_terminal() && task.live_runs().next().is_some() {
            return violated("I11", format!("{} is {} and still worked on", task.id, task.status));
        }
        let started = |status| !matches!(status, SubtaskStatus::Blocked | SubtaskStatus::Ready);
        for subtask in task.subtasks.iter().filter(|subtask| started(subtask.status)) {
            let waits = |id: &crate::id::SubtaskId| {
                task.subtask(*id).is_none_or(|before| before.status != SubtaskStatus::Merged)
            };
            if subtask.depends_on.iter().any(waits) {
                return violated("C4", format!("subtask {} started before what it depends on was merged", subtask.id));
            }
        }
    }
    Ok(())
}
