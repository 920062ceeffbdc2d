//! Agents that crash, hang, lie and babble; leases that are lost; repositories that are none.

use muster_client::domain::command::CancelTask;
use serde_json::{Value, json};

use crate::support::{World, coder_script, marked_processes, settings};

/// A coder that does `fault` first and its work then.
fn faulty(fault: &Value) -> World {
    let script = coder_script(&[fault.clone(), json!([{"do": "write", "path": "a.txt", "content": "a\n"}])]);
    let mut project = settings(&[("unit", "test -e a.txt")]);
    let agent = json!({"kind": "rehearsal", "silence_timeout_ms": 700, "timeout_ms": 20000});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    World::new(&script, project)
}

async fn recovers_from(fault: &Value, kind: &str) -> World {
    let mut world = faulty(fault);
    let card = world.card("Write a", &["unit"]);
    world.run_until(card, "done").await;
    let failed = world.data_of("agent.failed");
    assert_eq!((failed.len(), &failed[0]["error"]["kind"]), (1, &json!(kind)), "{failed:#?}");
    assert_eq!(failed[0]["will_retry"], true);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_is_called_again() {
    recovers_from(&json!([{"do": "crash"}]), "agent_killed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_is_ended() {
    recovers_from(&json!([{"do": "hang"}]), "agent_silent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_exits_without_an_answer_has_failed() {
    let world =
        recovers_from(&json!([{"do": "print", "text": "out of credit"}, {"do": "exit", "code": 7}]), "agent_failed")
            .await;
    let error = &world.data_of("agent.failed")[0]["error"];
    assert_eq!(error["exit_code"], 7);
    assert!(error["log_excerpt"].as_str().unwrap().contains("out of credit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stops_early_has_failed() {
    recovers_from(&json!([{"do": "stop", "reason": "refusal"}]), "agent_failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_a_result_file_is_the_agents_failure() {
    recovers_from(&json!([{"do": "artifact", "name": "result.json", "content": "not json"}]), "protocol").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_not_write_outside_of_its_workspace() {
    let world =
        recovers_from(&json!([{"do": "write", "path": "../escaped.txt", "content": "x"}]), "agent_failed").await;
    let error = &world.data_of("agent.failed")[0]["error"];
    assert!(error["log_excerpt"].as_str().unwrap().contains("not in the workspace"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_and_endless_lines_are_survived() {
    let mut world = faulty(&json!([
        {"do": "print_binary", "size_bytes": 300_000},
        {"do": "write", "path": "a.txt", "content": "a\n"},
    ]));
    world.settings.output_line_max_bytes = 100;
    let card = world.card("Write a", &["unit"]);
    world.run_until(card, "done").await;
    let output = world.plane.output();
    assert!(output.contains("bytes left off]") && !output.contains('\0'));
    let run = world.data_of("run.complete")[1]["run_id"].as_str().unwrap().to_owned();
    let log = std::fs::read_to_string(world.data.path().join("runs").join(run).join("output.log")).unwrap();
    assert!(log.lines().all(|line| line.starts_with('[')), "each line has its time");
    assert!(log.trim_end().ends_with("=== Run Complete ==="));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_leaves_running_is_ended() {
    let mut world = faulty(&json!([{"do": "leave_process"}, {"do": "write", "path": "a.txt", "content": "a\n"}]));
    let card = world.card("Write a", &["unit"]);
    // That nothing marked is left is part of this.
    world.run_until(card, "done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_card_leaves_no_process_and_no_worktree() {
    let mut world =
        faulty(&json!([{"do": "leave_process"}, {"do": "write", "path": "a.txt", "content": "a\n"}, {"do": "hang"}]));
    let agent = json!({"kind": "rehearsal"});
    let mut project = settings(&[("unit", "test -e a.txt")]);
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    world.plane.send(muster_client::domain::command::ChangeSettings { settings: project }).unwrap();
    let card = world.card("Write a", &["unit"]);
    world.start();
    world.until(|plane| plane.output().contains("wrote a.txt")).await;
    let spawned = world.data_of("agent.spawned");
    let session = spawned.last().unwrap()["session_id"].as_str().unwrap().to_owned();
    assert!(!marked_processes(&session).is_empty());
    world.plane.send(CancelTask { task_id: card, reason: None }).unwrap();
    let repository = world.repository.path().to_owned();
    world.until(|_| marked_processes(&session).is_empty()).await;
    world.until(|plane| plane.events_of(&["workspace.released"]).len() == 2).await;
    world.stop().await;
    world.assert_clean();
    assert!(repository.join("notes.txt").exists());
    assert_eq!(world.plane.task(card).status.as_str(), "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_heartbeats_are_not_answered_stops_itself() {
    let mut world = faulty(&json!([{"do": "sleep", "duration_ms": 600_000}]));
    world.settings.lease_ms = 600;
    let agent = json!({"kind": "rehearsal"});
    let mut project = settings(&[("unit", "test -e a.txt")]);
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    world.plane.send(muster_client::domain::command::ChangeSettings { settings: project }).unwrap();
    world.card("Write a", &["unit"]);
    world.start();
    world.until(|plane| plane.events_of(&["agent.started"]).len() == 2).await;
    let spawned = world.data_of("agent.spawned");
    let session = spawned.last().unwrap()["session_id"].as_str().unwrap().to_owned();
    world.plane.be_away(true);
    // Before the lease can be given to another, nothing works under it any more.
    world.until(|_| marked_processes(&session).is_empty()).await;
    world.stop().await;
    world.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_runner_gives_its_work_back() {
    let mut world = faulty(&json!([{"do": "sleep", "duration_ms": 600_000}]));
    let mut project = settings(&[("unit", "test -e a.txt")]);
    project.max_attempts = 5;
    world.plane.send(muster_client::domain::command::ChangeSettings { settings: project }).unwrap();
    let card = world.card("Write a", &["unit"]);
    world.start();
    world.until(|plane| plane.events_of(&["agent.started"]).len() == 2).await;
    world.stop().await;
    world.assert_clean();
    let failed = &world.data_of("run.failed")[0];
    assert_eq!(
        (&failed["error"]["message"], &failed["will_retry"]),
        (&json!("the runner was shut down"), &json!(true))
    );
    assert_eq!(world.plane.leases(), 0);
    // Another runner takes it up.
    world.repository.commit(
        &[(
            ".muster/rehearsal.json",
            "{\"coder\": [{\"steps\": [{\"do\": \"write\", \"path\": \"a.txt\", \"content\": \"a\"}]}]}",
        )],
        "Faster",
    );
    world.repository.git(&["update-ref", "-d", &format!("refs/heads/{}", world.plane.task(card).branch_name())]);
    for subtask in world.plane.task(card).subtasks {
        world.repository.git(&["update-ref", "-d", &format!("refs/heads/{}", subtask.branch_name())]);
    }
    world.run_until(card, "done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_no_repository_is_said_to_be_none() {
    let mut world = World::new(&json!({}), settings(&[]));
    std::fs::remove_dir_all(world.repository.path().join(".git")).unwrap();
    let card = world.card("Write a", &[]);
    world.start();
    world.until(|plane| plane.task(card).status.as_str() == "failed").await;
    world.stop().await;
    let failed = &world.data_of("run.failed")[0];
    assert_eq!(failed["error"]["kind"], "workspace");
    assert!(failed["error"]["message"].as_str().unwrap().contains("is no git repository"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_the_runner_does_not_allow_is_left_to_a_person() {
    let mut project = settings(&[]);
    let agent = json!({"kind": "command", "command": ["true"]});
    project.agents.insert("planner".to_owned(), serde_json::from_value(agent).unwrap());
    let mut world = World::new(&json!({}), project);
    world.settings.allow_command_agents = false;
    let card = world.card("Write a", &[]);
    world.run_until(card, "blocked").await;
    let error = &world.data_of("agent.failed")[0]["error"]["message"];
    assert!(error.as_str().unwrap().contains("runner.allow_command_agents"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_takes_too_long_is_ended() {
    let script = coder_script(&[json!([
        {"do": "say", "text": "1"}, {"do": "sleep", "duration_ms": 400}, {"do": "say", "text": "2"},
        {"do": "sleep", "duration_ms": 400}, {"do": "say", "text": "3"}, {"do": "sleep", "duration_ms": 600_000},
    ])]);
    let mut project = settings(&[("unit", "true")]);
    project.max_iterations = 1;
    let agent = json!({"kind": "rehearsal", "timeout_ms": 1200});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    let mut world = World::new(&script, project);
    let card = world.card("Write a", &["unit"]);
    world.run_until(card, "failed").await;
    assert_eq!(world.data_of("agent.failed")[0]["error"]["kind"], "agent_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_away_for_a_while_is_waited_for() {
    let mut world =
        faulty(&json!([{"do": "sleep", "duration_ms": 400}, {"do": "write", "path": "a.txt", "content": "a\n"}]));
    world.settings.lease_ms = 20_000;
    let card = world.card("Write a", &["unit"]);
    world.start();
    world.until(|plane| plane.events_of(&["agent.started"]).len() == 2).await;
    world.plane.be_away(true);
    // The agent's result is on disk while nobody can hear of it.
    let runs = world.data.path().join("runs");
    let results = || {
        let folders = std::fs::read_dir(&runs).unwrap().flatten();
        folders.filter(|folder| folder.path().join("iteration-1/agent.json").exists()).count()
    };
    world.until(|_| results() == 2).await;
    assert_eq!(world.plane.events_of(&["agent.complete"]).len(), 1);
    world.plane.be_away(false);
    world.until(|plane| plane.leases() == 0 && plane.task(card).status.as_str() == "done").await;
    world.stop().await;
    world.assert_clean();
    assert_eq!(world.data_of("run.failed").len(), 0);
}
