//! I12: no process, mount or worktree outlives its session.

use super::Finding;

/// Whoever ran the campaign looked for what it left, and says what it found.
pub(super) fn check(leftovers: Option<&[String]>) -> Finding {
    let mut finding = Finding::new("I12", "nothing-left");
    if let Some(leftovers) = leftovers {
        finding.examined();
        for leftover in leftovers {
            finding.violated(leftover.as_str());
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_shows_and_not_looking_shows_nothing() {
        assert_eq!(check(Some(&[])).violations, 0);
        assert_eq!(check(Some(&["process 7".to_owned()])).evidence, ["process 7"]);
        assert_eq!(check(None).examined, 0);
    }
}
