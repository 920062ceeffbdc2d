//! `add_artifact`: attaches a file, pull request, document or link to a card.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use crate::decide::{Context, Draft};
use crate::event::ArtifactAdded;
use crate::id::{ArtifactId, TaskId};
use crate::model::{Artifact, ArtifactKind, MemberRole};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Attaches an artifact to a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddArtifact {
    /// The card.
    pub task_id: TaskId,
    /// What it is.
    pub kind: ArtifactKind,
    /// Path or URL.
    pub path: String,
    /// What it shows.
    #[serde(default)]
    pub description: String,
}

impl Decide for AddArtifact {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        ctx.limits.list("artifacts", task.artifacts.len() + 1)?;
        ctx.limits.text("path", &self.path)?;
        ctx.limits.text("description", &self.description)?;
        if self.path.trim().is_empty() {
            return Err(Rejection::invalid("path", "must not be empty"));
        }
        let artifact = Artifact {
            artifact_id: ArtifactId(ctx.ids.next_id()),
            kind: self.kind,
            path: self.path.clone(),
            description: self.description.clone(),
            size_bytes: None,
            sha256: None,
        };
        Ok(vec![Draft { task_id: Some(self.task_id), data: ArtifactAdded { run_id: None, artifact }.into() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given_project, task, task_id};

    #[test]
    fn it_is_attached() {
        let link = AddArtifact {
            task_id: task_id(1),
            kind: ArtifactKind::Link,
            path: "https://example.org/design".to_owned(),
            description: "Design".to_owned(),
        };
        let state = given_project().when(task(1)).ok().when(link).then_events(&["artifact.added"]).state;
        assert_eq!(state.tasks[&task_id(1)].artifacts.len(), 1);
    }
}
