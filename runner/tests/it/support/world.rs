//! A repository, a control plane and a runner, put together.

use std::sync::Arc;
use std::time::Duration;

use muster_client::domain::command::{CreateTask, Criterion};
use muster_client::domain::id::TaskId;
use muster_client::domain::model::{AcceptanceCriterion, Complexity, Priority, ProjectSettings, VerificationCommand};
use muster_runner::Settings;
use muster_service_kit::Shutdown;
use muster_service_kit::config::{RunnerConfig, Sandbox};
use muster_test_kit::wait;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Plane, TestRepository};

/// Longest time anything here may take.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// A repository, a control plane and what a runner needs.
pub struct World {
    pub repository: TestRepository,
    pub plane: Arc<Plane>,
    pub settings: Settings,
    pub data: TempDir,
    runner: Option<(Shutdown, JoinHandle<()>)>,
}

/// Settings of a project whose plans need no approval, verified by these shell lines.
pub fn settings(checks: &[(&str, &str)]) -> ProjectSettings {
    let verification = checks.iter().map(|(name, line)| check(name, &["sh", "-c", line])).collect();
    ProjectSettings { verification, require_plan_approval: false, max_attempts: 1, ..ProjectSettings::default() }
}

/// A verification command.
pub fn check(name: &str, command: &[&str]) -> VerificationCommand {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    VerificationCommand { name: name.to_owned(), command, timeout_ms: Some(30_000) }
}

impl World {
    /// A repository with the rehearsal script `script`.
    pub fn new(script: &Value, project: ProjectSettings) -> Self {
        let script = serde_json::to_string_pretty(script).unwrap();
        Self::over(TestRepository::with(&[(".muster/rehearsal.json", &script), ("notes.txt", "start\n")]), project)
    }

    pub fn over(repository: TestRepository, project: ProjectSettings) -> Self {
        let plane = Arc::new(Plane::new(repository.path().to_str().unwrap(), project));
        let data = tempfile::tempdir().unwrap();
        let mut settings = Settings::from_config(&RunnerConfig::default());
        data.path().clone_into(&mut settings.data_dir);
        settings.sandbox = Sandbox::None;
        settings.allow_command_agents = true;
        settings.heartbeat = Duration::from_millis(50);
        settings.lease_ms = 5_000;
        settings.shutdown_grace = Duration::from_millis(100);
        settings.rehearsal_command =
            Some([env!("CARGO_BIN_EXE_muster-runner"), "rehearsal-agent"].map(str::to_owned).to_vec());
        Self { repository, plane, settings, data, runner: None }
    }

    /// A card on the board, with one criterion for each named check.
    pub fn card(&self, title: &str, criteria: &[&str]) -> TaskId {
        self.create(title, criteria.iter().map(|check| Some((*check).to_owned())))
    }

    /// A card with a criterion that names no check.
    pub fn card_with_open_criterion(&self, title: &str) -> TaskId {
        self.create(title, [None])
    }

    fn create(&self, title: &str, checks: impl IntoIterator<Item = Option<String>>) -> TaskId {
        let task_id = TaskId(Uuid::now_v7());
        let criteria = checks
            .into_iter()
            .map(|check| Criterion::Full(AcceptanceCriterion { text: format!("{check:?} holds"), check }));
        let create = CreateTask {
            task_id: Some(task_id),
            title: title.to_owned(),
            description: "As the title says.".to_owned(),
            acceptance_criteria: criteria.collect(),
            priority: Priority::Medium,
            complexity: Complexity::S,
            blocked_by: Vec::new(),
            interactive: false,
        };
        self.plane.send(create).unwrap();
        task_id
    }

    /// Starts the runner.
    pub fn start(&mut self) {
        let shutdown = Shutdown::new();
        let (settings, plane, stop) = (self.settings.clone(), self.plane.clone(), shutdown.clone());
        let task = tokio::spawn(async move { muster_runner::run(settings, plane, stop).await.unwrap() });
        self.runner = Some((shutdown, task));
    }

    /// Stops the runner and waits for its end.
    pub async fn stop(&mut self) {
        let (shutdown, task) = self.runner.take().unwrap();
        shutdown.trigger();
        tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    }

    /// Waits for a condition.
    pub async fn until(&self, mut condition: impl FnMut(&Plane) -> bool) {
        let seen = wait::until(DEADLINE, || std::future::ready(condition(&self.plane).then_some(()))).await;
        let (types, output) = (self.plane.types(), self.plane.output());
        assert!(seen.is_some(), "not within {DEADLINE:?}; events: {types:#?}\noutput:\n{output}");
    }

    /// Runs until the card is in that column and no lease is left, then stops and sees that nothing is left over.
    pub async fn run_until(&mut self, task_id: TaskId, status: &str) {
        self.start();
        self.until(|plane| plane.leases() == 0 && plane.task(task_id).status.as_str() == status).await;
        self.stop().await;
        self.assert_clean();
    }

    /// Nothing outlives its session.
    pub fn assert_clean(&self) {
        assert_eq!(self.repository.worktrees(), Vec::<std::path::PathBuf>::new());
        let sessions = std::fs::read_dir(self.data.path().join("sessions")).unwrap();
        assert_eq!(sessions.count(), 0, "a session's folder is left");
        for event in self.plane.events_of(&["agent.spawned"]) {
            let session = event.data.to_json()["session_id"].as_str().unwrap().to_owned();
            assert_eq!(marked_processes(&session), Vec::<String>::new());
        }
    }

    /// Fields of events of one type.
    pub fn data_of(&self, event_type: &str) -> Vec<Value> {
        self.plane.events_of(&[event_type]).iter().map(|event| event.data.to_json()).collect()
    }
}

/// Processes marked with a session.
pub fn marked_processes(session: &str) -> Vec<String> {
    let mark = format!("MUSTER_SESSION_ID={session}");
    let marked = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    });
    marked.map(|entry| entry.path().display().to_string()).collect()
}

/// A script whose planner makes one chunk, whose reviewer accepts, and whose coder does this at each iteration.
pub fn coder_script(iterations: &[Value]) -> Value {
    let scenes: Vec<_> = iterations
        .iter()
        .enumerate()
        .map(|(index, steps)| json!({"iterations": [index + 1], "steps": steps}))
        .collect();
    json!({"coder": scenes})
}
