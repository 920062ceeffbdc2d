//! State as it will be once everything decided is durable. Known to the writer task alone, and thrown away where an append
//! fails.

use std::collections::HashMap;
use std::sync::Arc;

use muster_domain::decide::{Actor, Context, IdSource, Limits, Outcome, Request, handle};
use muster_domain::event::Event;
use muster_domain::id::{ProjectId, TaskId};
use muster_domain::model::Source;
use muster_domain::rejection::Rejection;
use muster_domain::state::{ProjectState, Task};
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

    pub(super) fn apply(&mut self, events: &[Arc<Event>]) {
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

    /// Whether a task has left memory.
    pub(super) fn is_aside(&self, (project_id, task_id): (ProjectId, TaskId)) -> bool {
        self.projects.get(&project_id).is_some_and(|state| state.is_aside(task_id))
    }

    /// Lets a task leave memory, unless something was decided on it beyond `committed`.
    pub(super) fn set_aside(&mut self, committed: &Arc<Task>) -> bool {
        let Some(state) = self.projects.get_mut(&committed.project_id) else { return false };
        let same = state.tasks.get(&committed.id).is_some_and(|task| Arc::ptr_eq(task, committed));
        same && state.set_aside(committed.id).is_some()
    }

    /// Takes a task back into memory.
    pub(super) fn put_back(&mut self, task: &Arc<Task>) {
        if let Some(state) = self.projects.get_mut(&task.project_id)
            && let Err(error) = state.put_back(Arc::clone(task))
        {
            // It returned another way meanwhile, or went on elsewhere.
            tracing::debug!(%error, "a finished task is not put back");
        }
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
            lease_expires_at: None,
        }
    }
}

fn now() -> Timestamp {
    chrono::Utc::now().into()
}

#[cfg(test)]
mod tests {
    use muster_domain::command::{CancelTask, Command, CreateProject, CreateTask};
    use muster_domain::id::CommandId;
    use muster_domain::model::{Complexity, Priority, ProjectSettings};
    use muster_domain::state::fold;
    use muster_event_log::LogOffset;

    use super::super::batch::{Batch, Decided};
    use super::super::handle::Accepted;
    use super::super::memory::CommandKey;
    use super::*;

    fn create_project() -> Command {
        let settings = ProjectSettings::default();
        let (name, default_branch) = ("Demo".to_owned(), "main".to_owned());
        CreateProject { name, repository_path: "/repo".to_owned(), default_branch, settings }.into()
    }

    fn create_task(n: u128) -> Command {
        CreateTask {
            task_id: Some(TaskId(Uuid::from_u128(n))),
            title: "Task".to_owned(),
            description: String::new(),
            acceptance_criteria: Vec::new(),
            priority: Priority::Medium,
            complexity: Complexity::M,
            blocked_by: Vec::new(),
            interactive: false,
        }
        .into()
    }

    fn decide(speculation: &mut Speculation, batch: &mut Batch, project: u128, command: Command) {
        let command_id = CommandId(Uuid::now_v7());
        let request = Request {
            command_id,
            digest: "d".to_owned(),
            project_id: ProjectId(Uuid::from_u128(project)),
            expected_sequence: None,
            correlation_id: command_id.0,
            causation_id: None,
            command,
        };
        let actor = Actor { user: "ada".to_owned(), admin: false };
        let events = speculation.decide(&request, &actor, Source::Cli, Limits::default()).unwrap();
        let accepted = Accepted { outcome: Outcome::of(&events).unwrap(), order: None, repeated: false };
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        speculation.apply(&events);
        let key = CommandKey { actor: "ada".into(), command_id };
        batch.add(Decided { key, digest: request.digest, accepted, replies: Vec::new() }, events);
    }

    fn folded(log: &[Arc<Event>], project: u128) -> ProjectState {
        let own = log.iter().filter(|event| event.project_id.0.as_u128() == project);
        own.fold(ProjectState::default(), |state, event| fold(state, event))
    }

    /// Two batches, one behind the other, on two projects and a third that only the second makes. `committed` of them
    /// reach the log, the others are rolled back.
    fn play(committed: usize) {
        let (mut speculation, mut ledger) = (Speculation::default(), Ledger::new(&Arc::default()));
        let mut log: Vec<Arc<Event>> = Vec::new();
        let mut commit = |ledger: &mut Ledger, batch: &mut Batch| {
            let first = i64::try_from(log.len()).unwrap();
            log.extend(batch.events.iter().cloned());
            let offsets: Vec<_> = (first..).take(batch.events.len()).map(LogOffset).collect();
            ledger.commit(batch, &offsets);
        };
        let [mut before, mut first, mut second] = [Batch::default(), Batch::default(), Batch::default()];
        for project in [1, 2] {
            decide(&mut speculation, &mut before, project, create_project());
            decide(&mut speculation, &mut before, project, create_task(10 + project));
        }
        before.close(&speculation);
        commit(&mut ledger, &mut before);
        for project in [1, 2] {
            let task_id = TaskId(Uuid::from_u128(10 + project));
            decide(&mut speculation, &mut first, project, CancelTask { task_id, reason: None }.into());
            decide(&mut speculation, &mut first, project, create_task(20 + project));
        }
        first.close(&speculation);
        decide(&mut speculation, &mut second, 3, create_project());
        for project in [2, 3] {
            decide(&mut speculation, &mut second, project, create_task(30 + project));
        }
        let at_first = first.projects().chain(second.projects()).collect::<Vec<_>>();
        let mut batches = [first, second];
        for (index, batch) in batches.iter_mut().enumerate().take(committed) {
            if index > 0 {
                batch.close(&speculation);
            }
            commit(&mut ledger, batch);
        }
        for project in [1, 2, 3] {
            // What was decided later does not show in what is committed.
            let id = ProjectId(Uuid::from_u128(project));
            assert_eq!(ledger.project(id).cloned().unwrap_or_default(), folded(&log, project));
        }
        speculation.reset(at_first, &ledger);
        for project in [1, 2, 3] {
            let id = ProjectId(Uuid::from_u128(project));
            assert_eq!(speculation.project(id).cloned().unwrap_or_default(), folded(&log, project));
            assert_eq!(speculation.project(id).is_some(), project < 3 || committed == 2);
        }
    }

    #[test]
    fn what_is_not_committed_is_rolled_back_exactly() {
        for committed in 0..=2 {
            play(committed);
        }
    }
}
