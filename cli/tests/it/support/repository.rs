//! Small git repositories.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository with one commit of these files on `main`. Lives as long as the value.
pub struct Repository(tempfile::TempDir);

impl Repository {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        git(folder.path(), &["init", "--quiet", "--initial-branch", "main"]);
        for (name, content) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("its folder");
            std::fs::write(file, content).expect("a file");
        }
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "--quiet", "--allow-empty", "--message", "first"]);
        Self(folder)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().canonicalize().expect("the repository")
    }

    pub fn path_text(&self) -> String {
        self.path().display().to_string()
    }
}

/// Runs git and gives its output.
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(arguments);
    let output = command.output().expect("git starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "git {arguments:?}: {err}");
    out.into_owned()
}
