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
    if let Some(expected) = request.expected_sequence {
        let current = request
            .command
            .task_id()
            .and_then(|id| state.tasks.get(&id))
            .map_or_else(|| request.command.task_id().map_or(state.position, |_| 0), |task| task.sequence);
        if expected != current {
            return Err(Rejection::SequenceMismatch { expected, current });
        }
    }
    let drafts = request.command.decide(state, ctx)?;
    Ok(seal(state, request, drafts, ctx))
}

fn seal(state: &ProjectState, request: &Request, drafts: Vec<Draft>, ctx: &mut Context<'_>) -> Vec<Event> {
    let mut sequences = std::collections::BTreeMap::new();
    let mut position = state.position;
    drafts
        .into_iter()
        .map(|draft| {
            position += 1;
            let sequence = draft.task_id.map_or(0, |id| {
                let next = sequences.entry(id).or_insert_with(|| state.tasks.get(&id).map_or(0, |task| task.sequence));
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
