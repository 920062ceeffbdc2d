//! Which project a command is for, where the caller does not say. It must never tell a stranger that a task exists, nor let
//! a task of the same id in a stranger's project get in the way.

use std::collections::HashMap;

use axum::body::Bytes;
use futures::future::join_all;
use http::Method;
use muster_domain::command::Command;
use muster_domain::id::{CommandId, ProjectId, TaskId};
use muster_schemas::api::CommandRequest;
use muster_service_kit::{Problem, codes};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::{Builder, Uuid};

use super::{CommandService, Error, Who};
use crate::partition::{Handle, Ledger};
use crate::problem::{not_a_members_task, recovering, task_not_found};

/// Tasks of other instances that are remembered.
const TASKS_KEPT: usize = 10_000;

/// What an instance knows of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskAnswer {
    /// Its project, if the caller may know.
    pub project_id: Option<ProjectId>,
    /// Whether another project the caller may know of has a task of that id as well.
    #[serde(default)]
    pub has_twin: bool,
    /// The partitions this holds for.
    pub partitions: Vec<u32>,
}

/// Projects of tasks in partitions of other instances, for each who was told. A task never changes its project, so what is
/// known stays true; another user may know another task of that id.
#[derive(Default)]
pub(super) struct TasksElsewhere(Mutex<HashMap<(TaskId, String), ProjectId>>);

impl TasksElsewhere {
    fn get(&self, who: &Who, task_id: TaskId) -> Option<ProjectId> {
        self.0.lock().get(&(task_id, who.actor.user.clone())).copied()
    }

    fn add(&self, who: &Who, task_id: TaskId, project_id: ProjectId) {
        let mut tasks = self.0.lock();
        if tasks.len() >= TASKS_KEPT {
            tasks.clear();
        }
        tasks.insert((task_id, who.actor.user.clone()), project_id);
    }
}

impl CommandService {
    pub(super) async fn resolve(
        &self,
        who: &Who,
        key: CommandId,
        request: &CommandRequest,
    ) -> Result<ProjectId, Error> {
        if let Some(project_id) = request.project_id {
            return Ok(project_id);
        }
        match &request.command {
            Command::CreateProject(_) => Ok(new_project_id(&who.actor.user, key)),
            Command::CreateTask(_) => Err(project_missing().into()),
            command => match command.task_id() {
                Some(task_id) => match self.known_project_of(who, task_id) {
                    Some(project_id) => Ok(project_id),
                    None => Box::pin(self.project_of(who, task_id)).await,
                },
                None => Err(project_missing().into()),
            },
        }
    }

    /// The project of a task, for those who may know; whichever instance has it.
    pub async fn project_of(&self, who: &Who, task_id: TaskId) -> Result<ProjectId, Error> {
        let deadline = Instant::now() + self.0.settings.handover_patience;
        loop {
            if let Some(project_id) = self.only_project_of(who, task_id)? {
                return Ok(project_id);
            }
            // Its owner looks whether the caller may still know.
            let elsewhere = self.0.tasks_elsewhere.get(who, task_id);
            if let Some(project_id) = elsewhere.filter(|project_id| !self.partition_of(*project_id).is_serving()) {
                return Ok(project_id);
            }
            let mut answers = vec![self.task_here(who, task_id).await];
            answers
                .extend(self.ask_others(who, &Method::GET, &format!("/internal/tasks/{task_id}"), Bytes::new()).await);
            let mut found: Vec<_> = answers.iter().filter_map(|answer: &TaskAnswer| answer.project_id).collect();
            found.sort_unstable();
            found.dedup();
            if found.len() > 1 || answers.iter().any(|answer| answer.has_twin) {
                return Err(several_tasks(task_id).into());
            }
            if let Some(project_id) = found.pop() {
                if !self.partition_of(project_id).is_serving() {
                    self.0.tasks_elsewhere.add(who, task_id, project_id);
                }
                return Ok(project_id);
            }
            if self.are_all(answers.iter().flat_map(|answer| &answer.partitions)) {
                // An admin may know of every task, so for an admin there is none.
                let problem = if who.actor.admin { task_not_found(task_id) } else { not_a_members_task() };
                return Err(problem.into());
            }
            if !self.wait_for_others(deadline).await {
                return Err(recovering().into());
            }
        }
    }

    /// The project of a task in a partition of this instance.
    pub(crate) async fn task_here(&self, who: &Who, task_id: TaskId) -> TaskAnswer {
        let tenures = self.tenures();
        let mut projects = self.known_projects_of(who, task_id);
        if projects.is_empty() {
            // Another process may have created it.
            join_all(self.0.partitions.iter().map(Handle::look)).await;
            projects = self.known_projects_of(who, task_id);
        }
        let has_twin = projects.len() > 1;
        TaskAnswer { project_id: projects.pop(), has_twin, partitions: self.still(tenures) }
    }

    /// The project of a task in a partition of this instance, if the caller may know of one and of no other.
    fn only_project_of(&self, who: &Who, task_id: TaskId) -> Result<Option<ProjectId>, Problem> {
        let mut projects = self.known_projects_of(who, task_id);
        if projects.len() > 1 { Err(several_tasks(task_id)) } else { Ok(projects.pop()) }
    }

    /// The projects the caller may know of that have a task of that id. Whoever makes a task may choose its id, so others
    /// may have one too; theirs are as good as none.
    fn known_projects_of(&self, who: &Who, task_id: TaskId) -> Vec<ProjectId> {
        let may_know = |ledger: &Ledger, id: &ProjectId| {
            who.actor.admin || ledger.role_of(*id, &who.actor.user).is_some()
        };
        let of_partition = |handle: &Handle| {
            let ledger = handle.committed();
            ledger.projects_of(task_id).filter(|id| may_know(&ledger, id)).collect::<Vec<_>>()
        };
        self.0.partitions.iter().flat_map(of_partition).collect()
    }
}

fn several_tasks(task_id: TaskId) -> Problem {
    Problem::new(codes::INVALID_ARGUMENT)
        .detail(format!("task_id: several of your projects have a task {task_id}; say which one is meant by project_id."))
        .with("field", "task_id")
}

fn project_missing() -> Problem {
    Problem::new(codes::INVALID_BODY).detail("missing field `project_id`.").with("field", "project_id")
}

/// The id of a project whose creator named none: made from the idempotency key, so that creating it again with the same
/// key meets the same project, on any instance. A UUIDv7 of the key's time, where the key has one.
pub(super) fn new_project_id(user: &str, key: CommandId) -> ProjectId {
    let mut hash = Sha256::new();
    hash.update(b"muster project\0");
    hash.update(user.as_bytes());
    hash.update(b"\0");
    hash.update(key.0.as_bytes());
    let digest = hash.finalize();
    let random: [u8; 10] = std::array::from_fn(|index| digest[index]);
    let millis = match key.0.get_timestamp() {
        Some(time) if key.0.get_version_num() == 7 => {
            let (seconds, nanos) = time.to_unix();
            seconds.saturating_mul(1000) + u64::from(nanos / 1_000_000)
        }
        _ => return ProjectId(Uuid::new_v5(&key.0, &digest)),
    };
    ProjectId(Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_meets_the_same_project_and_another_user_another() {
        for key in [Uuid::now_v7(), Uuid::new_v4()].map(CommandId) {
            assert_eq!(new_project_id("ada", key), new_project_id("ada", key));
            assert_ne!(new_project_id("ada", key), new_project_id("bob", key));
        }
        let key = Uuid::now_v7();
        let id = new_project_id("ada", CommandId(key)).0;
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.as_bytes()[..6], key.as_bytes()[..6]);
    }
}
