//! The logs of several runs, followed at once by one connection.

use futures::FutureExt;
use futures::future::select_all;
use muster_domain::id::{ProjectId, RunId};
use muster_read_store::query::{InProject, Line};
use muster_service_kit::Caller;
use uuid::Uuid;

use super::Service;
use crate::fault::Result;
use crate::follow::FollowOutput;

/// Runs whose logs one connection may follow; those beyond are left out.
pub const LOGS_MAX: usize = 50;

/// Places in the logs of runs of one project. They wait together and read one after the other, and nothing is under way
/// but in [`Logs::next`]: a read that nobody goes on with would keep its connection to the store.
pub struct Logs {
    service: Service,
    caller: Caller,
    project_id: ProjectId,
    places: Vec<(RunId, FollowOutput)>,
    /// Whose turn it is to read.
    turn: usize,
}

impl Logs {
    /// No log yet.
    pub fn new(service: Service, caller: Caller, project_id: ProjectId) -> Self {
        Self { service, caller, project_id, places: Vec::new(), turn: 0 }
    }

    /// Follows a run of the project behind line `after`. Nothing changes for a run that is followed already.
    pub fn follow(&mut self, run_id: RunId, after: u64) {
        if self.places.len() >= LOGS_MAX || self.places.iter().any(|(id, _)| *id == run_id) {
            return;
        }
        let (access, live) = (&self.service.access, &self.service.live);
        let place = FollowOutput::run(access, live, &self.caller, self.project_id, run_id, after);
        self.places.push((run_id, place));
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
        if self.places.is_empty() {
            return std::future::pending().await;
        }
        loop {
            for _ in 0..self.places.len() {
                self.turn = (self.turn + 1) % self.places.len();
                let (_, place) = &mut self.places[self.turn];
                if !place.has_news() {
                    continue;
                }
                let lines = place.look().await?;
                if !lines.is_empty() {
                    return Ok(lines);
                }
            }
            select_all(self.places.iter().map(|(_, place)| place.news().boxed())).await;
        }
    }
}
