//! Following with permission: a place in a stream that ends when its reader may no longer see the project.

use std::sync::Arc;

use muster_domain::id::ProjectId;
use muster_read_store::query::{Event, Line};
use muster_service_kit::Caller;

use crate::access::Access;
use crate::fault::{Fault, Result};
use crate::live::{EventCursor, OutputCursor};

/// A caller's place in a project's events. Who may enter was asked before.
#[derive(Debug)]
pub struct Follow {
    cursor: EventCursor,
    project_id: ProjectId,
    access: Access,
    caller: Caller,
}

impl Follow {
    /// Follows with `cursor`.
    pub const fn new(cursor: EventCursor, project_id: ProjectId, access: Access, caller: Caller) -> Self {
        Self { cursor, project_id, access, caller }
    }

    /// Position of the last event that was given out.
    pub fn after(&self) -> u64 {
        self.cursor.after()
    }

    /// The next events, at least one. `forbidden` once the caller was removed from the project.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>> {
        let events = self.cursor.next().await?;
        // That members go is an event too, so nobody else has to be asked.
        let goes = |event: &Arc<Event>| {
            event.event_type == "project.member_removed" && event.data["user"] == self.caller.user()
        };
        if events.iter().any(goes) && !self.access.may_see(&self.caller, self.project_id).await? {
            return Err(Fault::forbidden());
        }
        Ok(events)
    }
}

/// A caller's place in a run's output. Who may enter was asked before.
#[derive(Debug)]
pub struct FollowOutput {
    cursor: OutputCursor,
    project_id: ProjectId,
    access: Access,
    caller: Caller,
}

impl FollowOutput {
    /// Follows with `cursor`.
    pub const fn new(cursor: OutputCursor, project_id: ProjectId, access: Access, caller: Caller) -> Self {
        Self { cursor, project_id, access, caller }
    }

    /// The next lines, at least one. `forbidden` once the caller was removed from the project.
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        let lines = self.cursor.next().await?;
        if self.access.may_see(&self.caller, self.project_id).await? { Ok(lines) } else { Err(Fault::forbidden()) }
    }
}
