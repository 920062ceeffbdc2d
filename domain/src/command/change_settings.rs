//! `change_settings`: replaces a project's settings.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::create_project::check_settings;
use crate::decide::{Context, Draft};
use crate::event::ProjectSettingsChanged;
use crate::model::{MemberRole, ProjectSettings};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Replaces a project's settings, all of them. For owners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeSettings {
    /// All settings, as they should be.
    pub settings: ProjectSettings,
}

impl Decide for ChangeSettings {
    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        let project = ctx.project(state, MemberRole::Owner)?;
        check_settings(&self.settings, ctx)?;
        if project.settings == self.settings {
            return Ok(Vec::new());
        }
        Ok(vec![Draft { task_id: None, data: ProjectSettingsChanged { settings: self.settings.clone() }.into() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given_project, project_settings};

    #[test]
    fn the_same_settings_change_nothing_and_others_do() {
        let mut other = project_settings();
        given_project().when(ChangeSettings { settings: other.clone() }).then_events(&[]);
        other.max_iterations = 9;
        let state =
            given_project().when(ChangeSettings { settings: other }).then_events(&["project.settings_changed"]).state;
        assert_eq!(state.project.unwrap().settings.max_iterations, 9);
    }

    #[test]
    fn a_stranger_is_refused() {
        given_project().when_by("eve", ChangeSettings { settings: project_settings() }).then_rejected("forbidden");
    }
}
