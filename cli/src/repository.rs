//! What `project add` must know of a repository: where it begins and which branch finished work goes into.
//! Reads only; it must never change the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};

/// Branches taken for the default one when no remote names it.
const USUAL: [&str; 2] = ["main", "master"];

/// A git repository on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its folder: the top of the working tree, or the bare repository itself.
    pub path: PathBuf,
    /// Branch that finished work is merged into.
    pub default_branch: String,
}

impl Repository {
    /// Opens the repository that holds `path`. `branch` wins over what is found.
    pub fn open(path: &Path, branch: Option<&str>) -> Result<Self> {
        let path = path.canonicalize().map_err(Error::io(path))?;
        let top = git(&path, &["rev-parse", "--show-toplevel"])?
            .filter(|top| !top.is_empty())
            .map_or_else(|| git(&path, &["rev-parse", "--absolute-git-dir"]), |top| Ok(Some(top)))?
            .ok_or_else(|| {
                Error::Usage(format!("{} is not in a git repository: run `git init` there", path.display()))
            })?;
        let path = PathBuf::from(top);
        let default_branch = match branch {
            Some(branch) => branch.to_owned(),
            None => default_branch(&path)?,
        };
        if !has_branch(&path, &default_branch)? {
            let path = path.display();
            return Err(Error::Usage(format!(
                "{path} has no branch {default_branch:?} with a commit: make one, or name another with --branch"
            )));
        }
        Ok(Self { path, default_branch })
    }

    /// The folder's name, to call a project by.
    pub fn name(&self) -> String {
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_suffix(".git").filter(|name| !name.is_empty()).unwrap_or(&name).to_owned()
    }
}

/// The remote's default branch if it is here, one of the usual names, or the one that is checked out.
fn default_branch(path: &Path) -> Result<String> {
    let remote = git(path, &["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"])?;
    let remote = remote.and_then(|name| name.strip_prefix("origin/").map(str::to_owned));
    for name in remote.into_iter().chain(USUAL.map(str::to_owned)) {
        if has_branch(path, &name)? {
            return Ok(name);
        }
    }
    git(path, &["symbolic-ref", "--quiet", "--short", "HEAD"])?
        .ok_or_else(|| Error::Usage(format!("{} is on no branch: name one with --branch", path.display())))
}

fn has_branch(path: &Path, name: &str) -> Result<bool> {
    let reference = format!("refs/heads/{name}^{{commit}}");
    Ok(git(path, &["rev-parse", "--quiet", "--verify", &reference])?.is_some())
}

/// The output of a git command; `Ok(None)` when git says no.
fn git(path: &Path, arguments: &[&str]) -> Result<Option<String>> {
    let output = Command::new("git")
        .arg("-C")
        .arg(path)
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .map_err(Error::doing("cannot start `git`"))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.arg("-C").arg(path).args(["-c", "user.name=t", "-c", "user.email=t@localhost"]).args(arguments);
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    }

    fn repository(branch: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &["init", "--quiet", "--initial-branch", branch]);
        run(folder.path(), &["commit", "--quiet", "--allow-empty", "--message", "first"]);
        folder
    }

    #[test]
    fn finds_the_top_from_within() {
        let folder = repository("main");
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let found = Repository::open(&inner, None).unwrap();
        assert_eq!(found.path, folder.path().canonicalize().unwrap());
        assert_eq!(found.default_branch, "main");
    }

    #[test]
    fn prefers_the_usual_branch_over_the_one_checked_out() {
        let folder = repository("master");
        run(folder.path(), &["checkout", "--quiet", "-b", "feature"]);
        assert_eq!(Repository::open(folder.path(), None).unwrap().default_branch, "master");
        let other = repository("trunk");
        assert_eq!(Repository::open(other.path(), None).unwrap().default_branch, "trunk");
    }

    #[test]
    fn refuses_what_cannot_work() {
        let folder = tempfile::tempdir().unwrap();
        let no_repository = Repository::open(folder.path(), None).unwrap_err();
        assert!(no_repository.to_string().contains("not in a git repository"), "{no_repository}");
        run(folder.path(), &["init", "--quiet", "--initial-branch", "main"]);
        let no_commit = Repository::open(folder.path(), None).unwrap_err();
        assert!(no_commit.to_string().contains("with a commit"), "{no_commit}");
        let no_branch = Repository::open(repository("main").path(), Some("nope")).unwrap_err();
        assert!(no_branch.to_string().contains("nope"), "{no_branch}");
    }
}
