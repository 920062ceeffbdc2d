//! Agent output: checked against the lease, numbered without gaps, passed to the log. It must never become an event.

use std::collections::HashMap;
use std::sync::Arc;

use muster_domain::id::RunId;
use muster_domain::rejection::Rejection;
use muster_domain::state::Task;
use muster_schemas::AgentOutput;
use muster_schemas::api::{OutputRequest, OutputResponse};
use muster_service_kit::{Problem, codes};
use parking_lot::Mutex;

use super::key_locks::KeyLocks;
use super::{CommandService, Elsewhere, Error, Who};
use crate::partition::Refusal;
use crate::problem::{OUTPUT_GAP, not_a_member, of_refusal, task_not_found};

/// Runs remembered before those that have ended are forgotten.
const RUNS_MAX: usize = 1000;

/// The next line number of each run this process has taken lines of.
///
/// Nothing is kept beyond the process: after a restart a run goes on with the number its runner names first, and the log
/// and its readers pass over lines they have.
#[derive(Default)]
pub(super) struct OutputLines {
    next: Mutex<HashMap<RunId, Line>>,
    runs: KeyLocks<RunId>,
}

/// The next line number of a run, and the tenure of its partition in which it was the next.
#[derive(Clone, Copy)]
struct Line {
    tenure: u64,
    next: u64,
}

impl CommandService {
    /// Appends lines of a run to the log. Durable on return.
    pub async fn append_output(
        &self,
        who: &Who,
        run_id: RunId,
        request: OutputRequest,
    ) -> Result<OutputResponse, Error> {
        let max = self.0.settings.output_max_lines;
        if request.lines.len() > max {
            return Err(Problem::new(codes::LIMIT_EXCEEDED)
                .detail(format!("{} lines at once; {max} are allowed.", request.lines.len()))
                .with("limit", "lines per request")
                .with("limit_value", max)
                .into());
        }
        if request.first_line_number == 0 {
            return Err(Problem::new(codes::INVALID_ARGUMENT)
                .detail("first_line_number: lines are counted from 1.")
                .with("field", "first_line_number")
                .into());
        }
        let partition = self.0.log.partition_for(request.project_id);
        let tenure = self.serving(partition).await?;
        let _appending = self.0.output.runs.lock(&run_id).await;
        self.look_for_a_newer_owner(partition, tenure).await?;
        let finished = self.finished_task(who, &request).await?;
        self.within(partition, tenure, self.check_output(who, run_id, &request, finished.as_deref()))?;
        let first = request.first_line_number;
        let given = request.lines.len() as u64;
        // What was taken in another tenure may have been continued by another instance since.
        let known = self.0.output.next.lock().get(&run_id).copied();
        let next = known.filter(|known| known.tenure == tenure).map_or(first, |known| known.next);
        if first > next {
            return Err(Problem::new(OUTPUT_GAP)
                .detail(format!("Line {next} is expected next, and line {first} came."))
                .with("expected_line_number", next)
                .into());
        }
        let known = usize::try_from(next - first).unwrap_or(usize::MAX);
        let lines: Vec<AgentOutput> = (next..)
            .zip(request.lines.into_iter().skip(known))
            .map(|(line_number, line)| AgentOutput {
                project_id: request.project_id,
                task_id: request.task_id,
                run_id,
                line_number,
                timestamp: line.timestamp,
                stream: line.stream,
                content: line.content,
            })
            .collect();
        let next_line_number = next.max(first.saturating_add(given));
        if !lines.is_empty() {
            self.0.log.append_output(lines).await.map_err(|error| {
                tracing::warn!(%run_id, %error, "output could not be appended");
                Problem::new(codes::UNAVAILABLE)
                    .detail("The log did not take the lines; send them again.")
                    .retry_after_s(1)
            })?;
        }
        self.remember_line(run_id, Line { tenure, next: next_line_number });
        Ok(OutputResponse { next_line_number })
    }

    /// Lines are no events, so no fence of the log's holds them up: who was frozen and came back may remember leases that
    /// are others' by now. The writer looks, with all commands and looks that wait with this one.
    async fn look_for_a_newer_owner(&self, partition: u32, tenure: u64) -> Result<(), Error> {
        let handle = &self.0.partitions[partition as usize];
        let looked = handle.look().await;
        if !handle.is_tenure(tenure) || !handle.is_serving() {
            return Err(Elsewhere { partition, in_doubt: false }.into());
        }
        Ok(looked.map_err(of_refusal)?)
    }

    /// The task, if it is one that has left memory and that the caller may know of.
    async fn finished_task(&self, who: &Who, request: &OutputRequest) -> Result<Option<Arc<Task>>, Problem> {
        let OutputRequest { project_id, task_id, .. } = *request;
        if !who.actor.admin && !self.is_member(who, project_id) {
            return Ok(None);
        }
        let Some(absent) = self.partition_of(project_id).committed().absent(project_id, task_id) else {
            return Ok(None);
        };
        let partition = self.0.log.partition_for(project_id);
        self.0.archive.fetch(partition, absent).await.map(Some).map_err(|error| {
            tracing::warn!(%task_id, %error, "a finished task cannot be read from the log");
            Problem::new(codes::UNAVAILABLE).detail("The log does not give back the task; try again.").retry_after_s(1)
        })
    }

    fn check_output(
        &self,
        who: &Who,
        run_id: RunId,
        request: &OutputRequest,
        finished: Option<&Task>,
    ) -> Result<(), Problem> {
        let OutputRequest { project_id, task_id, fencing_token, .. } = *request;
        if !who.actor.admin && !self.is_member(who, project_id) {
            return Err(not_a_member());
        }
        let ledger = self.partition_of(project_id).committed();
        let state =
            ledger.project(project_id).ok_or_else(|| of_refusal(Refusal::Rejected(Rejection::ProjectNotFound)))?;
        let task = state.task(task_id).or(finished).ok_or_else(|| task_not_found(task_id))?;
        let run = task.run(run_id).ok_or_else(|| of_refusal(Refusal::Rejected(Rejection::RunNotFound { run_id })))?;
        if state.holds_lease(task_id, run_id, fencing_token) {
            return Ok(());
        }
        let current = run.lease.as_ref().map(|lease| lease.fencing_token);
        Err(of_refusal(Refusal::Rejected(Rejection::StaleFencingToken { given: fencing_token, current })))
    }

    fn remember_line(&self, run_id: RunId, taken: Line) {
        let mut next = self.0.output.next.lock();
        next.insert(run_id, taken);
        if next.len() > RUNS_MAX {
            let live: std::collections::HashSet<RunId> = self
                .0
                .partitions
                .iter()
                .flat_map(|handle| {
                    let ledger = handle.committed();
                    ledger.projects().values().flat_map(|state| state.leases.keys().copied()).collect::<Vec<_>>()
                })
                .collect();
            next.retain(|run_id, _| live.contains(run_id));
        }
    }
}
