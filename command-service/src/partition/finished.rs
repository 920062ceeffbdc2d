//! Which finished tasks stay in memory: the newest of each project, by when they were last changed or asked for. It must
//! never name one that is not finished as far as it was told.

use std::collections::{BTreeMap, HashMap};

use muster_domain::id::{ProjectId, TaskId};

/// Finished tasks in memory, by project.
#[derive(Debug)]
pub(crate) struct Finished {
    keep: usize,
    projects: HashMap<ProjectId, Order>,
}

/// The finished tasks of a project, in the order they were last of use.
#[derive(Debug, Default)]
struct Order {
    clock: u64,
    used_at: HashMap<TaskId, u64>,
    oldest_first: BTreeMap<u64, TaskId>,
}

impl Finished {
    /// Keeps at most `keep` of each project; all of them when that is 0.
    pub(crate) fn new(keep: usize) -> Self {
        Self { keep, projects: HashMap::new() }
    }

    /// Makes a task the newest of its project.
    pub(crate) fn used(&mut self, project_id: ProjectId, task_id: TaskId) {
        if self.keep == 0 {
            return;
        }
        let order = self.projects.entry(project_id).or_default();
        order.clock += 1;
        order.oldest_first.insert(order.clock, task_id);
        if let Some(earlier) = order.used_at.insert(task_id, order.clock) {
            order.oldest_first.remove(&earlier);
        }
    }

    /// Forgets a task that is not finished any more, or not in memory.
    pub(crate) fn forget(&mut self, project_id: ProjectId, task_id: TaskId) {
        let Some(order) = self.projects.get_mut(&project_id) else { return };
        if let Some(used_at) = order.used_at.remove(&task_id) {
            order.oldest_first.remove(&used_at);
        }
    }

    /// The oldest tasks of a project beyond those that are kept, which are forgotten here.
    pub(crate) fn take_beyond(&mut self, project_id: ProjectId) -> Vec<TaskId> {
        let Some(order) = self.projects.get_mut(&project_id) else { return Vec::new() };
        let mut beyond = Vec::new();
        while order.oldest_first.len() > self.keep
            && let Some((_, task_id)) = order.oldest_first.pop_first()
        {
            order.used_at.remove(&task_id);
            beyond.push(task_id);
        }
        beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_least_recently_used_go_first() {
        let (project, task) = (ProjectId(Uuid::from_u128(1)), |n| TaskId(Uuid::from_u128(n)));
        let mut finished = Finished::new(2);
        for n in [1, 2, 3, 4, 1] {
            finished.used(project, task(n));
        }
        assert_eq!(finished.take_beyond(project), [task(2), task(3)]);
        finished.forget(project, task(4));
        finished.used(project, task(3));
        assert_eq!(finished.take_beyond(project), []);
        finished.used(project, task(2));
        assert_eq!(finished.take_beyond(project), [task(1)]);
    }

    #[test]
    fn without_a_limit_none_goes() {
        let (project, task) = (ProjectId(Uuid::from_u128(1)), TaskId(Uuid::from_u128(2)));
        let mut finished = Finished::new(0);
        finished.used(project, task);
        assert_eq!(finished.take_beyond(project), []);
    }
}
