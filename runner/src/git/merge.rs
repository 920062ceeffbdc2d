//! Merges made without any working tree, so that nobody's files are in the way.

use super::{Error, Repository};

/// What merging two commits came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// A commit that has both; one of the two where it has the other already.
    Clean(String),
    /// Files in which both changed the same lines.
    Conflict(Vec<String>),
}

impl Repository {
    /// Merges `theirs` into `ours` (commits). No branch moves.
    pub async fn merge(&self, ours: &str, theirs: &str, message: &str) -> Result<Merge, Error> {
        if self.is_ancestor(theirs, ours).await? {
            return Ok(Merge::Clean(ours.to_owned()));
        }
        let said =
            self.place.ask(&["merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", ours, theirs]).await?;
        let mut fields = said.fields().into_iter();
        let tree = fields.next();
        match (said.code, tree) {
            (Some(0), Some(tree)) => {
                let arguments = ["commit-tree", &tree, "-p", ours, "-p", theirs, "-m", message];
                Ok(Merge::Clean(self.place.run(&arguments).await?.text()))
            }
            (Some(1), Some(_)) => Ok(Merge::Conflict(fields.collect())),
            _ => Err(Error::Failed { command: format!("merge-tree {ours} {theirs}"), detail: said.stderr }),
        }
    }

    /// Merges a commit into a branch and moves the branch. Gives the commit the branch is at then.
    ///
    /// # Errors
    /// [`Error::Conflict`] with the files; [`Error::Moved`] or [`Error::CheckedOut`] as [`Repository::land`].
    pub async fn merge_into(&self, branch: &str, theirs: &str, name: &str, message: &str) -> Result<String, Error> {
        let tip = self.tip_of(branch).await?;
        match self.merge(&tip, theirs, message).await? {
            Merge::Clean(commit) => {
                if commit != tip {
                    self.land(branch, &commit, &tip).await?;
                }
                Ok(commit)
            }
            Merge::Conflict(files) => Err(Error::Conflict { ours: branch.to_owned(), theirs: name.to_owned(), files }),
        }
    }
}
