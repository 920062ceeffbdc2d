//! An isolated working tree with no branch checked out: commits are made here, branches move only by
//! [`Repository::advance`] and [`Repository::land`].

use std::path::{Path, PathBuf};

use super::{Error, Place, Repository};
use crate::files;

/// A worktree of a repository. Remove it with [`Worktree::remove`].
#[derive(Debug, Clone)]
pub struct Worktree {
    pub(super) place: Place,
    admin_dir: PathBuf,
    head: String,
}

impl Repository {
    /// A worktree at `path`, holding `commit`. Take the [`Repository::lock`] first.
    pub async fn add_worktree(&self, path: &Path, commit: &str) -> Result<Worktree, Error> {
        let text = path.to_string_lossy();
        self.place.run(&["worktree", "add", "--detach", "--force", "--quiet", &text, commit]).await?;
        let admin_dir = Place::folder(path).run(&["rev-parse", "--absolute-git-dir"]).await?.text();
        let admin_dir = PathBuf::from(admin_dir);
        let place = Place { folder: path.to_owned(), git_dir: Some(admin_dir.clone()) };
        Ok(Worktree { place, admin_dir, head: commit.to_owned() })
    }

    /// Removes a worktree's folder and what git knows of it. Take the [`Repository::lock`] first. Doing it again is
    /// harmless. A folder that is not this repository's is not touched.
    pub async fn remove_worktree(&self, path: &Path, admin_dir: &Path) -> Result<(), Error> {
        let (path, admin_dir) = (path.to_owned(), admin_dir.to_owned());
        let ours = admin_dir.starts_with(self.common_dir.join("worktrees"));
        let what = format!("removing the worktree {}", path.display());
        let work = move || {
            files::remove_folder(&path)?;
            if ours { files::remove_folder(&admin_dir) } else { Ok(()) }
        };
        files::blocking(work).await.map_err(Error::io(what))
    }
}

impl Worktree {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.place.folder
    }

    /// Where git keeps what it knows of this worktree.
    pub fn admin_dir(&self) -> &Path {
        &self.admin_dir
    }

    /// The commit it holds, changes apart.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Commits all that changed since [`Worktree::head`]; `None` when nothing did. Commits an agent made by itself are
    /// folded into this one.
    pub async fn commit_all(&mut self, message: &str) -> Result<Option<String>, Error> {
        self.place.run(&["add", "--all"]).await?;
        let tree = self.place.run(&["write-tree"]).await?.text();
        let before = self.place.run(&["rev-parse", &format!("{}^{{tree}}", self.head)]).await?.text();
        if tree == before {
            return Ok(None);
        }
        let commit = self.place.run(&["commit-tree", &tree, "-p", &self.head, "-m", message]).await?.text();
        self.place.run(&["update-ref", "--no-deref", "-m", "muster", "HEAD", &commit]).await?;
        self.head.clone_from(&commit);
        Ok(Some(commit))
    }

    /// Makes it hold `commit` and nothing else: changes and files git does not know are gone, ignored ones stay.
    pub async fn reset(&mut self, commit: &str) -> Result<(), Error> {
        self.place.run(&["update-ref", "--no-deref", "-m", "muster", "HEAD", commit]).await?;
        self.place.run(&["reset", "--hard", "--quiet"]).await?;
        self.place.run(&["clean", "-f", "-d", "--quiet"]).await?;
        commit.clone_into(&mut self.head);
        Ok(())
    }

    /// What changed from `commit` to now in the form people read, at most `max_bytes`.
    pub async fn diff(&self, commit: &str, max_bytes: usize) -> Result<String, Error> {
        let said = self.place.run(&["diff", "--no-ext-diff", "--no-textconv", commit, &self.head]).await?;
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        Ok(crate::text::shorten(&text, max_bytes))
    }
}
