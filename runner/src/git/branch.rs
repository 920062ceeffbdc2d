//! Branches, moved only from where they are known to be.

use std::path::PathBuf;

use super::{Error, Repository};

/// What git takes for "this ref must not exist yet".
const ABSENT: &str = "0000000000000000000000000000000000000000";

impl Repository {
    /// The commit a branch is at; `None` when there is no such branch.
    pub async fn tip(&self, branch: &str) -> Result<Option<String>, Error> {
        self.resolve(&format!("refs/heads/{branch}^{{commit}}")).await
    }

    /// The commit a branch is at, where it must exist.
    pub async fn tip_of(&self, branch: &str) -> Result<String, Error> {
        self.tip(branch).await?.ok_or_else(|| Error::NoBranch { branch: branch.to_owned() })
    }

    /// The commit a branch is at; made at `start` if absent.
    pub async fn ensure_branch(&self, branch: &str, start: &str) -> Result<String, Error> {
        if let Some(tip) = self.tip(branch).await? {
            return Ok(tip);
        }
        self.advance(branch, start, None).await?;
        Ok(start.to_owned())
    }

    /// Moves a branch to `commit`, if it is at `expected` (or absent, without one). No checked-out tree follows.
    pub async fn advance(&self, branch: &str, commit: &str, expected: Option<&str>) -> Result<(), Error> {
        let (name, old) = (format!("refs/heads/{branch}"), expected.unwrap_or(ABSENT));
        let said = self.place.ask(&["update-ref", "-m", "muster", &name, commit, old]).await?;
        if said.code == Some(0) {
            return Ok(());
        }
        if self.tip(branch).await?.as_deref() == expected {
            return Err(Error::Failed { command: format!("update-ref {name}"), detail: said.stderr });
        }
        Err(Error::Moved { branch: branch.to_owned(), expected: expected.unwrap_or("nothing").to_owned() })
    }

    /// Moves a branch forward to `commit`, if it is at `expected`. Where the branch is checked out, that tree is brought
    /// along; when git would have to overwrite changes there, nothing moves and the error names the tree.
    pub async fn land(&self, branch: &str, commit: &str, expected: &str) -> Result<(), Error> {
        let Some(path) = self.checked_out_at(branch).await? else {
            return self.advance(branch, commit, Some(expected)).await;
        };
        if self.tip_of(branch).await? != expected {
            return Err(Error::Moved { branch: branch.to_owned(), expected: expected.to_owned() });
        }
        let said =
            super::Place::folder(&path).ask(&["merge", "--ff-only", "--quiet", "--no-autostash", commit]).await?;
        if said.code == Some(0) {
            return Ok(());
        }
        let detail = said.stderr.lines().take(20).collect::<Vec<_>>().join("\n");
        Err(Error::CheckedOut { branch: branch.to_owned(), path, detail })
    }

    /// The working tree that has a branch checked out, if one has.
    async fn checked_out_at(&self, branch: &str) -> Result<Option<PathBuf>, Error> {
        let listed = self.place.run(&["worktree", "list", "--porcelain", "-z"]).await?;
        let wanted = format!("branch refs/heads/{branch}");
        let mut path = None;
        for line in listed.fields() {
            if let Some(folder) = line.strip_prefix("worktree ") {
                path = Some(PathBuf::from(folder));
            } else if line == wanted {
                return Ok(path);
            }
        }
        Ok(None)
    }

    /// Whether `ancestor` is an ancestor of `commit`, or that commit itself.
    pub async fn is_ancestor(&self, ancestor: &str, commit: &str) -> Result<bool, Error> {
        Ok(self.place.ask(&["merge-base", "--is-ancestor", ancestor, commit]).await?.code == Some(0))
    }

    /// The newest commit that both have; `start` of what each changed.
    pub async fn merge_base(&self, one: &str, other: &str) -> Result<String, Error> {
        Ok(self.place.run(&["merge-base", one, other]).await?.text())
    }

    /// Keeps a commit from being thrown away, under `refs/muster/kept/<name>`.
    pub async fn keep(&self, name: &str, commit: &str) -> Result<(), Error> {
        self.place.run(&["update-ref", &format!("refs/muster/kept/{name}"), commit]).await.map(drop)
    }
}
