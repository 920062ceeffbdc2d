//! Finished tasks that have left memory: brought back by folding their events from the log. It must never write.

use std::sync::Arc;

use muster_domain::id::{ProjectId, TaskId};
use muster_domain::state::{Task, fold_task};
use muster_event_log::{Error, EventLog};
use tokio::sync::Semaphore;

use super::index::Place;

/// Records read at once.
const READ_RECORDS: usize = 2000;

/// A task, and where its events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absent {
    pub project_id: ProjectId,
    pub task_id: TaskId,
    pub place: Place,
}

/// Where finished tasks are read from, a few at a time: commands about many of them must not keep the log from appends.
#[derive(Clone)]
pub(crate) struct Archive {
    log: Arc<dyn EventLog>,
    reads: Arc<Semaphore>,
}

impl Archive {
    /// Of a log, with room for so many reads.
    pub(crate) fn new(log: Arc<dyn EventLog>, reads_max: usize) -> Self {
        Self { log, reads: Arc::new(Semaphore::new(reads_max.min(Semaphore::MAX_PERMITS))) }
    }

    /// As [`fetch`], when it is its turn.
    pub(crate) async fn fetch(&self, partition: u32, absent: Absent) -> Result<Arc<Task>, Error> {
        // Never closed; without a turn it would be read all the same.
        let _turn = self.reads.acquire().await;
        fetch(self.log.as_ref(), partition, absent).await
    }
}

/// Folds a task from its events. Everything between the first and the last is read, so it takes the longer, the longer
/// the task was under way and the more happened to others meanwhile.
pub(crate) async fn fetch(log: &dyn EventLog, partition: u32, absent: Absent) -> Result<Arc<Task>, Error> {
    let Absent { project_id, task_id, place } = absent;
    let mut next = place.first;
    let mut task = None;
    loop {
        let records = log.read(partition, next, READ_RECORDS.min(place.most_records(next))).await?;
        let Some(last) = records.last() else {
            // The index was made from these events, and they were committed.
            let reason = format!("partition {partition}: the events of task {task_id} end before {}", place.events);
            return Err(Error::Unavailable { reason });
        };
        next = last.offset.next();
        for event in records.iter().filter_map(|record| record.payload.as_ref().ok()) {
            if event.task_id == Some(task_id) && event.project_id == project_id {
                task = fold_task(task, event);
            }
        }
        if let Some(whole) = task.take_if(|task| task.sequence >= u64::from(place.events)) {
            return Ok(Arc::new(whole));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use parking_lot::RwLock;

    use super::super::ledger::Ledger;
    use super::super::replay::catch_up;
    use super::super::testing::{history, log_of};
    use super::*;
    use crate::settings::Settings;

    #[tokio::test]
    async fn every_task_is_the_one_that_was_in_memory() {
        let log: Arc<dyn EventLog> = Arc::new(log_of(&history(5, 300)).await);
        let ledger =
            RwLock::new(Ledger::new(&Arc::new(Settings { finished_tasks_in_memory: 0, ..Settings::default() })));
        catch_up(&log, 0, &ledger, &mut HashSet::new()).await.unwrap();
        let ledger = ledger.into_inner();
        let mut compared = 0;
        for (project_id, state) in ledger.projects() {
            for (task_id, task) in state.tasks.iter() {
                let place = ledger.place(*project_id, *task_id).unwrap();
                let absent = Absent { project_id: *project_id, task_id: *task_id, place };
                assert_eq!(fetch(log.as_ref(), 0, absent).await.unwrap(), *task);
                compared += 1;
            }
        }
        assert!(compared > 10);
    }

    #[tokio::test]
    async fn one_whose_events_are_gone_is_an_error() {
        let history = history(5, 100);
        let log: Arc<dyn EventLog> = Arc::new(log_of(&history).await);
        let ledger =
            RwLock::new(Ledger::new(&Arc::new(Settings { finished_tasks_in_memory: 0, ..Settings::default() })));
        catch_up(&log, 0, &ledger, &mut HashSet::new()).await.unwrap();
        let task = history.iter().flat_map(|accepted| &accepted.events).find(|event| event.task_id.is_some()).unwrap();
        let (project_id, task_id) = (task.project_id, task.task_id.unwrap());
        let place = ledger.read().place(project_id, task_id).unwrap();
        let absent = Absent { project_id, task_id, place: super::Place { events: place.events + 1, ..place } };
        assert!(matches!(fetch(log.as_ref(), 0, absent).await, Err(Error::Unavailable { .. })));
    }
}
