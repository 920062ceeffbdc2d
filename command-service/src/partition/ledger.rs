//! What a partition has committed: the state of its projects, the commands behind it. Read by every request, written
//! only by the partition's writer task. It must never hold anything that is not durable.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use muster_domain::command::{WorkOrder, next_work, work_order};
use muster_domain::decide::Outcome;
use muster_domain::event::Event;
use muster_domain::id::{EventId, ProjectId, RunId, TaskId};
use muster_domain::model::{MemberRole, Priority, Role};
use muster_domain::state::{ProjectState, Task};
use muster_domain::time::Timestamp;
use muster_event_log::{LogOffset, LogRecord};
use muster_service_kit::mutant;
use parking_lot::Mutex;

use super::archive::Absent;
use super::batch::Batch;
use super::finished::Finished;
use super::index::{Place, TaskIndex};
use super::memory::{CommandKey, Memory, Remembered, Window};
use super::snapshot::Image;
use crate::settings::Settings;

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
    /// Projects whose history cannot be read in whole, from which record on, and why. Nothing is decided on them.
    unreadable: HashMap<ProjectId, (LogOffset, String)>,
    /// What was found when work was last looked for: position of the project then, and the offer by roles.
    offers: Mutex<HashMap<ProjectId, (u64, Vec<RolesOffer>)>>,
    /// Where to read on.
    next: LogOffset,
    /// The event before that; none when no event this build can read is there.
    last: Option<EventId>,
    /// Events taken in since the last snapshot, or since the one it began with.
    events_since_snapshot: usize,
    /// Events of the newest command read, which the next record may continue.
    open: Vec<Arc<Event>>,
    finished: Finished,
    settings: Arc<Settings>,
}

