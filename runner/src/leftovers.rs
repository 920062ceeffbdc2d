//! Cleaning up after a runner that died: its processes, its worktrees, its leases.

use std::fs::File;
use std::io;

use muster_client::domain::command::Report;
use muster_client::domain::model::{BuildError, BuildErrorKind};
use uuid::Uuid;

use crate::control::Control;
use crate::layout::Layout;
use crate::record::SessionRecord;
use crate::{files, process};

/// The right to a data directory; held while the runner works.
#[derive(Debug)]
pub struct Owned {
    _lock: File,
}

/// Takes the data directory for this runner. An error when another one has it.
pub fn own(layout: &Layout) -> io::Result<Owned> {
    let lock = File::options().create(true).append(true).open(layout.root().join("runner.lock"))?;
    lock.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => io::Error::other("another runner uses it"),
        std::fs::TryLockError::Error(error) => error,
    })?;
    Ok(Owned { _lock: lock })
}

/// Ends what an earlier runner left in the data directory and gives its work back. Take the directory first.
pub async fn clean(layout: &Layout, control: &dyn Control) {
    let folders = match std::fs::read_dir(layout.sessions()) {
        Ok(folders) => folders,
        Err(error) => return tracing::error!(%error, "the sessions of an earlier runner cannot be listed"),
    };
    for entry in folders.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok()) else { continue };
        if let Err(error) = clean_session(layout, control, id).await {
            tracing::error!(session_id = %id, %error, "a session of an earlier runner could not be cleaned up");
        }
    }
}

async fn clean_session(layout: &Layout, control: &dyn Control, id: Uuid) -> io::Result<()> {
    let session = layout.session(id);
    let ended = process::sweep(id).await?;
    tracing::info!(session_id = %id, ended, "cleaning up after an earlier runner");
    if let Ok(record) = SessionRecord::read(&session) {
        record.remove_workspace().await.map_err(io::Error::other)?;
        give_back(&record, control).await;
    }
    let root = session.root().to_owned();
    files::blocking(move || files::remove_folder(&root)).await
}

/// Gives the work back at once; without this it comes back when its lease ends.
async fn give_back(record: &SessionRecord, control: &dyn Control) {
    let error = BuildError {
        kind: BuildErrorKind::Internal,
        message: "the runner died during the run".to_owned(),
        exit_code: None,
        log_excerpt: None,
    };
    let path = record.workspace.as_ref().map(|workspace| workspace.path.to_string_lossy().into_owned());
    let released: Vec<_> = path.into_iter().map(|path| Report::WorkspaceReleased { path }).collect();
    let reports = [released.clone(), vec![Report::Failed { error }]].concat();
    let Err(refused) = control.report(&record.lease, reports, muster_client::new_key()).await else { return };
    tracing::info!(%refused, "the lease of an earlier runner is over already");
    if !released.is_empty()
        && let Err(error) = control.report(&record.lease, released, muster_client::new_key()).await
    {
        tracing::info!(%error, "the release of a workspace was not taken");
    }
}
