//! Which project a command is for, where the caller does not say. It must never tell a stranger that a task exists.

use futures::future::join_all;
use muster_domain::command::Command;
use muster_domain::id::{CommandId, ProjectId, TaskId};
use muster_schemas::api::CommandRequest;
use muster_service_kit::{Problem, codes};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use super::{CommandService, Who};
use crate::partition::Handle;
use crate::problem::{not_a_members_task, task_not_found};

impl CommandService {
    pub(super) async fn resolve(
        &self,
        who: &Who,
        key: CommandId,
        request: &CommandRequest,
    ) -> Result<ProjectId, Problem> {
        if let Some(project_id) = request.project_id {
            return Ok(project_id);
        }
        match &request.command {
            Command::CreateProject(_) => Ok(new_project_id(&who.actor.user, key)),
            Command::CreateTask(_) => Err(project_missing()),
            command => match command.task_id() {
                Some(task_id) => self.project_of(who, task_id).await,
                None => Err(project_missing()),
            },
        }
    }

    /// The project of a task, for those who may know.
    pub async fn project_of(&self, who: &Who, task_id: TaskId) -> Result<ProjectId, Problem> {
        self.all_recovered().await?;
        if let Some(project_id) = self.known_project_of(who, task_id) {
            return Ok(project_id);
        }
        // Another process may have created it.
        join_all(self.0.partitions.iter().map(Handle::look)).await;
        self.known_project_of(who, task_id).ok_or_else(|| {
            // An admin may know of every task, so for an admin there is none.
            if who.actor.admin { task_not_found(task_id) } else { not_a_members_task() }
        })
    }

    fn known_project_of(&self, who: &Who, task_id: TaskId) -> Option<ProjectId> {
        let mut partitions = self.0.partitions.iter();
        let project_id = partitions.find_map(|handle| handle.committed().project_of(task_id))?;
        (who.actor.admin || self.is_member(who, project_id)).then_some(project_id)
    }
}

fn project_missing() -> Problem {
    Problem::new(codes::INVALID_BODY).detail("missing field `project_id`.").with("field", "project_id")
}

/// The id of a project whose creator named none: made from the idempotency key, so that creating it again with the same
/// key meets the same project, on any instance. A UUIDv7 of the key's time, where the key has one.
fn new_project_id(user: &str, key: CommandId) -> ProjectId {
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
