//! A real repository in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A repository with the branch `main` checked out and one commit.
pub struct TestRepository {
    folder: TempDir,
}

impl TestRepository {
    /// With these files in its first commit.
    pub fn with(files: &[(&str, &str)]) -> Self {
        Self::within(&std::env::temp_dir(), files)
    }

    /// The same in a folder within `parent`.
    pub fn within(parent: &Path, files: &[(&str, &str)]) -> Self {
        let repository = Self { folder: tempfile::tempdir_in(parent).unwrap() };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit(files, "Begin");
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes files in the checked-out tree and commits them.
    pub fn commit(&self, files: &[(&str, &str)], message: &str) -> String {
        for (path, content) in files {
            let path = self.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What git says; its failure is the test's.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@localhost"])
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A file as it is on a branch.
    pub fn file_on(&self, branch: &str, path: &str) -> String {
        self.git(&["show", &format!("{branch}:{path}")])
    }

    /// Worktrees beside the checked-out one.
    pub fn worktrees(&self) -> Vec<PathBuf> {
        let listed = self.git(&["worktree", "list", "--porcelain"]);
        listed.lines().filter_map(|line| line.strip_prefix("worktree ")).skip(1).map(PathBuf::from).collect()
    }
}
