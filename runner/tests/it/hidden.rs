//! Folders that agents must not see, where neither a home nor /tmp hides them anyway.

use std::path::{Path, PathBuf};

use muster_runner::layout::Layout;
use muster_runner::sandbox::{Sandbox, View};
use muster_service_kit::config::Sandbox as Mode;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{TestRepository, World, settings};

/// Folders that both sandboxes show when nothing is said of them, the second one to Landlock too.
const SHOWN: [&str; 2] = ["/var/tmp", "/dev/shm"];

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A file that is to be hidden by itself, and the folder that holds it.
fn file_apart(parent: &str) -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let file = folder.path().join("file");
    write(&file, "s3cret");
    (file, folder)
}

/// What a shell says that tries to see what lies in a folder that is `hidden` or not, and to do its work there.
fn seen(sandbox: &Sandbox, parent: &str, hidden: bool) -> Vec<String> {
    let folder = tempfile::tempdir_in(parent).unwrap();
    let root = folder.path();
    write(&root.join("token"), "s3cret");
    let (apart, _folder) = file_apart(parent);
    let repository = TestRepository::within(root, &[]);
    let layout = Layout::create(&root.join("runner")).unwrap();
    let (session, other) = (layout.session(Uuid::now_v7()), layout.session(Uuid::now_v7()));
    session.create().unwrap();
    std::fs::create_dir(session.workspace()).unwrap();
    write(&other.data().join("secret"), "s3cret");
    // As somebody may name it.
    let link = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root, link.path().join("link")).unwrap();
    let view = View {
        session: session.clone(),
        workspace: session.workspace(),
        readable: vec![repository.path().join(".git")],
        hidden: if hidden {
            vec![link.path().join("link"), layout.root().to_owned(), apart.clone()]
        } else {
            Vec::new()
        },
    };
    let script = r#"
        head -c 30 "$ROOT/token" >/dev/null && echo token
        head -c 30 "$OTHER/secret" >/dev/null && echo session
        grep -q s3cret "$APART" && echo file
        cd "$WORKSPACE" && echo a > a && cat a
        echo b > "$OUT/b" && cat "$OUT/b"
        test -s "$REPOSITORY/.git/HEAD" && cat "$REPOSITORY/.git/HEAD" >/dev/null && echo repository
        echo x > "$ROOT/token""#;
    let mut command = sandbox.command("/bin/sh".as_ref(), &["-c".to_owned(), script.to_owned()], &view).unwrap();
    command.env_clear().env("PATH", "/usr/bin:/bin").env("ROOT", root).env("OTHER", other.data());
    command
        .env("APART", &apart)
        .env("WORKSPACE", session.workspace())
        .env("OUT", session.artifacts())
        .env("REPOSITORY", repository.path());
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(std::fs::read_to_string(session.workspace().join("a")).unwrap(), "a\n");
    assert_eq!(std::fs::read_to_string(session.artifacts().join("b")).unwrap(), "b\n");
    if hidden {
        assert_eq!(std::fs::read_to_string(root.join("token")).unwrap(), "s3cret");
    }
    said.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bubblewrap_hides_a_folder_and_shows_the_session_and_the_repository_in_it() {
    let sandbox = Sandbox::detect(Mode::Bubblewrap).await.unwrap();
    for parent in SHOWN {
        assert_eq!(seen(&sandbox, parent, true), ["a", "b", "repository"], "{parent}");
    }
    // Not hidden it would be seen: the folder is one that tells the difference.
    assert_eq!(seen(&sandbox, "/var/tmp", false), ["token", "session", "file", "a", "b", "repository"]);
}

#[test]
fn landlock_hides_a_folder_and_shows_the_session_and_the_repository_in_it() {
    let sandbox = Sandbox::landlock().unwrap();
    for parent in SHOWN {
        assert_eq!(seen(&sandbox, parent, true), ["a", "b", "repository"], "{parent}");
    }
    assert_eq!(seen(&sandbox, "/dev/shm", false), ["token", "session", "file", "a", "b", "repository"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_an_agent_nor_a_check_reads_a_token_in_a_hidden_folder() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let token = folder.path().join("token");
    write(&token, "s3cret");
    let line = format!("if head -c 30 {}; then echo seen > a.txt; else echo kept > a.txt; fi", token.display());
    let check = format!("! cat {} && grep -x kept a.txt", token.display());
    let mut project = settings(&[("unit", &check)]);
    let agent = json!({"kind": "command", "command": ["sh", "-c", line]});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    project.max_iterations = 1;
    let repository = TestRepository::within(folder.path(), &[("notes.txt", "start\n")]);
    let mut world = World::over(repository, project);
    world.data = tempfile::tempdir_in(folder.path()).unwrap();
    world.data.path().clone_into(&mut world.settings.data_dir);
    world.settings.sandbox = Mode::Bubblewrap;
    world.settings.hide = vec![folder.path().to_owned()];
    let card = world.card("Look", &["unit"]);
    world.run_until(card, "done").await;
    assert_eq!(world.repository.file_on("main", "a.txt"), "kept");
    assert!(!world.plane.output().contains("s3cret"));
}
