//! The tasks of a project that are in memory, and what is found in them other than by id: the next piece of work, leases
//! that are over, who waits for whom. Answers in the logarithm of their number.
//!
//! All of it follows from the tasks, is kept in step by the only ways there are to change one, is not written with them
//! and is made anew when they are read. It must never decide anything.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::task::Task;
use crate::id::{ProjectId, RunId, TaskId};
use crate::model::{Priority, Role, TaskStatus};
use crate::time::Timestamp;

/// Tasks by id. Reads as the map it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "OrdMap<TaskId, Arc<Task>>", into = "OrdMap<TaskId, Arc<Task>>")]
pub struct Tasks {
    by_id: OrdMap<TaskId, Arc<Task>>,
    index: Index,
}

/// What a task waits for, of that which can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Queue {
    /// To be released to the agents.
    Dispatch,
    /// An agent that plays this role.
    Work(Role),
}

/// A task's place in a queue. The least is the most urgent, and of equally urgent ones the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    queue: Queue,
    priority: Reverse<Priority>,
    created_at: Timestamp,
    task_id: TaskId,
}

impl Place {
    /// Before all others in `queue`.
    fn head(queue: Queue) -> Self {
        Self { queue, priority: Reverse(Priority::Urgent), created_at: Timestamp::MIN, task_id: TaskId(Uuid::nil()) }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Index {
    queues: OrdSet<Place>,
    /// When live leases end, of which run of which task.
    lease_ends: OrdSet<(Timestamp, RunId, TaskId)>,
    /// Which task waits for which: the one waited for first, the one that waits second.
    dependents: OrdSet<(TaskId, TaskId)>,
}

/// What the index holds of one task.
#[derive(Default, PartialEq)]
struct Entries {
    place: Option<Place>,
    lease_ends: Vec<(Timestamp, RunId, TaskId)>,
    blocked_by: BTreeSet<TaskId>,
}

impl Entries {
    fn of(task: &Task) -> Self {
        let queue = match task.ready_work() {
            Some((role, _)) => Some(Queue::Work(role)),
            None if !task.dispatched && matches!(task.status, TaskStatus::Inbox | TaskStatus::Blocked) => {
                Some(Queue::Dispatch)
            }
            None => None,
        };
        let ends = |run: &Arc<super::Run>| run.lease.as_ref().map(|lease| (lease.expires_at, run.id, task.id));
        Self {
            place: queue.map(|queue| Place {
                queue,
                priority: Reverse(task.priority),
                created_at: task.created_at,
                task_id: task.id,
            }),
            lease_ends: task.runs.iter().filter_map(ends).collect(),
            blocked_by: task.blocked_by.clone(),
        }
    }
}

impl Index {
    fn replace(&mut self, task_id: TaskId, before: &Entries, after: &Entries) {
        if before.place != after.place {
            before.place.map(|place| self.queues.remove(&place));
            after.place.map(|place| self.queues.insert(place));
        }
        if before.lease_ends != after.lease_ends {
            for end in &before.lease_ends {
                self.lease_ends.remove(end);
            }
            self.lease_ends.extend(after.lease_ends.iter().copied());
        }
        if before.blocked_by != after.blocked_by {
            for blocker in &before.blocked_by {
                self.dependents.remove(&(*blocker, task_id));
            }
            self.dependents.extend(after.blocked_by.iter().map(|blocker| (*blocker, task_id)));
        }
    }
}

impl Tasks {
    /// Changes the task of that id, made new when there is none. Copies it only if a clone shares it.
    pub(super) fn change(&mut self, id: TaskId, project_id: ProjectId, change: impl FnOnce(&mut Task)) {
        let (before, task) = match self.by_id.get_mut(&id) {
            Some(task) => (Entries::of(task), task),
            None => (Entries::default(), self.by_id.entry(id).or_insert_with(|| Arc::new(Task::new(id, project_id)))),
        };
        change(Arc::make_mut(task));
        self.index.replace(id, &before, &Entries::of(task));
    }

    /// Puts a task in, in place of the one of its id.
    pub(super) fn insert(&mut self, task: Arc<Task>) {
        self.remove(task.id);
        self.index.replace(task.id, &Entries::default(), &Entries::of(&task));
        self.by_id.insert(task.id, task);
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, id: TaskId) -> Option<Arc<Task>> {
        let task = self.by_id.remove(&id)?;
        self.index.replace(id, &Entries::of(&task), &Entries::default());
        Some(task)
    }

    /// The most urgent task with work for one of `roles`, of equally urgent ones the oldest.
    pub fn next_for(&self, roles: &[Role]) -> Option<&Task> {
        let heads = roles.iter().filter_map(|role| self.head(Queue::Work(*role)));
        self.at(heads.min_by_key(|place| (place.priority, place.created_at, place.task_id))?)
    }

    /// The most urgent task that can be released to the agents, of equally urgent ones the oldest.
    pub fn next_to_dispatch(&self) -> Option<&Task> {
        self.at(self.head(Queue::Dispatch)?)
    }

    /// When the next lease ends. None while there is no live lease.
    pub fn next_lease_end(&self) -> Option<Timestamp> {
        self.index.lease_ends.get_min().map(|(at, ..)| *at)
    }

    /// Tasks with a lease that is over at `now`, in the order of their ids.
    pub fn with_lease_over(&self, now: Timestamp) -> BTreeSet<TaskId> {
        self.index.lease_ends.iter().take_while(|(at, ..)| *at <= now).map(|(.., task_id)| *task_id).collect()
    }

    /// Tasks in memory that were created to wait for `task_id`, in the order of their ids.
    pub fn dependents_of(&self, task_id: TaskId) -> impl Iterator<Item = &Task> {
        let waiting = (task_id, TaskId(Uuid::nil()))..=(task_id, TaskId(Uuid::max()));
        self.index.dependents.range(waiting).filter_map(|(_, id)| self.by_id.get(id)).map(AsRef::as_ref)
    }

    /// Whether what is found other than by id is what the tasks say.
    pub(crate) fn index_follows(&self) -> bool {
        self.index == Self::from(self.by_id.clone()).index
    }

    fn head(&self, queue: Queue) -> Option<&Place> {
        self.index.queues.range(Place::head(queue)..).next().filter(|place| place.queue == queue)
    }

    fn at(&self, place: &Place) -> Option<&Task> {
        self.by_id.get(&place.task_id).map(AsRef::as_ref)
    }
}

impl Deref for Tasks {
    type Target = OrdMap<TaskId, Arc<Task>>;

    fn deref(&self) -> &Self::Target {
        &self.by_id
    }
}

impl From<OrdMap<TaskId, Arc<Task>>> for Tasks {
    fn from(by_id: OrdMap<TaskId, Arc<Task>>) -> Self {
        let mut index = Index::default();
        for (id, task) in &by_id {
            index.replace(*id, &Entries::default(), &Entries::of(task));
        }
        Self { by_id, index }
    }
}

impl From<Tasks> for OrdMap<TaskId, Arc<Task>> {
    fn from(tasks: Tasks) -> Self {
        tasks.by_id
    }
}
