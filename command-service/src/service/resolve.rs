//! Which project a command is for, where the caller does not say. It must never tell a stranger that a task exists, nor let
//! a task of the same id in a stranger's project get in the way.

use std::collections::HashMap;

use axum::body::Bytes;
use futures::future::join_all;
use http::Method;
use muster_domain::command::Command;
use muster_domain::id::{CommandId, ProjectId, RunId, TaskId};
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

/// Tasks of which the project is remembered.
const TASKS_KEPT: usize = 10_000;

/// A task whose project is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TaskInQuestion {
    pub task_id: TaskId,
    /// A run of it, where the command names one. Nobody chooses the id of a run, so it tells tasks of one id apart.
    pub run_id: Option<RunId>,
}

impl TaskInQuestion {
    /// The task that `command` is about, if it is about one.
    fn of(command: &Command) -> Option<Self> {
        let run_id = match command {
            Command::ReportRun(report) => Some(report.run_id),
            Command::RenewLease(renew) => Some(renew.run_id),
            _ => None,
        };
        Some(Self { task_id: command.task_id()?, run_id })
    }
}

impl From<TaskId> for TaskInQuestion {
    fn from(task_id: TaskId) -> Self {
        Self { task_id, run_id: None }
    }
}

/// What an instance knows of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskAnswer {
    /// Its project, if the caller may know.
    pub project_id: Option<ProjectId>,
    /// Whether another project the caller may know of has a task of that id as well.
    #[serde(default)]
    pub has_twin: bool,
    /// Whether the task is known to have the run that was asked about.
    #[serde(default)]
    pub has_run: bool,
    /// The partitions this holds for.
    pub partitions: Vec<u32>,
}

/// Projects of tasks as all instances together told them, for each who was told. A task never changes its project, so what
/// is known stays true; another user may know another task of that id.
#[derive(Default)]
pub(super) struct KnownTasks(Mutex<HashMap<(TaskInQuestion, String), ProjectId>>);

impl KnownTasks {
    fn get(&self, who: &Who, asked: TaskInQuestion) -> Option<ProjectId> {
        self.0.lock().get(&(asked, who.actor.user.clone())).copied()
    }