impl Ledger {
    pub(crate) fn new(settings: &Arc<Settings>) -> Self {
        Self {
            projects: HashMap::new(),
            index: TaskIndex::default(),
            memory: Memory::new(Window::of(settings)),
            unreadable: HashMap::new(),
            offers: Mutex::default(),
            next: LogOffset::START,
            last: None,
            events_since_snapshot: 0,
            open: Vec::new(),
            finished: Finished::new(settings.finished_tasks_in_memory),
            settings: Arc::clone(settings),
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

    /// The projects that have a task of that id.
    pub(crate) fn projects_of(&self, task_id: TaskId) -> impl Iterator<Item = ProjectId> {
        self.index.projects_of(task_id)
    }

    pub(crate) fn unreadable(&self, id: ProjectId) -> Option<&str> {
        self.unreadable.get(&id).map(|(_, reason)| reason.as_str())
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
            self.note(event, *offset);
        }
        for (key, digest, outcome) in batch.outcomes() {
            self.memory.add(key, digest, outcome);
        }
        self.projects.extend(batch.take_states());
        for event in &batch.events {
            self.follow(event);
        }
    }

    /// Takes in what was read from the log. Adds the projects it touched to `touched`.
    pub(super) fn read(&mut self, record: LogRecord, touched: &mut HashSet<ProjectId>) {
        match record.payload {
            Ok(event) => {
                touched.insert(event.project_id);
                self.apply(&event, record.offset);
                self.note(&event, record.offset);
                self.follow(&event);
                if self.open.first().is_some_and(|first| !same_command(first, &event)) {
                    self.close();
                }
                self.open.push(event);
            }
            Err(poison) => {
                let LogRecord { partition, offset, .. } = record;
                (self.next, self.last) = (offset.next(), None);
                tracing::error!(partition, %offset, error = poison.error, "a record of the log cannot be read");
                if let Some(project_id) = poison.project_id.filter(|id| self.is_next_of(*id, poison.position)) {
                    touched.insert(project_id);
                    let reason = format!("partition {partition}, offset {offset}: {}", poison.error);
                    self.unreadable.entry(project_id).or_insert((offset, reason));
                }
            }
        }
    }

    /// Where the events of a task are; none when it has none.
    pub(crate) fn place(&self, project_id: ProjectId, task_id: TaskId) -> Option<Place> {
        self.index.place(project_id, task_id)
    }

    /// Lets the finished tasks of a project leave memory that are beyond those that are kept. `also` takes each out of
    /// what is decided on top of this, and says whether it could.
    pub(super) fn set_aside(&mut self, project_id: ProjectId, mut also: impl FnMut(&Arc<Task>) -> bool) {
        for task_id in self.finished.take_beyond(project_id) {
            let Some(state) = self.projects.get_mut(&project_id) else { continue };
            // One that is still at work, or that something was decided on, is looked at again after its next event.
            if state.tasks.get(&task_id).is_some_and(&mut also) {
                state.set_aside(task_id);
            }
        }
    }

    /// Takes a task back into memory. Does nothing when it is there, or when it is not what it should be.
    pub(super) fn put_back(&mut self, task: &Arc<Task>) {
        let Some(state) = self.projects.get_mut(&task.project_id) else { return };
        if state.put_back(Arc::clone(task)).is_ok() {
            self.finished.used(task.project_id, task.id);
        }
    }

    /// The tasks that must be back in memory before `records` are taken in.
    pub(super) fn absent_in(&self, records: &[LogRecord]) -> Vec<Absent> {
        let events = records.iter().filter_map(|record| record.payload.as_ref().ok());
        let tasks: HashSet<_> = events.filter_map(|event| Some((event.project_id, event.task_id?))).collect();
        tasks.into_iter().filter_map(|(project_id, task_id)| self.absent(project_id, task_id)).collect()
    }

    /// Where a task is that has left memory; none when it is in memory, or there is none.
    pub(crate) fn absent(&self, project_id: ProjectId, task_id: TaskId) -> Option<Absent> {
        self.projects.get(&project_id).filter(|state| state.is_aside(task_id))?;
        Some(Absent { project_id, task_id, place: self.place(project_id, task_id)? })
    }

    /// Events taken in since the newest snapshot, or since the one this began with.
    pub(super) fn events_since_snapshot(&self) -> usize {
        self.events_since_snapshot
    }

    pub(super) fn idempotency_window(&self) -> Window {
        Window::of(&self.settings)
    }

    /// What a snapshot of this moment holds; none where none can be taken. Cheap, however much that is.
    pub(super) fn image(&mut self, partition: u32) -> Option<Image> {
        // Between two commands alone: the next record must not continue one that is half in the snapshot.
        if !self.open.is_empty() {
            return None;
        }
        self.events_since_snapshot = 0;
        Some(Image {
            partition,
            idempotency_window: self.idempotency_window(),
            next: self.next,
            last: self.last?,
            projects: self.projects.clone(),
            unreadable: self.unreadable.clone(),
            recent: self.memory.recent(),
            entries: self.index.entries(),
        })
    }

    /// One with the same limits that knows what `image` holds. Takes time when that is much.
    pub(super) fn restored(&self, image: Image) -> Self {
        let mut restored = Self {
            projects: image.projects,
            index: TaskIndex::restore(image.entries),
            memory: Memory::restore(self.idempotency_window(), image.recent),
            unreadable: image.unreadable,
            next: image.next,
            last: Some(image.last),
            ..self.emptied()
        };
        restored.find_finished();
        restored
    }

    /// Finds the finished tasks in memory, oldest last event first.
    fn find_finished(&mut self) {
        for (project_id, state) in &self.projects {
            let finished = state.tasks.values().filter(|task| task.is_terminal());
            let mut finished: Vec<_> = finished.map(|task| (self.place(*project_id, task.id), task.id)).collect();
            finished.sort_unstable_by_key(|(place, _)| place.map(Place::last));
            for (_, task_id) in finished {
                self.finished.used(*project_id, task_id);
            }
        }
    }

    /// One with the same limits that knows nothing.
    pub(super) fn emptied(&self) -> Self {
        Self::new(&self.settings)
    }

    /// Remembers the newest command that was read. To be called when everything was read.
    pub(super) fn close(&mut self) {
        let events = std::mem::take(&mut self.open);
        let Some(outcome) = Outcome::of(events.iter().map(AsRef::as_ref)) else { return };
        let Some(first) = events.first().filter(|_| !mutant::is("forget_idempotency_at_takeover")) else { return };
        let key = CommandKey { actor: first.actor.as_str().into(), command_id: first.command_id };
        self.memory.add(&key, first.command_digest.as_deref().unwrap_or_default(), outcome);
    }

    /// Keeps in mind whether the task of `event` is finished by now.
    fn follow(&mut self, event: &Event) {
        let Some(task_id) = event.task_id else { return };
        let task = self.projects.get(&event.project_id).and_then(|state| state.task(task_id));
        if task.is_some_and(Task::is_terminal) {
            self.finished.used(event.project_id, task_id);
        } else {
            self.finished.forget(event.project_id, task_id);
        }
    }

    /// Whether a record says that it is the next event of a project. Positions have no gap, so one that says another
    /// position, or none, is no event that a writer wrote: the history is whole without it.
    fn is_next_of(&self, project_id: ProjectId, position: Option<u64>) -> bool {
        position == Some(self.projects.get(&project_id).map_or(0, |state| state.position) + 1)
    }

    fn note(&mut self, event: &Event, offset: LogOffset) {
        self.index.note(event, offset);
        self.next = offset.next();
        self.last = Some(event.id);
        self.events_since_snapshot += 1;
    }

    fn apply(&mut self, event: &Event, offset: LogOffset) {
        let state = self.projects.entry(event.project_id).or_default();
        if event.position != state.position + 1 {
            let reason = format!("position {} follows {}", event.position, state.position);
            tracing::error!(project_id = %event.project_id, reason, "the history of a project has a gap");
            self.unreadable.entry(event.project_id).or_insert((offset, reason));
        }
        state.apply(event);
    }
}

fn same_command(first: &Event, event: &Event) -> bool {
    (first.project_id, first.command_id, &first.actor) == (event.project_id, event.command_id, &event.actor)
}
