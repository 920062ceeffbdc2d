//! State as it will be once everything decided is durable. Known to the writer task alone, and thrown away where an append
//! fails.

use std::collections::HashMap;

use muster_domain::decide::{Actor, Context, IdSource, Limits, Outcome, Request, handle};
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_domain::model::Source;
use muster_domain::rejection::Rejection;
use muster_domain::state::ProjectState;
use muster_domain::time::Timestamp;
use uuid::Uuid;

use super::ledger::Ledger;

/// Ids that grow with time, also within one millisecond.
pub(super) struct TimeOrderedIds;

impl IdSource for TimeOrderedIds {
    fn next_id(&mut self) -> Uuid {
        Uuid::now_v7()
    }
}

/// The speculative state of every project of a partition.
#[derive(Default)]
pub(super) struct Speculation {
    projects: HashMap<ProjectId, ProjectState>,
}

impl Speculation {
    /// Decides on the state as it will be, and moves it on when the command is accepted.
    pub(super) fn decide(
        &mut self,
        request: &Request,
        actor: &Actor,
        source: Source,
        limits: Limits,
    ) -> Result<Vec<Event>, Rejection> {
        let mut ids = TimeOrderedIds;
        let mut context = Context { now: now(), actor: actor.clone(), source, limits, ids: &mut ids };
        let nothing = ProjectState::default();
        let state = self.projects.get(&request.project_id).unwrap_or(&nothing);
        handle(state, request, &mut context)
    }

    pub(super) fn apply(&mut self, events: &[std::sync::Arc<Event>]) {
        for event in events {
            self.projects.entry(event.project_id).or_default().apply(event);
        }
    }

    pub(super) fn project(&self, id: ProjectId) -> Option<&ProjectState> {
        self.projects.get(&id)
    }

    /// Projects with a lease whose time is over.
    pub(super) fn with_expired_leases(&self) -> Vec<ProjectId> {
        let now = now();
        let expired =
            |state: &ProjectState| !state.leases.is_empty() && muster_domain::command::has_expired_leases(state, now);
        self.projects.iter().filter(|(_, state)| expired(state)).map(|(id, _)| *id).collect()
    }

    /// Forgets what was decided on these projects beyond what is committed.
    pub(super) fn reset(&mut self, projects: impl IntoIterator<Item = ProjectId>, ledger: &Ledger) {
        for id in projects {
            match ledger.project(id) {
                Some(state) => self.projects.insert(id, state.clone()),
                None => self.projects.remove(&id),
            };
        }
    }

    /// The answer to a command that needed no event.
    pub(super) fn unchanged(&self, request: &Request) -> Outcome {
        let state = self.projects.get(&request.project_id);
        let task_id = request.command.task_id();
        Outcome {
            command_id: request.command_id,
            project_id: request.project_id,
            task_id,
            sequence: task_id.and_then(|id| Some(state?.tasks.get(&id)?.sequence)),
            position: state.map_or(0, |state| state.position),
            event_ids: Vec::new(),
            claim: None,
        }
    }
}

fn now() -> Timestamp {
    chrono::Utc::now().into()
}
