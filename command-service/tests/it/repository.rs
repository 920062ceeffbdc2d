//! A project must name what is there: a git repository, a branch with a commit, programs.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use http::Method;
use muster_command_service::{GitProbe, Options, Settings};
use muster_event_log::memory::MemoryLog;
use muster_service_kit::Shutdown;
use serde_json::json;
use uuid::Uuid;

use crate::support::{ADA, App};

fn git(directory: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"];
    let done = Command::new("git").arg("-C").arg(directory).args(identity).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_what_was_taken_is_not_looked_at_again() {
    let directory = tempfile::tempdir().unwrap();
    let repository = directory.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    let options = Options { settings: Settings::default(), probe: Arc::new(GitProbe), ..Options::default() };
    let app = App::with_options(Arc::new(MemoryLog::new(1)), options, Shutdown::new());
    let project = |branch: &str, program: &str| {
        json!({
            "name": "Demo", "repository_path": repository, "default_branch": branch,
            "settings": { "verification": [{ "name": "tests", "command": [program] }] },
        })
    };
    let key = Uuid::now_v7();
    let create = async |body: serde_json::Value| app.post_with_key(key, "/api/projects", &body).await;

    create(json!({ "name": "Demo", "repository_path": "/no/such" })).await.refused(422, "not_a_git_repository");
    create(json!({ "name": "Demo", "repository_path": "relative" })).await.refused(400, "invalid_argument");
    create(project("main", "sh")).await.refused(422, "not_a_git_repository");
    git(&repository, &["init", "--quiet", "--initial-branch", "main"]);
    create(project("main", "sh")).await.refused(422, "not_a_git_repository");
    std::fs::write(repository.join("test.sh"), "exit 0").unwrap();
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "--quiet", "-m", "First"]);
    create(project("trunk", "sh")).await.refused(422, "not_a_git_repository");
    for missing in ["no-such-program-anywhere", "/no/such/program", "./other.sh"] {
        let answer = create(project("main", missing)).await;
        assert_eq!(answer.refused(422, "verification_command_not_found").body["program"], missing);
    }
    let first = create(project("main", "./test.sh")).await.ok();

    let id = first.body["project_id"].as_str().unwrap();
    let settings = json!({ "settings": { "verification": [{ "name": "x", "command": ["./other.sh"] }] } });
    let path = format!("/api/projects/{id}/settings");
    let answer = app.send(ADA, Method::PUT, &path, None, Some(&settings.to_string())).await;
    answer.refused(422, "verification_command_not_found");
    directory.close().unwrap();
    assert_eq!(create(project("main", "./test.sh")).await.ok().body, first.body);
}
