//! Events as a busy installation writes them: several projects at once, each taking cards through their whole life.
//!
//! Made by the domain's own commands, never by hand, so that the mix of types and sizes is the true one.

mod author;
mod lifecycle;

use std::collections::VecDeque;
use std::sync::Arc;

use muster_client::domain::event::Event;

use author::Author;

/// Projects that are written at once.
const PROJECTS: usize = 8;
/// Cards of a project before a new project takes its place.
const TASKS_PER_PROJECT: u32 = 60;
/// Events of one project in a row: about as many as a command makes.
const RUN_LENGTH: usize = 4;

/// An endless supply of events. Each project's positions are gapless, and its cards' sequences too.
pub struct Mix {
    projects: Vec<Project>,
    turn: usize,
    tasks: u64,
}

struct Project {
    author: Author,
    tasks: u32,
    ready: VecDeque<Arc<Event>>,
}

impl Project {
    fn new() -> anyhow::Result<Self> {
        let mut author = Author::new();
        lifecycle::create_project(&mut author)?;
        Ok(Self { ready: author.take_events(), author, tasks: 0 })
    }
}

impl Mix {
    /// A supply that begins with new projects.
    pub fn new() -> anyhow::Result<Self> {
        let projects = (0..PROJECTS).map(|_| Project::new()).collect::<anyhow::Result<_>>()?;
        Ok(Self { projects, turn: 0, tasks: 0 })
    }

    /// The next `count` events.
    pub fn take(&mut self, count: usize) -> anyhow::Result<Vec<Arc<Event>>> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            let project = &mut self.projects[self.turn];
            if project.ready.is_empty() {
                if project.tasks == TASKS_PER_PROJECT {
                    *project = Project::new()?;
                }
                project.tasks += 1;
                self.tasks += 1;
                lifecycle::whole_task(&mut project.author, project.tasks)?;
                project.ready.append(&mut project.author.take_events());
            }
            let some = RUN_LENGTH.min(count - events.len()).min(project.ready.len());
            events.extend(project.ready.drain(..some));
            self.turn = (self.turn + 1) % PROJECTS;
        }
        Ok(events)
    }

    /// Cards begun so far.
    pub fn tasks(&self) -> u64 {
        self.tasks
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn positions_and_sequences_are_gapless_however_it_is_cut() {
        let mut mix = Mix::new().unwrap();
        let (mut positions, mut sequences) = (BTreeMap::new(), BTreeMap::new());
        for count in [1, 7, 100, 1000, 3] {
            let events = mix.take(count).unwrap();
            assert_eq!(events.len(), count);
            for event in events {
                let last = positions.entry(event.project_id).or_insert(0);
                assert_eq!(event.position, *last + 1);
                *last = event.position;
                if let Some(task) = event.task_id {
                    let last = sequences.entry(task).or_insert(0);
                    assert_eq!(event.sequence, *last + 1);
                    *last = event.sequence;
                }
            }
        }
    }

    #[test]
    fn events_are_as_large_as_real_ones() {
        let events = Mix::new().unwrap().take(4_000).unwrap();
        let records = muster_event_log::limits::Record::all(&events).unwrap();
        let mean = records.iter().map(muster_event_log::limits::Record::value_bytes).sum::<usize>() / records.len();
        assert!((350..600).contains(&mean), "an event is {mean} bytes of Avro on average");
    }

    #[test]
    fn a_whole_life_is_told() {
        let events = Mix::new().unwrap().take(PROJECTS * 200).unwrap();
        let types: BTreeSet<_> = events.iter().map(|event| event.event_type()).collect();
        for told in ["task.created", "plan.approved", "iteration.complete", "branch.merged", "task.completed"] {
            assert!(types.contains(told), "{told} does not happen in {types:?}");
        }
    }
}
