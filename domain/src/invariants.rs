//! The numbered invariants, and checks of those that events and state alone can show.
//!
//! Unit tests, property tests, the fault campaign and debug builds all call [`check`]; the rest of the list is checked by
//! the test of the part that keeps it.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, EventData};
use crate::id::{CommandId, ProjectId, RunId, SubtaskId, TaskId};
use crate::model::{Role, SubtaskStatus, TaskStatus};
use crate::state::{ProjectState, fold, run_of};

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

/// I1, I4: counts are gapless, so that one event won each place, and a command's events stand together, once.
///
/// # Errors
/// The first [`Violation`] met.
pub fn check_log(events: &[Event]) -> Result<(), Violation> {
    let mut positions: BTreeMap<ProjectId, u64> = BTreeMap::new();
    let mut sequences: BTreeMap<(ProjectId, TaskId), u64> = BTreeMap::new();
    let mut open: BTreeMap<ProjectId, &Event> = BTreeMap::new();
    let mut commands: BTreeSet<(ProjectId, &str, CommandId)> = BTreeSet::new();
    for event in events {
        let position = positions.entry(event.project_id).or_default();
        *position += 1;
        if event.position != *position {
            return violated("I4", format!("position {} where {position} was due", event.position));
        }
        if let Some(task_id) = event.task_id {
            let sequence = sequences.entry((event.project_id, task_id)).or_default();
            *sequence += 1;
            if event.sequence != *sequence {
                return violated("I4", format!("{task_id}: sequence {} where {sequence} was due", event.sequence));
            }
        }
        let previous = open.insert(event.project_id, event);
        match previous.filter(|previous| key(previous) == key(event)) {
            Some(previous) if previous.command_digest != event.command_digest => {
                return violated("I1", format!("command {} has two bodies", event.command_id));
            }
            None if !commands.insert(key(event)) => {
                return violated("I1", format!("command {} is in the log twice", event.command_id));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What tells commands apart: two callers may choose the same id.
fn key(event: &Event) -> (ProjectId, &str, CommandId) {
    (event.project_id, &event.actor, event.command_id)
}

/// A piece of work: task, role, subtask.
type Piece = (Option<TaskId>, Role, Option<SubtaskId>);

/// I11: leases of one piece of work do not overlap, tokens grow, and what is told of a run is told under its lease.
fn check_leases(events: &[Event]) -> Result<(), Violation> {
    let mut live: BTreeMap<RunId, (u64, Piece)> = BTreeMap::new();
    let mut pieces: BTreeSet<Piece> = BTreeSet::new();
    let mut last_token = 0;
    for event in events {
        let token_of = |run_id: &RunId| live.get(run_id).map(|(token, _)| *token);
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
                live.insert(assigned.run_id, (assigned.fencing_token, piece));
            }
            EventData::LeaseRenewed(renewed) if token_of(&renewed.run_id) != Some(renewed.fencing_token) => {
                return violated("I11", format!("{} renewed a lease it did not hold", renewed.run_id));
            }
            EventData::WorkReleased(released) => {
                if token_of(&released.run_id) != Some(released.fencing_token) {
                    return violated("I11", format!("{} released a lease it did not hold", released.run_id));
                }
                if let Some((_, piece)) = live.remove(&released.run_id) {
                    pieces.remove(&piece);
                }
            }
            // Housekeeping, which a run may tell of after its end.
            EventData::WorkspaceReleased(_) => {}
            told => {
                if let Some(run_id) = run_of(told).filter(|run_id| !live.contains_key(run_id)) {
                    return violated("I11", format!("{run_id}: {} without a lease", event.event_type()));
                }
            }
        }
    }
    Ok(())
}

/// What any state must look like.
fn check_state(state: &ProjectState) -> Result<(), Violation> {
    if !state.tasks.index_follows() {
        return violated("I5", "what the queues and leases say is not what the tasks say");
    }
    for (run_id, task_id) in &state.leases {
        if state.task(*task_id).and_then(|task| task.run(*run_id)).is_none_or(|run| run.lease.is_none()) {
            return violated("I11", format!("run {run_id} of {task_id} has a lease it does not know of"));
        }
    }
    for task in state.tasks.values() {
        let worked_on: Vec<_> = task.live_runs().map(|run| (run.role, run.subtask_id)).collect();
        if worked_on.iter().collect::<BTreeSet<_>>().len() < worked_on.len() {
            return violated("I11", format!("two live runs on one piece of {}", task.id));
        }
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
            let waits = |id: &SubtaskId| task.subtask(*id).is_none_or(|before| before.status != SubtaskStatus::Merged);
            if subtask.depends_on.iter().any(waits) {
                return violated("C4", format!("subtask {} started before what it depends on was merged", subtask.id));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::command::{CreateTask, RenewLease};
    use crate::id::SessionId;
    use crate::state::{Lease, Task};
    use crate::testing::{Scenario, given_claimed, given_project, given_reviewing, report, started, task, task_id};

    /// A history with two leases that ended and one that is live, which was renewed and reported under.
    fn history() -> Scenario {
        let (scenario, work) = given_reviewing();
        let (run_id, fencing_token) = (work.run_id, work.fencing_token);
        let renew = RenewLease { task_id: task_id(1), run_id, fencing_token, lease_duration_ms: 10 };
        let scenario = scenario.when(report(&work, started())).ok().when(renew).ok();
        scenario.when(CreateTask { task_id: None, ..task(2) }).ok()
    }

    #[track_caller]
    fn log_breaks(number: &str, damage: impl FnOnce(&mut Vec<Event>)) {
        let mut events = history().events;
        check_log(&events).unwrap();
        damage(&mut events);
        assert_eq!(check_log(&events).unwrap_err().number, number);
    }

    #[track_caller]
    fn leases_break(detail: &str, damage: impl FnOnce(&mut Vec<Event>)) {
        let mut events = history().events;
        check_leases(&events).unwrap();
        damage(&mut events);
        let violation = check_leases(&events).unwrap_err();
        assert_eq!(violation.number, "I11");
        assert!(violation.detail.contains(detail), "{violation}");
    }

    #[track_caller]
    fn state_breaks(number: &str, scenario: &Scenario, damage: impl FnOnce(&mut ProjectState)) {
        let mut state = scenario.state.clone();
        damage(&mut state);
        assert_eq!(check_state(&state).unwrap_err().number, number);
    }

    fn find(events: &[Event], event_type: &str) -> usize {
        events.iter().rposition(|event| event.event_type() == event_type).unwrap()
    }

    /// The task of a state changed by hand, its index with it.
    fn damage_task(state: &mut ProjectState, damage: impl FnOnce(&mut Task)) {
        let mut tasks: imbl::OrdMap<_, Arc<Task>> = state.tasks.clone().into();
        damage(Arc::make_mut(tasks.get_mut(&task_id(1)).unwrap()));
        state.tasks = tasks.into();
    }

    #[test]
    fn i1_a_command_that_was_applied_twice_is_seen() {
        log_breaks("I1", |events| {
            // The newest command again, at its proper place: only its id tells.
            let mut again = events.last().unwrap().clone();
            let of_other = events[events.len() - 3].clone();
            (again.position, again.sequence) = (again.position + 1, again.sequence + 1);
            let between = Event { position: again.position, task_id: None, sequence: 0, ..of_other };
            again.position += 1;
            events.extend([between, again]);
        });
        log_breaks("I1", |events| events.last_mut().unwrap().command_digest = Some("other".to_owned()));
    }

    #[test]
    fn i1_two_callers_may_choose_the_same_id() {
        let mut events = history().events;
        let last = events.last().unwrap().clone();
        let position = last.position + 1;
        let other = Event { position, task_id: None, sequence: 0, command_id: events[0].command_id, ..last };
        events.push(Event { actor: "bob".to_owned(), ..other.clone() });
        check_log(&events).unwrap();
        events.pop();
        events.push(other);
        assert_eq!(check_log(&events).unwrap_err().number, "I1");
    }

    #[test]
    fn i4_what_is_lost_doubled_or_swapped_is_seen() {
        log_breaks("I4", |events| drop(events.remove(3)));
        log_breaks("I4", |events| events.insert(3, events[3].clone()));
        log_breaks("I4", |events| events.swap(3, 4));
        log_breaks("I4", |events| events.last_mut().unwrap().position += 1);
        log_breaks("I4", |events| events.last_mut().unwrap().sequence += 1);
        // Two winners of one sequence, each with a position of its own.
        log_breaks("I4", |events| {
            let last = events.last().unwrap().clone();
            events.push(Event { position: last.position + 1, ..last });
        });
    }

    #[test]
    fn i5_a_state_that_is_not_the_fold_is_seen() {
        let mut scenario = history();
        check(&scenario.state, &scenario.events).unwrap();
        scenario.state.tokens_used += 1;
        assert_eq!(check(&scenario.state, &scenario.events).unwrap_err().number, "I5");
    }

    #[test]
    fn i11_tokens_grow_and_one_session_has_the_work() {
        leases_break("after", |events| {
            let at = find(events, "work.assigned");
            let EventData::WorkAssigned(assigned) = &mut events[at].data else { panic!("another event") };
            assigned.fencing_token -= 1;
        });
        leases_break("two live leases", |events| {
            let mut again = events[find(events, "work.assigned")].clone();
            let EventData::WorkAssigned(assigned) = &mut again.data else { panic!("another event") };
            assigned.fencing_token += 1;
            assigned.run_id = RunId(uuid::Uuid::from_u128(5));
            events.push(again);
        });
    }

    #[test]
    fn i11_nothing_is_accepted_without_the_live_token() {
        leases_break("released a lease", |events| events.push(events[find(events, "work.released")].clone()));
        leases_break("renewed a lease", |events| {
            let at = find(events, "lease.renewed");
            let EventData::LeaseRenewed(renewed) = &mut events[at].data else { panic!("another event") };
            renewed.fencing_token -= 1;
        });
        for late in ["run.complete", "verification.complete", "branch.merged"] {
            leases_break(late, |events| events.push(events[find(events, late)].clone()));
        }
    }

    #[test]
    fn i11_a_state_has_one_lease_for_each_live_run() {
        let (claimed, work) = given_claimed();
        check_state(&claimed.state).unwrap();
        let of_nothing = |state: &mut ProjectState| {
            state.leases.insert(RunId(uuid::Uuid::from_u128(5)), task_id(1));
        };
        state_breaks("I11", &claimed, of_nothing);
        state_breaks("I11", &claimed, |state| {
            state.leases.remove(&work.run_id);
        });
        state_breaks("I11", &claimed, |state| damage_task(state, |task| task.status = TaskStatus::Cancelled));
        state_breaks("I11", &claimed, |state| {
            let lease = Lease { session_id: SessionId(uuid::Uuid::nil()), fencing_token: 2, expires_at: claimed.now };
            let run_id = RunId(uuid::Uuid::from_u128(5));
            damage_task(state, |task| {
                let first = task.runs[0].as_ref().clone();
                task.runs.push(Arc::new(crate::state::Run { id: run_id, lease: Some(lease), ..first }));
            });
            state.leases.insert(run_id, task_id(1));
        });
    }

    #[test]
    fn a_task_done_without_evidence_and_a_chunk_out_of_turn_are_seen() {
        let plain = given_project().when(task(1)).ok();
        state_breaks("X4", &plain, |state| damage_task(state, |task| task.status = TaskStatus::Done));
        let planned = crate::testing::approved_claim().0;
        check_state(&planned.state).unwrap();
        state_breaks("C4", &planned, |state| {
            damage_task(state, |task| task.subtasks[1].status = SubtaskStatus::InProgress);
        });
    }
}
