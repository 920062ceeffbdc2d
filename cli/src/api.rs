//! What commands ask of the server, each as one call. The only place with GraphQL in it.
//! It must never know how an answer is shown.

mod documents;
mod rows;

use std::time::{Duration, Instant};

use muster_client::domain::command::{Command, CreateProject};
use muster_client::domain::decide::Outcome;
use muster_client::domain::event::Event;
use muster_client::domain::id::{ProjectId, RunId, TaskId};
use muster_client::domain::state::Task;
use muster_client::{Client, RetryPolicy};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use rows::{Connection, EventPage, OutputPage};
pub use rows::{OutputLine, Project, RunRow, TaskRow};

use crate::error::{Error, Result};
use crate::target::Target;

/// Tasks, events and lines asked for at once: as many as fit the server's limit on the cost of a query.
const PAGE: u32 = 100;

/// How long a command waits for the read side.
const READABLE_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two looks at a project that is not there yet.
const READABLE_PAUSE: Duration = Duration::from_millis(20);

/// A server to ask.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    /// A server that answers at once or not at all: nobody wants to wait at a prompt for a server that is not there.
    pub fn new(target: &Target) -> Result<Self> {
        let soon = RetryPolicy { attempts_max: 4, ..RetryPolicy::default() };
        Self::with_retry(target, soon)
    }

    /// A server that may be away for a while.
    pub fn patient(target: &Target, give_up_after: Duration) -> Result<Self> {
        Self::with_retry(target, RetryPolicy::for_at_most(give_up_after))
    }

    fn with_retry(target: &Target, retry: RetryPolicy) -> Result<Self> {
        let client = Client::new(&target.url, &target.token)?.with_source("cli").with_retry(retry);
        Ok(Self { client })
    }

    /// For commands and the event stream.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    async fn ask<T: DeserializeOwned>(&self, document: &str, variables: Value) -> Result<T> {
        Ok(self.client.query(document, variables).await?)
    }

    /// The projects the user is a member of.
    pub async fn projects(&self) -> Result<Vec<Project>> {
        #[derive(Deserialize)]
        struct Data {
            projects: Vec<Project>,
        }
        Ok(self.ask::<Data>(documents::PROJECTS, json!({})).await?.projects)
    }

    /// Sends a command and waits until what it did can be read, so that the next command sees it.
    pub async fn send(&self, project_id: ProjectId, command: impl Into<Command>) -> Result<Outcome> {
        let outcome = self.client.send(project_id, command, None).await?;
        self.wait_until_readable(&outcome).await;
        Ok(outcome)
    }

    /// The same for a new project.
    pub async fn create_project(&self, project: CreateProject) -> Result<Outcome> {
        let outcome = self.client.create_project(project, None).await?;
        self.wait_until_readable(&outcome).await;
        Ok(outcome)
    }

    /// Waits, for a limited time, until the read side has come to what a command did. That it is late is no failure of
    /// the command, which is done.
    async fn wait_until_readable(&self, outcome: &Outcome) {
        #[derive(Deserialize)]
        struct Data {
            project: Option<Value>,
        }
        let variables = json!({ "id": outcome.project_id, "minPosition": outcome.position });
        let deadline = Instant::now() + READABLE_WITHIN;
        while Instant::now() < deadline {
            match self.ask::<Data>(documents::PROJECT_AT, variables.clone()).await {
                Ok(Data { project: Some(_) }) => return,
                // A project the read side has not heard of yet looks like one that does not exist.
                Ok(Data { project: None }) => tokio::time::sleep(READABLE_PAUSE).await,
                Err(_late) => return,
            }
        }
    }

    /// The cards of a project, the most urgent first; all when `statuses` is empty.
    pub async fn tasks(&self, project_id: ProjectId, statuses: &[String]) -> Result<Vec<TaskRow>> {
        #[derive(Deserialize)]
        struct Data {
            tasks: Connection<TaskRow>,
        }
        let statuses: Vec<_> = statuses.iter().map(|status| status.to_ascii_uppercase()).collect();
        let filter = if statuses.is_empty() { Value::Null } else { json!({ "status": statuses }) };
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let variables = json!({ "projectId": project_id, "filter": filter, "first": PAGE, "after": after });
            let page = self.ask::<Data>(documents::TASKS, variables).await?.tasks;
            after = page.take_into(&mut rows);
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    /// A card as its row; `None` when there is none.
    pub async fn task(&self, task_id: TaskId, min_position: Option<u64>) -> Result<Option<TaskRow>> {
        #[derive(Deserialize)]
        struct Data {
            task: Option<TaskRow>,
        }
        let variables = json!({ "id": task_id, "minPosition": min_position });
        Ok(self.ask::<Data>(documents::TASK, variables).await?.task)
    }

    /// A card's whole state after the event with that sequence, or as it is now.
    pub async fn task_state(&self, task_id: TaskId, sequence: Option<u64>) -> Result<Option<Task>> {
        let events = self.history(task_id).await?;
        let wanted = events.iter().take_while(|event| sequence.is_none_or(|last| event.sequence <= last));
        Ok(wanted.fold(None, muster_client::domain::state::fold_task))
    }

    /// Every event of a card, in order.
    pub async fn history(&self, task_id: TaskId) -> Result<Vec<Event>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            event_history: EventPage,
        }
        let mut events = Vec::new();
        let mut after = 0;
        loop {
            let variables = json!({ "taskId": task_id, "first": PAGE, "after": after });
            let page = self.ask::<Data>(documents::HISTORY, variables).await?.event_history;
            match page.take_into(&mut events)? {
                Some(sequence) => after = sequence,
                None => return Ok(events),
            }
        }
    }

    /// The runs of a project, the newest first.
    pub async fn runs(&self, project_id: ProjectId) -> Result<Vec<RunRow>> {
        #[derive(Deserialize)]
        struct Data {
            runs: Connection<RunRow>,
        }
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let variables = json!({ "projectId": project_id, "first": PAGE, "after": after });
            let page = self.ask::<Data>(documents::RUNS, variables).await?.runs;
            after = page.take_into(&mut rows);
            if after.is_none() {
                return Ok(rows);
            }
        }
    }

    /// A run; `None` when there is none.
    pub async fn run(&self, run_id: RunId) -> Result<Option<RunRow>> {
        #[derive(Deserialize)]
        struct Data {
            run: Option<RunRow>,
        }
        Ok(self.ask::<Data>(documents::RUN, json!({ "id": run_id })).await?.run)
    }

    /// The next lines of a run's output after that line number; empty when there are none yet.
    pub async fn output(&self, run_id: RunId, after: u64) -> Result<Vec<OutputLine>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            agent_output: OutputPage,
        }
        let variables = json!({ "runId": run_id, "first": PAGE, "after": after });
        Ok(self.ask::<Data>(documents::OUTPUT, variables).await?.agent_output.nodes)
    }
}

impl From<muster_client::Error> for Error {
    fn from(error: muster_client::Error) -> Self {
        if let muster_client::Error::Unreachable { url, reason } = error {
            return Self::NotReachable { url, reason };
        }
        let status = error.status().unwrap_or_else(|| error.code().map_or(500, |code| status_of(&code)));
        match error.code() {
            Some(code) => Self::Refused { status, message: error.to_string(), code },
            None => Self::Failed(error.to_string()),
        }
    }
}

/// The status of a GraphQL error that does not carry one.
fn status_of(code: &str) -> u16 {
    match code {
        "unauthenticated" => 401,
        "forbidden" => 403,
        code if code.ends_with("_not_found") => 404,
        "sequence_mismatch"
        | "sequence_from_future"
        | "already_decided"
        | "plan_digest_mismatch"
        | "invalid_transition"
        | "idempotency_key_reused" => 409,
        _ => 422,
    }
}
