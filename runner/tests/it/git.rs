//! Branches and merges in a repository that people use at the same time.

use muster_runner::git::{Error, Merge, Repository};
use serde_json::json;

use crate::support::{TestRepository, World, settings};

#[tokio::test]
async fn a_branch_moves_only_from_where_it_is_expected() {
    let real = TestRepository::with(&[("a", "1\n")]);
    let repository = Repository::open(real.path()).await.unwrap();
    let first = repository.tip_of("main").await.unwrap();
    assert_eq!(repository.ensure_branch("work", &first).await.unwrap(), first);
    let second = real.commit(&[("a", "2\n")], "Second");
    repository.advance("work", &second, Some(&first)).await.unwrap();
    let moved = repository.advance("work", &first, Some(&first)).await.unwrap_err();
    assert!(matches!(moved, Error::Moved { .. }), "{moved}");
    let exists = repository.advance("work", &first, None).await.unwrap_err();
    assert!(matches!(exists, Error::Moved { .. }), "{exists}");
    assert!(matches!(repository.tip_of("absent").await, Err(Error::NoBranch { .. })));
}

#[tokio::test]
async fn conflicts_name_their_files_and_move_nothing() {
    let real = TestRepository::with(&[("a b.txt", "1\n"), ("other", "1\n")]);
    let repository = Repository::open(real.path()).await.unwrap();
    let base = repository.tip_of("main").await.unwrap();
    let ours = real.commit(&[("a b.txt", "2\n")], "Ours");
    real.git(&["branch", "theirs", &base]);
    real.git(&["checkout", "--quiet", "theirs"]);
    let theirs = real.commit(&[("a b.txt", "3\n"), ("other", "3\n")], "Theirs");
    real.git(&["checkout", "--quiet", "main"]);
    assert_eq!(repository.merge(&ours, &theirs, "m").await.unwrap(), Merge::Conflict(vec!["a b.txt".to_owned()]));
    let error = repository.merge_into("main", &theirs, "theirs", "m").await.unwrap_err();
    assert_eq!(error.to_build_error().kind.as_str(), "merge_conflict");
    assert!(error.to_string().contains("a b.txt"));
    assert_eq!(repository.tip_of("main").await.unwrap(), ours);
    assert_eq!(real.git(&["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_checked_out_branch_comes_along_but_never_over_changes() {
    let real = TestRepository::with(&[("a", "1\n"), ("b", "1\n")]);
    let repository = Repository::open(real.path()).await.unwrap();
    let before = repository.tip_of("main").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut tree = repository.add_worktree(&folder.path().join("tree"), &before).await.unwrap();
    std::fs::write(tree.path().join("a"), "2\n").unwrap();
    let commit = tree.commit_all("Two").await.unwrap().unwrap();
    assert_eq!(tree.commit_all("Nothing").await.unwrap(), None);

    std::fs::write(real.path().join("a"), "mine\n").unwrap();
    let refused = repository.land("main", &commit, &before).await.unwrap_err();
    assert!(matches!(refused, Error::CheckedOut { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(real.path().join("a")).unwrap(), "mine\n");
    assert_eq!(repository.tip_of("main").await.unwrap(), before);

    // A change elsewhere is not in the way, and stays.
    real.git(&["checkout", "--quiet", "a"]);
    std::fs::write(real.path().join("b"), "mine\n").unwrap();
    repository.land("main", &commit, &before).await.unwrap();
    assert_eq!(std::fs::read_to_string(real.path().join("a")).unwrap(), "2\n");
    assert_eq!(std::fs::read_to_string(real.path().join("b")).unwrap(), "mine\n");
    assert_eq!(real.git(&["status", "--porcelain"]), "M b");
    assert_eq!(real.git(&["log", "-1", "--format=%an <%ae>"]), "Muster <muster@localhost>");
    let admin_dir = tree.admin_dir().to_owned();
    repository.remove_worktree(tree.path(), &admin_dir).await.unwrap();
    assert_eq!(real.worktrees().len(), 0);
}

#[tokio::test]
async fn what_an_agent_does_to_git_in_its_workspace_does_no_harm() {
    let real = TestRepository::with(&[("a", "1\n")]);
    let repository = Repository::open(real.path()).await.unwrap();
    let before = repository.tip_of("main").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut tree = repository.add_worktree(&folder.path().join("tree"), &before).await.unwrap();
    // A repository of its own in place of the worktree's, with a setting that would run a program.
    let mark = folder.path().join("ran");
    std::fs::remove_file(tree.path().join(".git")).unwrap();
    let own = |arguments: &[&str]| {
        let done = std::process::Command::new("git").args(arguments).current_dir(tree.path()).status().unwrap();
        assert!(done.success());
    };
    own(&["init", "--quiet"]);
    own(&["config", "core.fsmonitor", &format!("touch {}", mark.display())]);
    std::fs::write(tree.path().join("new"), "n\n").unwrap();
    let commit = tree.commit_all("Work").await.unwrap().unwrap();
    assert!(!mark.exists());
    assert_eq!(real.git(&["show", &format!("{commit}:new")]), "n");
    let changes = tree.changes(&before, &commit).await.unwrap();
    assert_eq!(changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[tokio::test]
async fn one_changes_the_repository_at_a_time() {
    let real = TestRepository::with(&[("a", "1\n")]);
    let repository = Repository::open(real.path()).await.unwrap();
    let held = repository.lock().await.unwrap();
    let other = Repository::open(real.path()).await.unwrap();
    let waiting = tokio::spawn(async move { other.lock().await.map(drop) });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    drop(held);
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_does_not_land_over_a_persons_changes() {
    let script = json!({"coder": [{"steps": [{"do": "write", "path": "notes.txt", "content": "done\n"}]}]});
    let mut world = World::new(&script, settings(&[("unit", "true")]));
    std::fs::write(world.repository.path().join("notes.txt"), "my own words\n").unwrap();
    let card = world.card("Write", &["unit"]);
    world.run_until(card, "blocked").await;
    let complete = world.data_of("run.complete");
    let error = &complete.last().unwrap()["error"];
    assert_eq!(error["kind"], "workspace");
    assert!(error["message"].as_str().unwrap().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read_to_string(world.repository.path().join("notes.txt")).unwrap(), "my own words\n");
    assert_eq!(world.repository.git(&["log", "--format=%s", "main"]), "Begin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_conflicts_with_the_default_branch_is_left_to_a_person() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("open");
    let script = json!({"coder": [{"steps": [
        {"do": "write", "path": "notes.txt", "content": "task\n"}, {"do": "wait_for_file", "path": gate},
    ]}]});
    let mut world = World::new(&script, settings(&[("unit", "true")]));
    let card = world.card("Write", &["unit"]);
    world.start();
    world.until(|plane| plane.output().contains("wrote notes.txt")).await;
    world.repository.commit(&[("notes.txt", "person\n")], "Meanwhile");
    std::fs::write(gate, "").unwrap();
    world.until(|plane| plane.leases() == 0 && plane.task(card).status.as_str() == "blocked").await;
    world.stop().await;
    world.assert_clean();
    let complete = world.data_of("run.complete");
    let error = &complete.last().unwrap()["error"];
    assert_eq!(error["kind"], "merge_conflict");
    assert!(error["message"].as_str().unwrap().contains("notes.txt"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lands_is_verified_with_what_others_landed_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("open");
    let script = json!({
        "coder": [{"steps": [{"do": "write", "path": "a.txt", "content": "a\n"}]}],
        "reviewer": [{"steps": [
            {"do": "say", "text": "reading"}, {"do": "wait_for_file", "path": gate},
            {"do": "review", "verdict": "accept"},
        ]}],
    });
    let mut world = World::new(&script, settings(&[("unit", "test -e a.txt && ls")]));
    let card = world.card("Write", &["unit"]);
    world.start();
    world.until(|plane| plane.output().contains("agent: reading")).await;
    world.repository.commit(&[("person.txt", "p\n")], "Meanwhile");
    std::fs::write(gate, "").unwrap();
    world.until(|plane| plane.leases() == 0 && plane.task(card).status.as_str() == "done").await;
    world.stop().await;
    world.assert_clean();
    let verified = world.data_of("verification.complete").last().unwrap()["report"].clone();
    assert_eq!(verified["commit"], world.repository.git(&["rev-parse", "main"]));
    assert!(verified["checks"][0]["output_excerpt"].as_str().unwrap().contains("person.txt"));
}
