//! The logs of several runs, followed at once by one connection.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use muster_domain::id::{ProjectId, RunId};
use muster_read_store::query::{InProject, Line};
use muster_service_kit::Caller;
use tokio_stream::StreamMap;
use uuid::Uuid;

use super::Service;
use crate::fault::Result;
use crate::follow::FollowOutput;

/// Runs whose logs one connection may follow; those beyond are left out.
pub const LOGS_MAX: usize = 50;

/// Places in the logs of runs of one project.
pub struct Logs {
    service: Service,
    caller: Caller,
    project_id: ProjectId,
    places: StreamMap<Uuid, BoxStream<'static, Result<Vec<Line>>>>,
}

impl Logs {
    /// No log yet.
    pub fn new(service: Service, caller: Caller, project_id: ProjectId) -> Self {
        Self { service, caller, project_id, places: StreamMap::new() }
    }

    /// Follows a run of the project behind line `after`. Nothing changes for a run that is followed already.
    pub fn follow(&mut self, run_id: RunId, after: u64) {
        if self.places.len() >= LOGS_MAX || self.places.contains_key(&run_id.0) {
            return;
        }
        let (access, live) = (&self.service.access, &self.service.live);
        let place = FollowOutput::run(access, live, &self.caller, self.project_id, run_id, after);
        let lines = stream::unfold(place, |mut place| async move { Some((place.next().await, place)) });
        self.places.insert(run_id.0, lines.boxed());
    }

    /// Follows these runs from what is stored now.
    pub async fn follow_from_now(&mut self, runs: &[Uuid]) -> Result<()> {
        let places: Vec<_> = runs.iter().map(|id| InProject::of(self.project_id, *id)).collect();
        let ends = self.service.store.output_ends(&places).await?;
        for run in places {
            let end = ends.iter().find(|(id, _)| *id == run).map_or(0, |(_, line_number)| *line_number);
            self.follow(RunId(run.id), end);
        }
        Ok(())
    }

    /// The next lines of one of them; waits for them, forever while none is followed. Safe to cancel.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        match self.places.next().await {
            Some((_, lines)) => lines,
            None => std::future::pending().await,
        }
    }
}
