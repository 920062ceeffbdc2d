//! Every task of a partition: its project, and where in the log its events are, so that a finished one can leave memory
//! and return. It must never hold a task itself.

use std::collections::HashMap;

use imbl::{OrdMap, Vector};
use muster_domain::event::Event;
use muster_domain::id::{ProjectId, TaskId};
use muster_event_log::LogOffset;

/// Where in the log a task's events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub first: LogOffset,
    /// From the first event to the last; all there is, when it is more.
    pub span: u32,
    /// How many events it has: the sequence of the last.
    pub events: u32,
}

impl Place {
    /// Offset of the last event, as far as it is known; a later one, when it is too far away.
    pub(crate) fn last(self) -> LogOffset {
        let far = self.span == u32::MAX;
        if far { LogOffset(i64::MAX) } else { LogOffset(self.first.0.saturating_add(i64::from(self.span))) }
    }

    /// How many records there are at most from `next` to the last event. At least one.
    pub(crate) fn most_records(self, next: LogOffset) -> usize {
        usize::try_from(self.last().0.saturating_sub(next.0)).unwrap_or(0).saturating_add(1)
    }
}

/// A task, and the number of its project: whoever makes a task may choose its id, so two projects may have the same.
pub(crate) type TaskNumber = (TaskId, u32);

/// All tasks of a partition, finished ones included.
#[derive(Debug, Default)]
pub(crate) struct TaskIndex {
    entries: Entries,
    numbers: HashMap<ProjectId, u32>,
}

/// What the index knows, without the ways to find a project. A clone is cheap and shares everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entries {
    pub places: OrdMap<TaskNumber, Place>,
    pub projects: Vector<ProjectId>,
}

impl TaskIndex {
    pub(crate) fn restore(entries: Entries) -> Self {
        let projects = entries.projects.iter().enumerate();
        let numbers = projects.map(|(index, id)| (*id, u32::try_from(index).unwrap_or(u32::MAX))).collect();
        Self { entries, numbers }
    }

    /// What a snapshot keeps.
    pub(crate) fn entries(&self) -> Entries {
        self.entries.clone()
    }

    /// Takes in that `event` is in the log at `offset`.
    pub(crate) fn note(&mut self, event: &Event, offset: LogOffset) {
        let Some(task_id) = event.task_id else { return };
        let next = u32::try_from(self.entries.projects.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(event.project_id).or_insert(next);
        if number == next {
            self.entries.projects.push_back(event.project_id);
        }
        let events = u32::try_from(event.sequence).unwrap_or(u32::MAX);
        match self.entries.places.get_mut(&(task_id, number)) {
            Some(place) => {
                place.span = u32::try_from(offset.0 - place.first.0).unwrap_or(u32::MAX);
                place.events = events;
            }
            None => {
                self.entries.places.insert((task_id, number), Place { first: offset, span: 0, events });
            }
        }
    }

    /// Where the events of a task are; none when it has none.
    pub(crate) fn place(&self, project_id: ProjectId, task_id: TaskId) -> Option<Place> {
        let number = *self.numbers.get(&project_id)?;
        self.entries.places.get(&(task_id, number)).copied()
    }

    /// The projects that have a task of that id, in the order in which they were first seen.
    pub(crate) fn projects_of(&self, task_id: TaskId) -> impl Iterator<Item = ProjectId> {
        let places = self.entries.places.range((task_id, 0)..=(task_id, u32::MAX));
        places.filter_map(|((_, number), _)| self.entries.projects.get(*number as usize).copied())
    }
}
