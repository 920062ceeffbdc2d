//! What a partition has committed: the state of its projects, the commands behind it. Read by every request, written
//! only by the partition's writer task. It must never hold anything that is not durable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use muster_domain::command::{WorkOrder, next_work, work_order};
use muster_domain::decide::Outcome;
use muster_domain::event::Event;
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::model::{MemberRole, Priority, Role};
use muster_domain::state::ProjectState;
use muster_domain::time::Timestamp;
use muster_event_log::{LogOffset, LogRecord};
use parking_lot::Mutex;

use super::batch::Batch;
use super::index::TaskIndex;
use super::memory::{CommandKey, Memory, Remembered};

/// Work that a project has to give, for choosing among projects. Greater is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Offer {
    pub priority: Priority,
    pub oldest_first: std::cmp::Reverse<(Timestamp, TaskId)>,
    pub project_id: ProjectId,
}

/// Sets of roles for which an offer is kept; runners of one kind share one.
const OFFERS_KEPT: usize = 16;

/// What a project has to give for a set of roles.
type RolesOffer = (Vec<Role>, Option<Offer>);

/// The committed state of a partition.
#[derive(Debug)]
pub(crate) struct Ledger {
    projects: HashMap<ProjectId, ProjectState>,
    index: TaskIndex,
    memory: Memory,
    /// Projects whose history cannot be read in whole, and why. Nothing is decided on them.
    unreadable: HashMap<ProjectId, String>,
    /// What was found when work was last looked for: position of the project then, and the offer by roles.
    offers: Mutex<HashMap<ProjectId, (u64, Vec<RolesOffer>)>>,
    /// Where to read on.
    next: LogOffset,
    /// Events of the newest command read, which the next record may continue.
    open: Vec<Arc<Event>>,
}

impl Ledger {
    pub(crate) fn new(idempotency_window: usize) -> Self {
        Self {
            projects: HashMap::new(),
            index: TaskIndex::default(),
            memory: Memory::new(idempotency_window),
            unreadable: HashMap::new(),
            offers: Mutex::default(),
            next: LogOffset::START,
            open: Vec::new(),
        }
    }

    pub(crate) fn next(&self) -> LogOffset {
        self.next
    }

    pub(crate) fn project(&self, id: ProjectId) -> Option<&ProjectState> {
        self.projects.get(&id)
    }

    pub(crate) fn projects(&self) -> &HashMap<ProjectId, ProjectState> {
        &self.projects
    }

    pub(crate) fn project_of(&self, task_id: TaskId) -> Option<ProjectId> {
        self.index.project_of(task_id)
    }

    pub(crate) fn unreadable(&self, id: ProjectId) -> Option<&str> {
        self.unreadable.get(&id).map(String::as_str)
    }

    pub(crate) fn remembered(&self, key: &CommandKey) -> Option<Remembered> {
        self.memory.get(key)
    }

    pub(crate) fn remembers(&self, key: &CommandKey) -> bool {
        self.memory.contains(key)
    }

    /// The role of `user` in a project; none for an unknown project.
    pub(crate) fn role_of(&self, project_id: ProjectId, user: &str) -> Option<MemberRole> {
        self.projects.get(&project_id)?.project.as_ref()?.members.get(user).copied()
    }

    /// The work order of a run that is under way.
    pub(crate) fn order(&self, project_id: ProjectId, task_id: TaskId, run_id: RunId) -> Option<WorkOrder> {
        work_order(self.projects.get(&project_id)?, task_id, run_id)
    }

    /// The most urgent work of a project for these roles. Looked for once for each position of the project, however
    /// many sessions wait.
    pub(crate) fn offer(&self, project_id: ProjectId, roles: &[Role]) -> Option<Offer> {
        let state = self.projects.get(&project_id)?;
        let mut offers = self.offers.lock();
        let (position, known) = offers.entry(project_id).or_default();
        if *position != state.position {
            *position = state.position;
            known.clear();
        }
        if let Some((_, offer)) = known.iter().find(|(of_roles, _)| of_roles == roles) {
            return *offer;
        }
        let offer = Self::look_for_work(state, project_id, roles);
        if known.len() < OFFERS_KEPT {
            known.push((roles.to_vec(), offer));
        }
        offer
    }

    fn look_for_work(state: &ProjectState, project_id: ProjectId, roles: &[Role]) -> Option<Offer> {
        let task = state.tasks.get(&next_work(state, roles)?.task_id)?;
        let oldest_first = std::cmp::Reverse((task.created_at, task.id));
        Some(Offer { priority: task.priority, oldest_first, project_id })
    }

    /// Takes in what was appended by this process at these offsets: the states it had come to, and its outcomes.
    pub(super) fn commit(&mut self, batch: &mut Batch, offsets: &[LogOffset]) {
        debug_assert!(self.open.is_empty(), "nothing is appended before the log was read to its end");
        for (event, offset) in batch.events.iter().zip(offsets) {
            self.index.note(event, *offset);
            self.next = offset.next();
        }
        for (key, digest, outcome) in batch.outcomes() {
            self.memory.add(key, digest, outcome);
        }
        self.projects.extend(batch.take_states());
    }

    /// Takes in what was read from the log. Adds the projects it touched to `touched`.
    pub(super) fn read(&mut self, record: LogRecord, touched: &mut HashSet<ProjectId>) {
        self.next = record.offset.next();
        match record.payload {
            Ok(event) => {
                touched.insert(event.project_id);
                self.apply(&event);
                self.index.note(&event, record.offset);
                if self.open.first().is_some_and(|first| !same_command(first, &event)) {
                    self.close();
                }
                self.open.push(event);
            }
            Err(poison) => {
                let partition = record.partition;
                let offset = record.offset;
                tracing::error!(partition, %offset, error = poison.error, "a record of the log cannot be read");
                if let Some(project_id) = poison.project_id {
                    touched.insert(project_id);
                    let reason = format!("partition {partition}, offset {offset}: {}", poison.error);
                    self.unreadable.entry(project_id).or_insert(reason);
                }
            }
        }
    }

    /// Remembers the newest command that was read. To be called when everything was read.
    pub(super) fn close(&mut self) {
        let events = std::mem::take(&mut self.open);
        let Some(outcome) = Outcome::of(events.iter().map(AsRef::as_ref)) else { return };
        let Some(first) = events.first() else { return };
        let key = CommandKey { actor: first.actor.as_str().into(), command_id: first.command_id };
        self.memory.add(&key, first.command_digest.as_deref().unwrap_or_default(), outcome);
    }

    fn apply(&mut self, event: &Event) {
        let state = self.projects.entry(event.project_id).or_default();
        if event.position != state.position + 1 {
            let reason = format!("position {} follows {}", event.position, state.position);
            tracing::error!(project_id = %event.project_id, reason, "the history of a project has a gap");
            self.unreadable.entry(event.project_id).or_insert(reason);
        }
        state.apply(event);
    }
}

fn same_command(first: &Event, event: &Event) -> bool {
    (first.project_id, first.command_id, &first.actor) == (event.project_id, event.command_id, &event.actor)
}