    fn add(&self, who: &Who, asked: TaskInQuestion, project_id: ProjectId) {
        let mut tasks = self.0.lock();
        if tasks.len() >= TASKS_KEPT {
            tasks.clear();
        }
        tasks.insert((asked, who.actor.user.clone()), project_id);
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
            command => match TaskInQuestion::of(command) {
                Some(asked) => match self.project_here(who, asked)? {
                    Some(project_id) => Ok(project_id),
                    None => Box::pin(self.project_of(who, asked)).await,
                },
                None => Err(project_missing().into()),
            },
        }
    }

    /// The project of the task that a command is about, where that is known already.
    pub(super) fn project_known(&self, who: &Who, command: &Command) -> Option<ProjectId> {
        self.project_here(who, TaskInQuestion::of(command)?).ok()?
    }

    /// The project of a task, for those who may know; whichever instance has it.
    pub(crate) async fn project_of(&self, who: &Who, asked: TaskInQuestion) -> Result<ProjectId, Error> {
        let task_id = asked.task_id;
        let path = match asked.run_id {
            Some(run_id) => format!("/internal/tasks/{task_id}?run_id={run_id}"),
            None => format!("/internal/tasks/{task_id}"),
        };
        let deadline = Instant::now() + self.0.settings.handover_patience;
        loop {
            if let Some(project_id) = self.project_here(who, asked)? {
                return Ok(project_id);
            }
            // Its owner looks whether the caller may still know.
            let elsewhere = self.0.known_tasks.get(who, asked);
            if let Some(project_id) = elsewhere.filter(|project_id| !self.partition_of(*project_id).is_serving()) {
                return Ok(project_id);
            }
            let mut answers: Vec<TaskAnswer> = vec![self.task_here(who, asked).await];
            answers.extend(self.ask_others(who, &Method::GET, &path, Bytes::new()).await);
            let all = self.are_all(answers.iter().flat_map(|answer| &answer.partitions));
            match only_project(&answers, task_id)? {
                // Who has not answered may have a task of that id too: the same command must not go here once, there
                // the next time.
                Some(project_id) if all || answers.iter().any(|answer| answer.has_run) => {
                    self.0.known_tasks.add(who, asked, project_id);
                    return Ok(project_id);
                }
                None if all => {
                    // An admin may know of every task, so for an admin there is none.
                    let problem = if who.actor.admin { task_not_found(task_id) } else { not_a_members_task() };
                    return Err(problem.into());
                }
                _ => {}
            }
            if !self.wait_for_others(deadline).await {
                return Err(recovering().into());
            }
        }
    }

    /// The project of a task in a partition of this instance.
    pub(crate) async fn task_here(&self, who: &Who, asked: TaskInQuestion) -> TaskAnswer {
        let mut tenures = self.tenures();
        let mut known = self.known_projects(who, asked);
        if known.is_empty() {
            // Another process may have created it, or a command that is not committed yet.
            let looked = join_all(self.0.partitions.iter().map(Handle::look)).await;
            tenures.retain(|(number, _)| looked[*number as usize].is_ok());
            known = self.known_projects(who, asked);
        }
        let has_twin = known.len() > 1;
        let (project_id, has_run) = known.pop().unzip();
        TaskAnswer { project_id, has_twin, has_run: has_run == Some(true), partitions: self.still(tenures) }
    }

    /// The project of a task in a partition of this instance, where that needs no word from others.
    fn project_here(&self, who: &Who, asked: TaskInQuestion) -> Result<Option<ProjectId>, Problem> {
        let mut known = self.known_projects(who, asked);
        if known.len() > 1 {
            return Err(several_tasks(asked.task_id));
        }
        let Some((project_id, has_run)) = known.pop() else { return Ok(None) };
        let no_other = || self.served().count() == self.0.partitions.len();
        let sure =
            has_run || asked.run_id.is_none() && no_other() || self.0.known_tasks.get(who, asked) == Some(project_id);
        Ok(sure.then_some(project_id))
    }

    /// The projects the caller may know of that have a task of that id, and whether it has the run that is meant: only
    /// that one, where there is one. Whoever makes a task may choose its id, so strangers may have one too; theirs are as
    /// good as none.
    fn known_projects(&self, who: &Who, asked: TaskInQuestion) -> Vec<(ProjectId, bool)> {
        let has_run = |ledger: &Ledger, id: ProjectId| {
            let task = ledger.project(id).and_then(|state| state.task(asked.task_id));
            asked.run_id.is_some_and(|run_id| task.is_some_and(|task| task.run(run_id).is_some()))
        };
        let mut known = Vec::new();
        for handle in &self.0.partitions {
            let ledger = handle.committed();
            for id in ledger.projects_of(asked.task_id) {
                if who.actor.admin || ledger.role_of(id, &who.actor.user).is_some() {
                    known.push((id, has_run(&ledger, id)));
                }
            }
        }
        if known.iter().any(|(_, has_run)| *has_run) {
            known.retain(|(_, has_run)| *has_run);
        }
        known
    }
}

/// The one project that the answers of all instances name.
fn only_project(answers: &[TaskAnswer], task_id: TaskId) -> Result<Option<ProjectId>, Problem> {
    if let Some(sure) = answers.iter().find(|answer| answer.has_run) {
        return Ok(sure.project_id);
    }
    let mut found = answers.iter().filter_map(|answer| answer.project_id);
    let first = found.next();
    if found.any(|other| Some(other) != first) || answers.iter().any(|answer| answer.has_twin) {
        return Err(several_tasks(task_id));
    }
    Ok(first)
}

fn several_tasks(task_id: TaskId) -> Problem {
    Problem::new(codes::INVALID_ARGUMENT)
        .detail(format!(
            "task_id: several of your projects have a task {task_id}; say which one is meant by project_id."
        ))
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
