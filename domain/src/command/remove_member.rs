//! `remove_member`: removes a member.

use serde::{Deserialize, Serialize};

use super::Decide;
use crate::decide::{Context, Draft};
use crate::event::ProjectMemberRemoved;
use crate::model::MemberRole;
use crate::rejection::Rejection;
use crate::state::{Project, ProjectState};

/// Removes a member. For owners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveMember {
    /// User.
    pub user: String,
}

impl Decide for RemoveMember {
    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        let project = ctx.project(state, MemberRole::Owner)?;
        if !project.members.contains_key(&self.user) {
            return Ok(Vec::new());
        }
        keep_an_owner(project, &self.user, None)?;
        Ok(vec![Draft { task_id: None, data: ProjectMemberRemoved { user: self.user.clone() }.into() }])
    }
}

/// Refuses a change after which nobody owns the project.
pub(super) fn keep_an_owner(project: &Project, user: &str, new_role: Option<MemberRole>) -> Result<(), Rejection> {
    let others = project.members.iter().any(|(name, role)| name != user && *role == MemberRole::Owner);
    if others || new_role == Some(MemberRole::Owner) || project.members.get(user) != Some(&MemberRole::Owner) {
        return Ok(());
    }
    Err(Rejection::invalid("user", "a project keeps at least one owner"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::AddMember;
    use crate::testing::{OWNER, given_project};

    #[test]
    fn a_removed_member_may_do_nothing() {
        given_project()
            .when(AddMember { user: "bob".to_owned(), role: MemberRole::Owner })
            .ok()
            .when_by("bob", RemoveMember { user: OWNER.to_owned() })
            .then_events(&["project.member_removed"])
            .when(RemoveMember { user: "bob".to_owned() })
            .then_rejected("forbidden");
    }

    #[test]
    fn the_last_owner_stays() {
        given_project().when(RemoveMember { user: OWNER.to_owned() }).then_rejected("invalid_argument");
    }
}
