//! The code map must be complete.

use super::{Finding, members};
use crate::tree::Files;

const MAP: &str = "ARCHITECTURE.md";

/// Finds members of the workspace that the code map does not mention as `folder`, in code quotes.
pub fn names_every_member(files: &Files) -> Vec<Finding> {
    let Some(map) = files.get(MAP) else {
        return vec![Finding::file(MAP, "is missing: it holds the code map")];
    };
    members(files)
        .into_iter()
        .filter(|folder| !["`{}`", "`{}/`"].iter().any(|form| map.contains(&form.replace("{}", folder))))
        .map(|folder| Finding::file(MAP, format!("does not mention `{folder}`")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::files;

    #[test]
    fn a_member_that_is_not_mentioned_is_found() {
        let root = "[workspace]\nmembers = [\"cli\", \"client\", \"runner\"]";
        let found = names_every_member(&files(&[("Cargo.toml", root), (MAP, "`client/` and `runner`, and cli")]));
        assert_eq!(found, [Finding::file(MAP, "does not mention `cli`")]);
    }

    #[test]
    fn a_missing_map_is_found() {
        assert_eq!(names_every_member(&files(&[("Cargo.toml", "")])).len(), 1);
    }
}
