//! What a decision may look at besides the state: the caller, the time, fresh ids, limits.

use uuid::Uuid;

use crate::model::{MemberRole, Source};
use crate::rejection::Rejection;
use crate::state::{Project, ProjectState};
use crate::time::Timestamp;

/// Where fresh ids come from.
pub trait IdSource {
    /// The next id.
    fn next_id(&mut self) -> Uuid;
}

/// Ids counted up from a seed: the same seed gives the same ids. For tests and replays.
#[derive(Debug, Clone)]
pub struct SeededIds {
    seed: u64,
    count: u64,
}

impl SeededIds {
    /// Ids of that seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }
}

impl IdSource for SeededIds {
    fn next_id(&mut self) -> Uuid {
        self.count += 1;
        uuid::Builder::from_u128((u128::from(self.seed) << 64) | u128::from(self.count)).into_uuid()
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// User or service name.
    pub user: String,
    /// Whether membership is not asked of them: the services' own accounts.
    pub admin: bool,
}

/// Longest and largest things a command may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a title or name.
    pub title_max_bytes: u64,
    /// Bytes of a description, reason, prompt or answer.
    pub text_max_bytes: u64,
    /// Elements of a list: criteria, dependencies, chunks, reports.
    pub list_max_len: u64,
    /// Longest lease in milliseconds.
    pub lease_max_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { title_max_bytes: 500, text_max_bytes: 65_536, list_max_len: 1000, lease_max_ms: 600_000 }
    }
}

impl Limits {
    pub(crate) fn title(&self, field: &str, text: &str) -> Result<(), Rejection> {
        if text.trim().is_empty() {
            return Err(Rejection::invalid(field, "must not be empty"));
        }
        check_len(field, text.len(), self.title_max_bytes)
    }

    pub(crate) fn text(&self, field: &str, text: &str) -> Result<(), Rejection> {
        check_len(field, text.len(), self.text_max_bytes)
    }

    pub(crate) fn list(&self, field: &str, len: usize) -> Result<(), Rejection> {
        if len as u64 > self.list_max_len {
            return Err(Rejection::invalid(field, format!("{len} elements, {} are allowed", self.list_max_len)));
        }
        Ok(())
    }
}

fn check_len(field: &str, len: usize, limit: u64) -> Result<(), Rejection> {
    let actual = len as u64;
    if actual > limit {
        return Err(Rejection::TooLong { field: field.to_owned(), limit, actual });
    }
    Ok(())
}

/// What a decision may look at besides the state.
pub struct Context<'a> {
    /// The time.
    pub now: Timestamp,
    /// Who asks.
    pub actor: Actor,
    /// Through which surface.
    pub source: Source,
    /// Limits in force.
    pub limits: Limits,
    /// Fresh ids.
    pub ids: &'a mut dyn IdSource,
}

impl Context<'_> {
    /// The project, if the caller has at least `needed` in it.
    pub(crate) fn project<'s>(&self, state: &'s ProjectState, needed: MemberRole) -> Result<&'s Project, Rejection> {
        let project = state.project.as_ref().ok_or(Rejection::ProjectNotFound)?;
        if self.actor.admin {
            return Ok(project);
        }
        match project.members.get(&self.actor.user) {
            Some(role) if rank(*role) >= rank(needed) => Ok(project),
            _ => Err(Rejection::Forbidden { needed }),
        }
    }
}

const fn rank(role: MemberRole) -> u8 {
    match role {
        MemberRole::Viewer => 0,
        MemberRole::Operator => 1,
        MemberRole::Owner => 2,
    }
}
