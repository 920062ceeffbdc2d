//! `add_member`: adds a member or changes a member's role.

use serde::{Deserialize, Serialize};

use super::Decide;
use crate::decide::{Context, Draft};
use crate::event::ProjectMemberAdded;
use crate::model::MemberRole;
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Adds a member or changes a member's role. For owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    /// User.
    pub user: String,
    /// Role from now on.
    pub role: MemberRole,
}

impl Decide for AddMember {
    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        let project = ctx.project(state, MemberRole::Owner)?;
        ctx.limits.title("user", &self.user)?;
        if project.members.get(&self.user) == Some(&self.role) {
            return Ok(Vec::new());
        }
        super::remove_member::keep_an_owner(project, &self.user, Some(self.role))?;
        Ok(vec![Draft { task_id: None, data: ProjectMemberAdded { user: self.user.clone(), role: self.role }.into() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{OWNER, given_project};

    #[test]
    fn a_viewer_may_look_and_not_act() {
        given_project()
            .when(AddMember { user: "vera".to_owned(), role: MemberRole::Viewer })
            .then_events(&["project.member_added"])
            .when_by("vera", AddMember { user: "eve".to_owned(), role: MemberRole::Owner })
            .then_rejected("forbidden");
    }

    #[test]
    fn the_last_owner_stays_owner() {
        given_project()
            .when(AddMember { user: OWNER.to_owned(), role: MemberRole::Viewer })
            .then_rejected("invalid_argument");
    }
}
