//! Commands: what people and services ask for.

use muster_schemas::api::{BatchItem, BatchResult, CommandRequest};
use muster_schemas::domain::command::{Command, CreateProject, CreateTask};
use muster_schemas::domain::decide::Outcome;
use muster_schemas::domain::id::{CommandId, ProjectId};

use crate::{Client, Error, new_key};

const COMMANDS: &str = "/api/commands";

impl Client {
    /// Sends a command for a project. With the same `key` it happens once, however often it is sent; without one, a
    /// fresh key covers this call's own attempts.
    pub async fn send(
        &self,
        project_id: ProjectId,
        command: impl Into<Command>,
        key: Option<CommandId>,
    ) -> Result<Outcome, Error> {
        self.execute(&CommandRequest::new(project_id, command), key).await
    }

    /// Sends a command about a task whose project the caller does not know.
    pub async fn send_to_task(&self, command: impl Into<Command>, key: Option<CommandId>) -> Result<Outcome, Error> {
        self.execute(&CommandRequest::of(command), key).await
    }

    /// Sends a command with everything that can be said about it.
    pub async fn execute(&self, request: &CommandRequest, key: Option<CommandId>) -> Result<Outcome, Error> {
        self.post(COMMANDS, request, key).await
    }

    /// Sends many commands at once; each is answered on its own, in their order. Items without an id get one, so that
    /// sending the batch again is safe.
    pub async fn batch(&self, mut items: Vec<BatchItem>) -> Result<Vec<BatchResult>, Error> {
        for item in &mut items {
            item.command_id.get_or_insert_with(new_key);
        }
        self.post("/api/commands/batch", &items, None).await
    }

    /// Creates a project; its id is in the outcome.
    pub async fn create_project(&self, project: CreateProject, key: Option<CommandId>) -> Result<Outcome, Error> {
        self.execute(&CommandRequest::of(project), key).await
    }

    /// Creates a task; its id is in the outcome.
    pub async fn create_task(
        &self,
        project_id: ProjectId,
        task: CreateTask,
        key: Option<CommandId>,
    ) -> Result<Outcome, Error> {
        self.send(project_id, task, key).await
    }
}
