//! `create_project`: puts a repository under Muster's care.

use serde::{Deserialize, Serialize};

use super::Decide;
use crate::decide::{Context, Draft};
use crate::event::ProjectCreated;
use crate::model::{ProjectSettings, Role};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Puts a repository under Muster's care. The caller becomes its owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    /// Its name.
    pub name: String,
    /// Absolute path of its git repository on the runner's machine.
    pub repository_path: String,
    /// Branch that finished work is merged into.
    #[serde(default = "main_branch")]
    pub default_branch: String,
    /// How it works; defaults where left out.
    #[serde(default)]
    pub settings: ProjectSettings,
}

fn main_branch() -> String {
    "main".to_owned()
}

impl Decide for CreateProject {
    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.limits.title("name", &self.name)?;
        ctx.limits.text("repository_path", &self.repository_path)?;
        if !self.repository_path.starts_with('/') {
            return Err(Rejection::invalid("repository_path", "must be an absolute path"));
        }
        ctx.limits.title("default_branch", &self.default_branch)?;
        check_settings(&self.settings, ctx)?;
        // Last, so that a command that creates nothing in any case does not tell whether the id is taken.
        if state.project.is_some() {
            return Err(Rejection::ProjectExists);
        }
        Ok(vec![Draft {
            task_id: None,
            data: ProjectCreated {
                name: self.name.trim().to_owned(),
                repository_path: self.repository_path.clone(),
                default_branch: self.default_branch.clone(),
                owner: ctx.actor.user.clone(),
                settings: self.settings.clone(),
            }
            .into(),
        }])
    }
}

/// Refuses settings that cannot work.
pub(super) fn check_settings(settings: &ProjectSettings, ctx: &Context<'_>) -> Result<(), Rejection> {
    for (name, value) in [
        ("settings.max_iterations", settings.max_iterations),
        ("settings.max_attempts", settings.max_attempts),
        ("settings.max_concurrent_runs", settings.max_concurrent_runs),
    ] {
        if value == 0 || value > 1000 {
            return Err(Rejection::invalid(name, "must be from 1 to 1000"));
        }
    }
    ctx.limits.list("settings.verification", settings.verification.len())?;
    let mut names = std::collections::BTreeSet::new();
    for check in &settings.verification {
        ctx.limits.title("settings.verification.name", &check.name)?;
        if check.command.first().is_none_or(String::is_empty) {
            return Err(Rejection::invalid("settings.verification.command", "must name a program"));
        }
        if !names.insert(&check.name) {
            return Err(Rejection::invalid("settings.verification.name", format!("{:?} stands twice", check.name)));
        }
    }
    for (role, agent) in &settings.agents {
        role.parse::<Role>().map_err(|error| Rejection::invalid("settings.agents", error.to_string()))?;
        let needs_command = agent.kind != crate::model::AgentKind::Rehearsal;
        if needs_command && agent.command.first().is_none_or(String::is_empty) {
            return Err(Rejection::invalid("settings.agents.command", format!("the {role} needs a program")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given, project_settings};

    fn command() -> CreateProject {
        CreateProject {
            name: " Demo ".to_owned(),
            repository_path: "/repo".to_owned(),
            default_branch: main_branch(),
            settings: project_settings(),
        }
    }

    #[test]
    fn the_caller_becomes_owner() {
        let state = given().when_by("ada", command()).then_events(&["project.created"]).state;
        let project = state.project.unwrap();
        assert_eq!(project.name, "Demo");
        assert_eq!(project.members.get("ada"), Some(&crate::model::MemberRole::Owner));
    }

    #[test]
    fn a_second_one_is_refused() {
        given().when(command()).ok().when(command()).then_rejected("project_exists");
    }

    #[test]
    fn a_relative_path_is_refused() {
        given()
            .when(CreateProject { repository_path: "repo".to_owned(), ..command() })
            .then_rejected("invalid_argument");
    }

    #[test]
    fn two_checks_of_one_name_are_refused() {
        let mut settings = project_settings();
        settings.verification.push(settings.verification[0].clone());
        given().when(CreateProject { settings, ..command() }).then_rejected("invalid_argument");
    }
}
