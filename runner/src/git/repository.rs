//! A repository, and the lock that keeps several sessions from changing it at once.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Error, Place};
use crate::files;

/// A person's repository. Its checked-out files are not touched through it.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) place: Place,
    pub(super) common_dir: PathBuf,
}

/// Held while branches, worktrees or merges change; dropped to let the next one in.
#[derive(Debug)]
pub struct Guard {
    _file: File,
}

impl Repository {
    /// The repository at `path`.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        let not_a_repository = |detail: String| Error::NotARepository { path: path.to_owned(), detail };
        if !path.is_dir() {
            return Err(not_a_repository("there is no such folder".to_owned()));
        }
        let place = Place::folder(path);
        let said = place.ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"]).await?;
        if said.code != Some(0) {
            return Err(not_a_repository(said.stderr));
        }
        Ok(Self { place, common_dir: PathBuf::from(said.text()) })
    }

    /// The folder git keeps its objects and refs in.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Waits until no other session, of this process or another, changes the repository.
    pub async fn lock(&self) -> Result<Guard, Error> {
        let path = self.common_dir.join("muster.lock");
        let what = format!("locking {}", path.display());
        let file = files::blocking(move || {
            let file = File::options().create(true).append(true).open(path)?;
            file.lock()?;
            Ok(file)
        });
        Ok(Guard { _file: file.await.map_err(Error::io(what))? })
    }

    /// The commit or tree that `name` means, if it means one.
    pub(super) async fn resolve(&self, name: &str) -> Result<Option<String>, Error> {
        let said = self.place.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", name]).await?;
        Ok((said.code == Some(0)).then(|| said.text()))
    }
}
