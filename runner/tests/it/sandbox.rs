//! The sandbox, with real bubblewrap: what an agent reaches and what it does not.

use muster_runner::layout::Layout;
use muster_runner::sandbox::{Sandbox, View};
use muster_service_kit::config::Sandbox as Mode;
use serde_json::json;

use crate::support::{World, settings};

/// Runs a coder that is this shell line; the check sees what it wrote.
fn world_of(line: &str, check: &str) -> World {
    let mut project = settings(&[("unit", check)]);
    let agent = json!({"kind": "command", "command": ["sh", "-c", line]});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    project.max_iterations = 1;
    let mut world = World::new(&json!({}), project);
    world.settings.sandbox = Mode::Bubblewrap;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_in_its_workspace_and_hands_back() {
    let line = "echo a > a.txt && git status --short > status.txt && \
        echo '{\"summary\": \"did it\"}' > $MUSTER_OUT_DIR/result.json && echo x > $HOME/x && echo y > /tmp/y";
    let mut world = world_of(line, "test -s a.txt && test ! -e /tmp/y");
    let card = world.card("Write", &["unit"]);
    world.run_until(card, "done").await;
    assert_eq!(world.data_of("agent.complete")[1]["result"]["summary"], "did it");
    assert_eq!(world.repository.file_on("main", "a.txt"), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_reaches_neither_other_sessions_nor_the_runner_nor_the_repository() {
    let line = r#"
        say() { echo "$1" >> seen.txt; }
        ls "$DATA/sessions" | grep -vx "$MUSTER_SESSION_ID" && say 'sessions'
        cat "$DATA/sessions/other/secret" && say 'other session'
        cat "$DATA/runs/secret" && say 'runs'
        ls "$REPOSITORY"/.git/config >/dev/null || say 'no git folder'
        echo x > "$REPOSITORY/.git/x" && say 'wrote git folder'
        echo x > "$REPOSITORY/x"
        echo x > "$MUSTER_TASK_FILE" && say 'wrote context'
        echo x > /etc/muster-was-here && say 'wrote etc'
        grep -q MUSTER_WAS_HERE /proc/1/environ && say 'saw processes'
        kill -0 $RUNNER_PID && say 'saw the runner'
        echo done >> seen.txt"#;
    let mut world = world_of(line, "true");
    for secret in ["sessions/other/secret", "runs/secret"] {
        let path = world.data.path().join(secret);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "s3cret").unwrap();
    }
    let mut project = settings(&[("unit", "true")]);
    let env = json!({
        "DATA": world.data.path(),
        "REPOSITORY": world.repository.path(),
        "RUNNER_PID": std::process::id().to_string(),
    });
    let agent = json!({"kind": "command", "command": ["sh", "-c", line], "env": env});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    world.plane.send(muster_client::domain::command::ChangeSettings { settings: project }).unwrap();
    let card = world.card("Look", &["unit"]);
    world.start();
    world.until(|plane| plane.leases() == 0 && plane.task(card).status.as_str() == "done").await;
    world.stop().await;
    assert_eq!(world.repository.file_on("main", "seen.txt"), "done");
    assert!(!world.plane.output().contains("s3cret"));
    assert!(!world.repository.path().join("x").exists());
    assert!(!std::path::Path::new("/etc/muster-was-here").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rehearsal_agent_and_its_faults_are_the_same_inside() {
    let script = json!({"coder": [
        {"iterations": [1], "steps": [{"do": "leave_process"}, {"do": "crash"}]},
        {"steps": [{"do": "leave_process"}, {"do": "write", "path": "a.txt", "content": "a\n"}]},
    ]});
    let mut world = World::new(&script, settings(&[("unit", "test -e a.txt")]));
    world.settings.sandbox = Mode::Auto;
    let card = world.card("Write a", &["unit"]);
    world.run_until(card, "done").await;
    assert_eq!(world.data_of("agent.failed")[0]["error"]["kind"], "agent_killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_bubblewrap_the_kernel_keeps_an_agent_in_its_folders() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("data")).unwrap();
    let session = layout.session(uuid::Uuid::now_v7());
    session.create().unwrap();
    std::fs::create_dir(session.workspace()).unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret").unwrap();
    let view = View {
        session: session.clone(),
        workspace: session.workspace(),
        readable: Vec::new(),
        hidden: vec![layout.root().to_owned()],
    };
    let sandbox = Sandbox::landlock().unwrap();
    let line = format!(
        "cd {workspace} && echo a > a && cat a && mktemp && cat {secret} || echo kept; \
         echo x > {secret} || echo kept; kill -0 {pid} || echo kept; cat /proc/{pid}/environ > e || echo kept",
        workspace = session.workspace().display(),
        secret = folder.path().join("secret").display(),
        pid = std::process::id(),
    );
    let mut command = sandbox.command("/bin/sh".as_ref(), &["-c".to_owned(), line], &view).unwrap();
    command.env_clear().env("TMPDIR", session.temporary()).env("PATH", "/usr/bin:/bin");
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "a");
    assert!(lines[1].starts_with(session.temporary().to_str().unwrap()));
    assert_eq!(lines[2..], ["kept", "kept", "kept", "kept"], "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("secret")).unwrap(), "s3cret");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stands_in_a_hidden_folder_or_behind_symlinks_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/sh", folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("here")).unwrap();
    let mut project = settings(&[("unit", "test -s a.txt")]);
    let program = folder.path().join("here/link");
    let agent = json!({"kind": "command", "command": [program, "-c", "echo a > a.txt"]});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    let mut world = World::new(&json!({}), project);
    world.settings.sandbox = Mode::Bubblewrap;
    let card = world.card("Write", &["unit"]);
    world.run_until(card, "done").await;
}
