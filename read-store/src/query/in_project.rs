//! Ids with their projects. Whoever makes something may choose its id, so an id alone may stand in two projects; rows are
//! asked for by both.

use muster_domain::id::ProjectId;
use uuid::Uuid;

/// The id of a task, a run or something else that belongs to a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InProject {
    /// The project.
    pub project_id: Uuid,
    /// The id.
    pub id: Uuid,
}

impl InProject {
    /// `id` in a project.
    pub const fn of(project_id: ProjectId, id: Uuid) -> Self {
        Self { project_id: project_id.0, id }
    }
}

/// The projects and the ids, as two arrays of one length.
pub(super) fn columns(ids: &[InProject]) -> (Vec<Uuid>, Vec<Uuid>) {
    ids.iter().map(|id| (id.project_id, id.id)).unzip()
}
