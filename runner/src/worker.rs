//! The worker: claims work for as many sessions as it may have at once, until it is stopped.
//!
//! It must never hold two sessions for one claim, nor claim once a stop was asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_client::api::ClaimRequest;
use muster_client::domain::id::SessionId;
use muster_service_kit::{Shutdown, config};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::control::{Claimed, Control};
use crate::layout::{Layout, SessionFolders};
use crate::leftovers;
use crate::run::Workshop;
use crate::sandbox::{self, Sandbox};
use crate::settings::Settings;
use crate::stop::{Reason, Stop};

/// Wait after a claim that was not answered or was refused.
const PAUSE: Duration = Duration::from_secs(1);
/// Shortest time between two claims that gave nothing, should the service not wait.
const CLAIM_INTERVAL: Duration = Duration::from_millis(100);

/// Why the runner cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Agents cannot be confined here.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The data directory cannot be used, or another runner uses it.
    #[error("the data directory {path}: {source}")]
    DataDir {
        /// The directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is no role to play.
    #[error("runner.roles names none of planner, coder and reviewer")]
    NoRoles,
}

/// Works until `shutdown` is asked for and running sessions have ended or their time is over.
pub async fn run(settings: Settings, control: Arc<dyn Control>, shutdown: Shutdown) -> Result<(), Error> {
    if settings.roles.is_empty() {
        return Err(Error::NoRoles);
    }
    let in_data_dir = |source| Error::DataDir { path: settings.data_dir.display().to_string(), source };
    let layout = Layout::create(&settings.data_dir).map_err(in_data_dir)?;
    let _owned = leftovers::own(&layout).map_err(in_data_dir)?;
    let sandbox = Sandbox::detect(settings.sandbox).await?;
    leftovers::clean(&layout, control.as_ref()).await;
    let hidden = hidden(&settings, &layout).map_err(in_data_dir)?;
    let workshop = Arc::new(Workshop { settings, sandbox, layout, hidden, control });
    let slots = TaskTracker::new();
    for slot in 0..workshop.settings.max_concurrent_sessions.max(1) {
        slots.spawn(serve(workshop.clone(), slot, shutdown.clone()));
    }
    slots.close();
    tracing::info!(roles = ?workshop.settings.roles, "the runner waits for work");
    slots.wait().await;
    tracing::info!("the runner has stopped");
    Ok(())
}

/// What no session may see: what is configured so, all other sessions, and the folders of configuration files, as tokens
/// are written there.
fn hidden(settings: &Settings, layout: &Layout) -> std::io::Result<Vec<PathBuf>> {
    let configuration = config::standard_files();
    let folders = configuration.iter().filter_map(|file| file.parent());
    let hidden = settings.hide.iter().map(PathBuf::as_path).chain(folders).chain([layout.root()]);
    hidden.map(std::path::absolute).collect()
}

/// One slot: a session after another.
async fn serve(workshop: Arc<Workshop>, slot: usize, shutdown: Shutdown) {
    while !shutdown.is_triggered() {
        let session = workshop.layout.session(Uuid::now_v7());
        let claimed = tokio::select! {
            claimed = claim(&workshop, slot, &session) => claimed,
            () = shutdown.triggered() => return,
        };
        if let Some(claimed) = claimed {
            work(&workshop, &claimed, &session, &shutdown).await;
        }
    }
}

/// Waits for work. `None` when a claim was refused: the session may have been given work that we did not hear of.
async fn claim(workshop: &Workshop, slot: usize, session: &SessionFolders) -> Option<Claimed> {
    let settings = &workshop.settings;
    let request = ClaimRequest {
        session_id: SessionId(session.id),
        session_key: format!("{}/{slot}", settings.name),
        roles: settings.roles.clone(),
        lease_duration_ms: Some(settings.lease_ms),
        workspace_dir: session.workspace().to_string_lossy().into_owned(),
        data_dir: session.data().to_string_lossy().into_owned(),
        project_ids: None,
        wait_ms: Some(settings.claim_wait_ms),
    };
    let mut key = muster_client::new_key();
    loop {
        match workshop.control.claim(&request, key).await {
            Ok(Some(order)) => return Some(Claimed { order, request, key }),
            Ok(None) => {
                key = muster_client::new_key();
                tokio::time::sleep(CLAIM_INTERVAL).await;
            }
            Err(crate::control::Error::Unavailable(reason)) => {
                // Under the same key: work that was given by an answer we did not get is ours.
                tracing::warn!(%reason, "a claim was not answered");
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::error!(%error, "a claim was refused");
                tokio::time::sleep(PAUSE).await;
                return None;
            }
        }
    }
}

/// Does the work; a stop of the runner gives it a while to come to its end.
async fn work(workshop: &Workshop, claimed: &Claimed, session: &SessionFolders, shutdown: &Shutdown) {
    let order = &claimed.order;
    tracing::info!(task_id = %order.task_id, run_id = %order.run_id, role = %order.role, "a run begins");
    let stop = Stop::default();
    let mut run = std::pin::pin!(workshop.execute(claimed, session, &stop));
    let over = async {
        shutdown.triggered().await;
        tokio::time::sleep(workshop.settings.shutdown_grace).await;
    };
    tokio::select! {
        () = &mut run => {}
        () = over => {
            stop.ask(Reason::Shutdown);
            run.await;
        }
    }
    tracing::info!(task_id = %order.task_id, run_id = %order.run_id, "a run is over");
}
