//! From a command and a state to the events that follow, or to a rejection.
//!
//! [`handle`] is the whole write side as a pure function: time, ids and the caller arrive as arguments.

mod context;
mod draft;
mod outcome;

pub use context::{Actor, Context, IdSource, Limits, SeededIds};
pub use draft::Draft;
pub(crate) use draft::{Drafts, leave_lease};
pub use outcome::{ClaimOutcome, Outcome};

use uuid::Uuid;

use crate::command::Command;
use crate::event::Event;
use crate::id::{CommandId, EventId, ProjectId};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// A command with what came around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its id: the idempotency key.
    pub command_id: CommandId,
    /// SHA-256 of its canonical body in hexadecimal.
    pub digest: String,
    /// Project it is for.
    pub project_id: ProjectId,
    /// Sequence of the task (position of the project, for commands about no task) the caller had seen.
    pub expected_sequence: Option<u64>,
    /// Command that started the chain; its own id when it starts one.
    pub correlation_id: Uuid,
    /// Event that caused it, if one.
    pub causation_id: Option<EventId>,
    /// What is to be done.
    pub command: Command,
}

/// Decides on `request` and seals the events that follow: ids, sequences and positions assigned, not yet applied.
///
/// # Errors
/// A [`Rejection`]; nothing happened then.
pub fn handle(state: &ProjectState, request: &Request, ctx: &mut Context<'_>) -> Result<Vec<Event>, Rejection> {
    let decided = request.command.decide(state, ctx);
    // Who may not ask, or asks about nothing, learns no sequence.
    if let Err(rejection) = &decided
        && (rejection.is_not_found()
            || matches!(rejection, Rejection::Forbidden { .. } | Rejection::TaskSetAside { .. }))
    {
        return Err(rejection.clone());
    }
    if let Some(expected) = request.expected_sequence {
        let current = request.command.task_id().map_or(state.position, |id| state.sequence_of(id));
        if expected != current {
            return Err(Rejection::SequenceMismatch { expected, current });
        }
    }
    Ok(seal(state, request, decided?, ctx))
}

fn seal(state: &ProjectState, request: &Request, drafts: Vec<Draft>, ctx: &mut Context<'_>) -> Vec<Event> {
    let mut sequences = std::collections::BTreeMap::new();
    let mut position = state.position;
    drafts
        .into_iter()
        .map(|draft| {
            position += 1;
            let sequence = draft.task_id.map_or(0, |id| {
                let next = sequences.entry(id).or_insert_with(|| state.sequence_of(id));
                *next += 1;
                *next
            });
            Event {
                id: EventId(ctx.ids.next_id()),
                timestamp: ctx.now,
                project_id: request.project_id,
                task_id: draft.task_id,
                sequence,
                position,
                source: ctx.source,
                actor: ctx.actor.user.clone(),
                command_id: request.command_id,
                command_digest: Some(request.digest.clone()),
                causation_id: request.causation_id,
                correlation_id: request.correlation_id,
                data: draft.data,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{InjectPrompt, UpdateTask};
    use crate::testing::{OWNER, given_project, task, task_id};

    fn ask(user: &str, expected: u64, command: impl Into<Command>) -> Result<Vec<Event>, Rejection> {
        let state = given_project().when(task(1)).ok().state;
        let request = Request {
            command_id: CommandId(Uuid::from_u128(99)),
            digest: "d".to_owned(),
            project_id: ProjectId(Uuid::from_u128(1)),
            expected_sequence: Some(expected),
            correlation_id: Uuid::from_u128(99),
            causation_id: None,
            command: command.into(),
        };
        let mut ctx = Context {
            now: crate::time::Timestamp::default(),
            actor: Actor { user: user.to_owned(), admin: false },
            source: crate::model::Source::Cli,
            limits: Limits::default(),
            ids: &mut SeededIds::new(1),
        };
        handle(&state, &request, &mut ctx)
    }

    fn prompt(n: u64) -> InjectPrompt {
        InjectPrompt { task_id: task_id(n), message: "hint".to_owned() }
    }

    #[test]
    fn only_the_sequence_that_was_seen_is_acted_on() {
        assert_eq!(ask(OWNER, 2, prompt(1)).unwrap().len(), 1);
        assert_eq!(ask(OWNER, 1, prompt(1)).unwrap_err().code(), "sequence_mismatch");
        assert_eq!(ask(OWNER, 3, prompt(1)).unwrap_err().code(), "sequence_from_future");
        let nothing = UpdateTask {
            task_id: task_id(1),
            title: None,
            description: None,
            priority: None,
            complexity: None,
            acceptance_criteria: None,
        };
        assert_eq!(ask(OWNER, 1, nothing).unwrap_err().code(), "sequence_mismatch");
    }

    #[test]
    fn a_stranger_learns_no_sequence() {
        assert_eq!(ask("eve", 1, prompt(1)).unwrap_err().code(), "forbidden");
        assert_eq!(ask(OWNER, 1, prompt(7)).unwrap_err().code(), "task_not_found");
    }
}
