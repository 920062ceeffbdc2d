//! Projects with cards whose titles are changed again and again: a command of one event, for as long as one likes.

use anyhow::Context as _;
use muster_client::Client;
use muster_client::api::CommandRequest;
use muster_client::domain::command::{CreateProject, CreateTask, UpdateTask};
use muster_client::domain::id::{ProjectId, TaskId};
use muster_client::domain::model::{Complexity, Priority, ProjectSettings};

/// A card.
#[derive(Debug, Clone)]
pub struct Card {
    project_id: ProjectId,
    task_id: TaskId,
    changes: u64,
}

impl Card {
    /// The next change of its title.
    pub fn change(&mut self) -> CommandRequest {
        self.changes += 1;
        let update = UpdateTask {
            task_id: self.task_id,
            title: Some(format!("Let visitors filter the list, version {}", self.changes)),
            description: None,
            priority: None,
            complexity: None,
            acceptance_criteria: None,
        };
        CommandRequest::new(self.project_id, update)
    }
}

/// Makes `count` cards, dealt to as many projects.
pub async fn cards(client: &Client, projects: usize, count: usize) -> anyhow::Result<Vec<Card>> {
    let mut ids = Vec::with_capacity(projects);
    for number in 0..projects.max(1) {
        let project = CreateProject {
            name: format!("Loadtest {number}"),
            repository_path: "/nowhere".to_owned(),
            default_branch: "main".to_owned(),
            settings: ProjectSettings { auto_dispatch: false, ..ProjectSettings::default() },
        };
        ids.push(client.create_project(project, None).await?.project_id);
    }
    let mut cards = Vec::with_capacity(count);
    for number in 0..count {
        let project_id = ids[number % ids.len()];
        let task = CreateTask {
            task_id: None,
            title: "A title".to_owned(),
            description: String::new(),
            acceptance_criteria: Vec::new(),
            priority: Priority::Medium,
            complexity: Complexity::M,
            blocked_by: Vec::new(),
            interactive: false,
        };
        let task_id = client.create_task(project_id, task, None).await?.task_id.context("a card was created")?;
        cards.push(Card { project_id, task_id, changes: 0 });
    }
    Ok(cards)
}
