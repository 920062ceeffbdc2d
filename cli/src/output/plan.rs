//! A plan as a person reads it before deciding. It must never leave out a part of what is approved.

use std::fmt::Write as _;

use muster_client::domain::state::Plan;

use super::style::{Colour, Style, safe, safe_lines};

/// The whole plan: its text, each chunk with what it depends on, the estimate, the digest an approval names.
pub fn plan_text(plan: &Plan, style: Style) -> String {
    let mut text = format!("{}\n", safe_lines(plan.plan.trim()));
    for (index, chunk) in plan.chunks.iter().enumerate() {
        let number = |id| plan.chunks.iter().position(|other| other.subtask_id == id).map_or(0, |found| found + 1);
        let after: Vec<_> = chunk.depends_on.iter().map(|id| number(*id).to_string()).collect();
        let after = if after.is_empty() { String::new() } else { format!(" (after {})", after.join(", ")) };
        let heading = format!("{}. {}{after}", index + 1, safe(&chunk.title));
        let _ = writeln!(text, "\n{}", style.paint(Colour::Bold, heading));
        for line in safe_lines(chunk.description.trim()).lines() {
            let _ = writeln!(text, "   {line}");
        }
    }
    if let Some(cost_usd) = plan.estimated_cost_usd {
        let _ = writeln!(text, "\nEstimated cost: ${cost_usd:.2}");
    }
    let _ = write!(text, "\n{}", style.paint(Colour::Grey, format!("digest {}", safe(&plan.digest))));
    text
}

#[cfg(test)]
mod tests {
    use muster_client::domain::id::{RunId, SubtaskId};
    use muster_client::domain::model::PlanChunk;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn shows_all_that_is_approved() {
        let id = |number| SubtaskId(Uuid::from_u128(number));
        let chunk = |number, title: &str, depends_on| PlanChunk {
            subtask_id: id(number),
            title: title.to_owned(),
            description: "First line.\nSecond line.".to_owned(),
            depends_on,
        };
        let plan = Plan {
            run_id: RunId(Uuid::nil()),
            plan: "# Greet by name\x1b[2J\n\nTake the name as an argument.\n".to_owned(),
            chunks: vec![chunk(1, "Take a name", vec![]), chunk(2, "Shout", vec![id(1)])],
            estimated_cost_usd: Some(0.5),
            digest: "abc".to_owned(),
            verdict: None,
        };
        insta::assert_snapshot!(plan_text(&plan, Style::new(false)), @r"
        # Greet by name�[2J

        Take the name as an argument.

        1. Take a name
           First line.
           Second line.

        2. Shout (after 1)
           First line.
           Second line.

        Estimated cost: $0.50

        digest abc
        ");
    }
}
