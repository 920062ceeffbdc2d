//! The context as an agent reads it, ending with what its role must hand back.

use std::fmt::Write as _;

use muster_client::domain::model::Role;

use super::TaskContext;

/// The context as Markdown.
pub(super) fn render(context: &TaskContext) -> String {
    let mut page = Page::default();
    let TaskContext { role, iteration, title, .. } = context;
    page.text(&format!("# {title}\n\nYou are the {role}. This is iteration {iteration}."));
    page.section("What is wanted", &context.description);
    let criteria = context.acceptance_criteria.iter().map(|criterion| match &criterion.check {
        Some(check) => format!("{} (shown by the check `{check}`)", criterion.text),
        None => criterion.text.clone(),
    });
    page.list("Acceptance criteria", criteria);
    page.section("Plan", context.plan.as_deref().unwrap_or_default());
    if let Some((title, description)) = &context.subtask {
        page.section("Your part of it", &format!("**{title}**\n\n{description}"));
    }
    page.list("Answers to questions", context.answers.iter().map(|(q, a)| format!("{q}\n  {a}")));
    page.list("Added by people", context.prompts.iter().cloned());
    page.list("What earlier attempts taught", context.feedback.iter().cloned());
    page.list("Commands that must pass", context.checks.iter().map(|(name, line)| format!("{name}: `{line}`")));
    if let Some(report) = &context.verification {
        let word = |passed: bool| if passed { "passed" } else { "failed" };
        page.list("Verification", report.checks.iter().map(|c| format!("{}: {}", c.name, word(c.passed))));
    }
    if let Some(diff) = &context.diff {
        page.section("What changed", &format!("````diff\n{diff}\n````"));
    }
    page.section("What to do", instructions(*role));
    page.text(
        "\nTo ask the people you work for, write `{\"question\": \"…\", \"options\": [\"…\"]}` to the file \
         `question.json` in the same folder and end; you are called again with the answer.",
    );
    page.0
}

/// What a role must do and hand back.
fn instructions(role: Role) -> &'static str {
    match role {
        Role::Planner => {
            "Change no files. Write the plan to the file `plan.json` in the folder that the variable MUSTER_OUT_DIR \
             names:\n\n\
             `{\"plan\": \"<Markdown>\", \"chunks\": [{\"title\": \"…\", \"description\": \"…\", \"depends_on\": [0]}], \
             \"estimated_cost_usd\": 1.5}`\n\n\
             Chunks are worked on one by one, each on a branch of its own; `depends_on` names earlier chunks by their \
             index from 0. Without that file your last message is the plan, with one chunk."
        }
        Role::Reviewer => {
            "Change no files. The work is merged in this folder. Judge whether it does what is wanted, and write your \
             verdict to the file `review.json` in the folder that the variable MUSTER_OUT_DIR names:\n\n\
             `{\"verdict\": \"accept\"}` or `{\"verdict\": \"changes\", \"feedback\": \"<what must change>\"}`"
        }
        _ => {
            "Change the files in this folder so that the commands above pass. Do not commit: that is done for you. To \
             tell what you did and what it cost, write the file `result.json` in the folder that the variable \
             MUSTER_OUT_DIR names:\n\n\
             `{\"summary\": \"…\", \"tokens\": {\"input\": 1, \"output\": 1, \"total\": 2}, \"cost_usd\": 0.01, \
             \"model\": \"…\"}`"
        }
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn text(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn section(&mut self, title: &str, text: &str) {
        if !text.trim().is_empty() {
            self.text(&format!("\n## {title}\n\n{text}"));
        }
    }

    fn list(&mut self, title: &str, entries: impl Iterator<Item = String>) {
        let mut text = String::new();
        for entry in entries {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- {}", entry.replace('\n', "\n  "));
        }
        self.section(title, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parts_are_left_out() {
        let context = TaskContext {
            role: Role::Coder,
            iteration: 2,
            title: "Add login".to_owned(),
            description: "With a form.".to_owned(),
            acceptance_criteria: Vec::new(),
            subtask: Some(("Form".to_owned(), "Two fields".to_owned())),
            plan: None,
            feedback: vec!["test failed\nat line 3".to_owned()],
            prompts: Vec::new(),
            answers: Vec::new(),
            checks: vec![("unit".to_owned(), "cargo test".to_owned())],
            verification: None,
            diff: None,
        };
        let text = render(&context);
        assert!(text.starts_with("# Add login\n\nYou are the coder. This is iteration 2.\n\n## What is wanted"));
        assert!(text.contains("- test failed\n  at line 3\n"));
        assert!(!text.contains("## Plan") && !text.contains("## Added by people"));
    }
}
