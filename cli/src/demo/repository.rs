//! The demo's repository: a greeter in shell with tests, one of which fails, and the script its agents follow.
//! Needs nothing but `sh` and `git`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// Branch that finished work is merged into.
pub const BRANCH: &str = "main";

/// What is committed at the start.
const FILES: [(&str, &str); 5] = [
    ("README.md", include_str!("files/README.md")),
    ("greet.sh", include_str!("files/greet.sh")),
    ("test.sh", include_str!("files/test.sh")),
    ("tests/greet.sh", include_str!("files/tests-greet.sh")),
    (".muster/rehearsal.json", include_str!("files/rehearsal.json")),
];

/// The repository.
#[derive(Debug)]
pub struct Greeter {
    path: PathBuf,
}

/// A run of its tests.
#[derive(Debug)]
pub struct TestRun {
    pub passed: bool,
    pub output: String,
}

impl Greeter {
    /// Makes it at `path`, which must not exist.
    pub fn make(path: &Path) -> Result<Self> {
        for (name, content) in FILES {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap_or(path)).map_err(Error::io(path))?;
            fs::write(&file, content).map_err(Error::io(&file))?;
        }
        // As the server knows it: without links on the way.
        let path = path.canonicalize().map_err(Error::io(path))?;
        let greeter = Self { path };
        greeter.git(&["init", "--quiet", "--initial-branch", BRANCH])?;
        greeter.git(&["add", "."])?;
        greeter.git(&["commit", "--quiet", "--message", "A greeter that knows nobody's name"])?;
        Ok(greeter)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The commits of the default branch, newest first, one line each.
    pub fn commits(&self) -> Result<Vec<String>> {
        let log = self.git(&["log", "--oneline", BRANCH])?;
        Ok(log.lines().map(str::to_owned).collect())
    }

    /// Runs the tests of what the default branch holds, in a clone, whatever is checked out.
    pub fn test_default_branch(&self) -> Result<TestRun> {
        let folder = tempfile::tempdir().map_err(Error::doing("the folder for temporary files"))?;
        let clone = folder.path().join("clone");
        let clone_text = clone.display().to_string();
        self.git(&["clone", "--quiet", "--branch", BRANCH, ".", &clone_text])?;
        let output = Command::new("sh").arg("test.sh").current_dir(&clone).output().map_err(Error::doing("`sh`"))?;
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        Ok(TestRun { passed: output.status.success(), output: text })
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("git")
            .current_dir(&self.path)
            .args(["-c", "user.name=Muster demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .output()
            .map_err(Error::doing("cannot start `git`"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Failed(format!("git {}: {}", arguments.join(" "), text.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_starts_with_a_test_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let greeter = Greeter::make(&folder.path().join("greeter")).unwrap();
        assert_eq!(greeter.commits().unwrap().len(), 1);
        let run = greeter.test_default_branch().unwrap();
        assert!(!run.passed);
        assert!(run.output.ends_with("1 passed, 1 failed"), "{}", run.output);
    }

    #[test]
    fn the_script_is_json() {
        let (_, script) = FILES.iter().find(|(name, _)| *name == ".muster/rehearsal.json").unwrap();
        serde_json::from_str::<serde_json::Value>(script).unwrap();
    }
}
