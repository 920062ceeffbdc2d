//! Events: what happens to a project and its members.

use serde::{Deserialize, Serialize};

use crate::model::{MemberRole, ProjectSettings};

/// `project.created`: A repository was put under Muster's care.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectCreated {
    /// Name, unique among its owner's eyes.
    pub name: String,
    /// Path of the git repository on the runner's machine.
    pub repository_path: String,
    /// Branch that finished work is merged into.
    pub default_branch: String,
    /// User who owns it.
    pub owner: String,
    /// How it works.
    pub settings: ProjectSettings,
}

/// `project.settings_changed`: A project's settings were replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectSettingsChanged {
    /// All settings, as they are now.
    pub settings: ProjectSettings,
}

/// `project.member_added`: A user joined a project or changed role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMemberAdded {
    /// User.
    pub user: String,
    /// Role from now on.
    pub role: MemberRole,
}

/// `project.member_removed`: A user left a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMemberRemoved {
    /// User.
    pub user: String,
}
