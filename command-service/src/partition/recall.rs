//! Small questions about commands and events that the writer asks. They must never change anything.

use muster_domain::event::{Event, EventData};
use muster_event_log::DEFAULT_MAX_VALUE_BYTES;
use muster_service_kit::mutant;

use super::handle::{Accepted, Refusal};
use super::ledger::Ledger;
use super::memory::CommandKey;

/// Room for a record's envelope beside its value, in bytes.
const ENVELOPE_BYTES: usize = 1024;

/// What is committed about a command; none when nothing is.
pub(super) fn recall(ledger: &Ledger, key: &CommandKey, digest: &str) -> Option<Result<Accepted, Refusal>> {
    let known = ledger.remembered(key)?;
    if !known.is_of(digest) {
        return Some(Err(Refusal::KeyReused(key.command_id)));
    }
    let mut outcome = known.outcome;
    if mutant::is("repeat_answer_differs") {
        outcome.position += 1;
    }
    let order = outcome
        .claim
        .as_ref()
        .zip(outcome.task_id)
        .and_then(|(claim, task_id)| ledger.order(outcome.project_id, task_id, claim.run_id).map(Box::new));
    Some(Ok(Accepted { outcome, order, repeated: true }))
}

/// Refuses events the log would refuse, before they stand in one append with other commands' events.
pub(super) fn check_writable(events: &[Event]) -> Result<(), Refusal> {
    for event in events {
        let datum = muster_schemas::encode(event).map_err(|error| Refusal::Failed(error.to_string()))?;
        let size_bytes = datum.len() + ENVELOPE_BYTES;
        if size_bytes > DEFAULT_MAX_VALUE_BYTES {
            return Err(Refusal::TooLarge { size_bytes, limit_bytes: DEFAULT_MAX_VALUE_BYTES });
        }
    }
    Ok(())
}

/// Whether there may be more to claim after this event. Too often is harmless, never is not.
pub(super) fn may_free_work(event: &Event) -> bool {
    !matches!(
        event.data,
        EventData::LeaseRenewed(_)
            | EventData::WorkProgress(_)
            | EventData::AgentSpawned(_)
            | EventData::AgentStarted(_)
            | EventData::AgentInvoked(_)
            | EventData::IterationStarted(_)
            | EventData::FileModified(_)
            | EventData::TestPassed(_)
            | EventData::TestFailed(_)
            | EventData::SnapshotCreated(_)
            | EventData::WorkspaceAcquired(_)
            | EventData::WorkspaceReleased(_)
            | EventData::VerificationStarted(_)
            | EventData::ArtifactAdded(_)
    )
}
