//! Mistakes on purpose that need more than a condition. Only built with the feature `mutants`, to show that fault campaigns
//! notice them. Nothing else may use it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_domain::command::{Command, WorkOrder};
use muster_domain::decide::Request;
use muster_domain::event::Event;
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::state::ProjectState;
use muster_domain::time::Timestamp;
use muster_event_log::{Appended, Error, LogOffset, PartitionWriter};
use muster_service_kit::mutant;
use parking_lot::Mutex;

use crate::partition::Image;

/// Long enough that a process is killed meanwhile now and then.
const COMMIT_LATE: Duration = Duration::from_millis(150);

/// The request as a careless writer would take it.
pub(crate) fn request<'s>(mut request: Request, state: impl Fn(ProjectId) -> Option<&'s ProjectState>) -> Request {
    if mutant::is("ignore_expected_sequence") {
        request.expected_sequence = None;
    }
    if mutant::is("accept_stale_token") {
        let state = state(request.project_id);
        match &mut request.command {
            Command::ReportRun(report) => {
                under_any_lease(state, report.task_id, &mut report.run_id, &mut report.fencing_token);
            }
            Command::RenewLease(renew) => {
                under_any_lease(state, renew.task_id, &mut renew.run_id, &mut renew.fencing_token);
            }
            _ => {}
        }
    }
    request
}

/// Whoever reports, it counts for whoever holds the lease.
fn under_any_lease(state: Option<&ProjectState>, task_id: TaskId, run_id: &mut RunId, token: &mut u64) {
    let Some(task) = state.and_then(|state| state.tasks.get(&task_id)) else { return };
    let live = task.live_runs().find_map(|run| Some((run.id, run.lease.as_ref()?.fencing_token)));
    if let Some((live_run, live_token)) = live {
        (*run_id, *token) = (live_run, live_token);
    }
}

/// Whether this append is one of those that fail, so that what follows a failure is not left to chance.
fn fails_now() -> bool {
    static APPENDS: AtomicU64 = AtomicU64::new(1);
    let number = APPENDS.fetch_add(1, Ordering::Relaxed);
    // Late enough that there is something to lose, and seldom enough that something is left to lose.
    number > 80 && number.is_multiple_of(32)
}

fn in_doubt(writer: &dyn PartitionWriter) -> Error {
    Error::Indeterminate { partition: writer.partition(), reason: "a failure on purpose".to_owned() }
}

/// An append that is torn in two, comes late, fails, or is said to have failed.
pub(crate) async fn append(
    writer: &mut dyn PartitionWriter,
    end: LogOffset,
    events: &[Arc<Event>],
) -> Result<Appended, Error> {
    if mutant::is("acknowledge_before_commit") {
        tokio::time::sleep(COMMIT_LATE).await;
    }
    if mutant::is("skip_rollback") && fails_now() {
        return Err(in_doubt(writer));
    }
    if (mutant::is("answer_lost_as_refused") || mutant::is("hide_doubt")) && fails_now() {
        writer.append(end, events).await?;
        return Err(in_doubt(writer));
    }
    if !mutant::is("split_command") || events.len() < 2 {
        return writer.append(end, events).await;
    }
    let (first, rest) = events.split_at(events.len() / 2);
    let first = writer.append(end, first).await?;
    let rest = writer.append(first.end, rest).await?;
    Ok(Appended { end: rest.end, offsets: [first.offsets, rest.offsets].concat() })
}

/// The end of a lease as a careless service tells it: a second later than its renewal gives.
pub(crate) fn told_end(end: Timestamp) -> Timestamp {
    if mutant::is("tell_longer_lease") { Timestamp::from_micros(end.as_micros() + 1_000_000) } else { end }
}

/// Now and then the work that was given last, instead of the claimant's own or of none.
pub(crate) fn given_before(order: Option<WorkOrder>) -> Option<WorkOrder> {
    static LAST: Mutex<Option<WorkOrder>> = Mutex::new(None);
    static CLAIMS: AtomicU64 = AtomicU64::new(1);
    if !mutant::is("double_claim") {
        return order;
    }
    let mut last = LAST.lock();
    let given = if CLAIMS.fetch_add(1, Ordering::Relaxed).is_multiple_of(4) { last.clone() } else { None };
    if order.is_some() {
        last.clone_from(&order);
    }
    given.or(order)
}

/// Events after which a careless writer takes a snapshot: often, so that a takeover begins with one.
pub(crate) fn snapshot_every(events: usize) -> usize {
    if mutant::is("stale_snapshot") { 25 } else { events }
}

/// A snapshot that says another end than that of its content: tasks and commands are those of the one before.
pub(crate) fn snapshot(mut image: Image) -> Image {
    static BEFORE: Mutex<Option<HashMap<u32, Image>>> = Mutex::new(None);
    if !mutant::is("stale_snapshot") {
        return image;
    }
    let before = BEFORE.lock().get_or_insert_default().insert(image.partition, image.clone());
    if let Some(before) = before {
        image.recent = before.recent;
        for (id, state) in &mut image.projects {
            if let Some(stale) = before.projects.get(id) {
                *state = ProjectState { position: state.position, ..stale.clone() };
            }
        }
    }
    image
}

/// Starts a process that nobody ends.
pub fn leave_a_process() {
    if mutant::is("orphan") {
        let sleep = std::process::Command::new("setsid").args(["sleep", "120"]).spawn();
        if let Err(error) = sleep {
            tracing::error!(%error, "no process can be left behind");
        }
    }
}
