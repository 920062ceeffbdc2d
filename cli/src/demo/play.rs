//! Plays the demo: a project, two tasks, plans approved as they come, until both tasks have come to their end.

use std::collections::BTreeMap;

use futures::StreamExt;
use muster_client::domain::command::{ApprovePlan, CreateProject, CreateTask, Criterion};
use muster_client::domain::event::{Event, EventData};
use muster_client::domain::id::{ProjectId, TaskId};
use muster_client::domain::model::{
    AcceptanceCriterion, AgentConfig, AgentKind, Complexity, Priority, ProjectSettings, TaskStatus, VerificationCommand,
};
use muster_client::domain::state::{Task, fold_task};

use super::repository::{BRANCH, Greeter};
use crate::api::Api;
use crate::error::{Error, Result};
use crate::output::{Colour, EventLines, Output, is_noise, plan_text};

/// What came of it.
#[derive(Debug)]
pub struct Played {
    pub project_id: ProjectId,
    /// Both tasks as they ended, in order.
    pub tasks: Vec<Task>,
    pub events: u64,
}

/// Titles are what the agents' script goes by.
const GREET: &str = "Greet people by name";
const SHOUT: &str = "Shout when asked to";

pub async fn play(api: &Api, greeter: &Greeter, output: Output) -> Result<Played> {
    let project_id = create_project(api, greeter).await?;
    let greet = create_task(api, project_id, GREET, "tests", "The greeting has the name in it.", vec![]).await?;
    let shout = create_task(api, project_id, SHOUT, "tests", "`--shout` greets in capitals.", vec![greet]).await?;
    let mut stage = Stage::new(api, output, project_id, [greet, shout]);
    let mut events = api.client().events(project_id, 0);
    while !stage.is_over() {
        let event = events.next().await.ok_or_else(|| Error::Failed("the server ended the events".to_owned()))??;
        stage.take(&event).await?;
    }
    Ok(stage.played())
}

async fn create_project(api: &Api, greeter: &Greeter) -> Result<ProjectId> {
    let rehearsal = AgentConfig {
        kind: AgentKind::Rehearsal,
        command: Vec::new(),
        model: None,
        env: BTreeMap::new(),
        timeout_ms: None,
        silence_timeout_ms: None,
    };
    let roles = ["planner", "coder", "reviewer"];
    let tests = VerificationCommand {
        name: "tests".to_owned(),
        command: ["sh", "test.sh"].map(str::to_owned).to_vec(),
        timeout_ms: Some(60_000),
    };
    let project = CreateProject {
        name: "greeter".to_owned(),
        repository_path: greeter.path().display().to_string(),
        default_branch: BRANCH.to_owned(),
        settings: ProjectSettings {
            agents: roles.into_iter().map(|role| (role.to_owned(), rehearsal.clone())).collect(),
            verification: vec![tests],
            ..ProjectSettings::default()
        },
    };
    Ok(api.create_project(project).await?.project_id)
}

async fn create_task(
    api: &Api,
    project_id: ProjectId,
    title: &str,
    check: &str,
    criterion: &str,
    blocked_by: Vec<TaskId>,
) -> Result<TaskId> {
    let criterion = AcceptanceCriterion { text: criterion.to_owned(), check: Some(check.to_owned()) };
    let task = CreateTask {
        task_id: None,
        title: title.to_owned(),
        description: String::new(),
        acceptance_criteria: vec![Criterion::Full(criterion)],
        priority: Priority::Medium,
        complexity: Complexity::S,
        blocked_by,
        interactive: false,
    };
    let outcome = api.client().create_task(project_id, task, None).await?;
    outcome.task_id.ok_or_else(|| Error::Failed("the server made a task without an id".to_owned()))
}

/// The tasks as far as their events have come.
struct Stage<'a> {
    api: &'a Api,
    output: Output,
    lines: EventLines,
    project_id: ProjectId,
    order: [TaskId; 2],
    tasks: BTreeMap<TaskId, Task>,
    events: u64,
}

impl<'a> Stage<'a> {
    fn new(api: &'a Api, output: Output, project_id: ProjectId, order: [TaskId; 2]) -> Self {
        let mut lines = EventLines::new(output.style());
        for (number, task_id) in order.iter().enumerate() {
            lines.label(*task_id, format!("#{}", number + 1));
        }
        Self { api, output, lines, project_id, order, tasks: BTreeMap::new(), events: 0 }
    }

    async fn take(&mut self, event: &Event) -> Result {
        self.events += 1;
        self.output.json_line(event)?;
        if !is_noise(event) {
            self.output.line(self.lines.line(event))?;
        }
        let Some(task_id) = event.task_id else { return Ok(()) };
        if let Some(task) = fold_task(self.tasks.remove(&task_id), event) {
            self.tasks.insert(task_id, task);
        }
        if let EventData::TaskStatusChanged(changed) = &event.data
            && changed.new_status == TaskStatus::PlanReview
        {
            self.approve(task_id).await?;
        }
        Ok(())
    }

    /// Shows the plan and approves exactly that.
    async fn approve(&self, task_id: TaskId) -> Result {
        let Some(plan) = self.tasks.get(&task_id).and_then(|task| task.plan.as_ref()) else { return Ok(()) };
        let style = self.output.style();
        let indented = plan_text(plan, style).replace('\n', "\n    ");
        self.output.line(format!("\n    {indented}\n"))?;
        self.output.line(style.paint(Colour::Magenta, "    The demo approves this plan; yours wait for you.\n"))?;
        let command = ApprovePlan { task_id, digest: Some(plan.digest.clone()) };
        let approved = self.api.client().send(self.project_id, command, None).await;
        match approved {
            // Someone at the dashboard was faster: as good.
            Err(error) if error.is("already_decided") => Ok(()),
            approved => Ok(approved.map(drop)?),
        }
    }

    fn is_over(&self) -> bool {
        let ended = |task_id| self.tasks.get(task_id).is_some_and(Task::is_terminal);
        let failed = self.tasks.get(&self.order[0]).is_some_and(|task| task.is_terminal() && !is_done(task));
        failed || self.order.iter().all(ended)
    }

    fn played(mut self) -> Played {
        let tasks = self.order.iter().filter_map(|task_id| self.tasks.remove(task_id)).collect();
        Played { project_id: self.project_id, tasks, events: self.events }
    }
}

/// Whether a task came to a good end.
pub fn is_done(task: &Task) -> bool {
    task.status == TaskStatus::Done
}
