//! What the rehearsal agent does: `.muster/rehearsal.json`.
//!
//! ```json
//! {
//!   "planner":  [{"match": "login", "steps": [{"do": "plan", "plan": "First the form.", "chunks": [{"title": "Form"}]}]}],
//!   "coder":    [{"match": "form", "iterations": [1], "steps": [{"do": "write", "path": "form.txt", "content": "?"}]},
//!                {"match": "form", "steps": [{"do": "replace", "path": "form.txt", "find": "?", "replace": "!"}]}],
//!   "reviewer": [{"steps": [{"do": "review", "verdict": "accept"}]}]
//! }
//! ```
//!
//! For each role the first scene is played whose `match` is part of the subtask's or the task's title (in any case; an
//! absent one matches all) and whose `iterations` (absent: all) hold the iteration. The steps are [`Step`].

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use muster_client::domain::command::PlannedChunk;
use muster_client::domain::model::Role;
use serde::{Deserialize, Serialize};

use crate::context::TaskContext;

/// The script's place in a repository.
pub const SCRIPT_PATH: &str = ".muster/rehearsal.json";

/// Scenes by role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script(pub BTreeMap<Role, Vec<Scene>>);

/// What is done for some tasks at some iterations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Part of a title.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub title_part: Option<String>,
    /// Iterations it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub iterations: Vec<u32>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One thing the agent does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Says something.
    Say {
        /// What.
        text: String,
    },
    /// Writes a file, replacing it.
    Write {
        /// Path in the repository.
        path: String,
        /// Its content.
        content: String,
    },
    /// Adds to the end of a file, which may be absent.
    Append {
        /// Path in the repository.
        path: String,
        /// What is added.
        content: String,
    },
    /// Replaces each occurrence of a text in a file. Fails the turn when there is none.
    Replace {
        /// Path in the repository.
        path: String,
        /// What is replaced.
        find: String,
        /// By what.
        replace: String,
    },
    /// Removes a file.
    Delete {
        /// Path in the repository.
        path: String,
    },
    /// Writes a file into the artifact folder as it is; also one of those that are handed back, however wrong.
    Artifact {
        /// Its name.
        name: String,
        /// Its content.
        content: String,
    },
    /// Waits.
    Sleep {
        /// How long, in milliseconds.
        duration_ms: u64,
    },
    /// Waits until a file is there.
    WaitForFile {
        /// Its path, in the repository or anywhere.
        path: String,
    },
    /// Says what the turn used.
    Usage {
        /// Tokens read.
        #[serde(default)]
        input_tokens: u64,
        /// Tokens written.
        #[serde(default)]
        output_tokens: u64,
        /// US dollars.
        #[serde(default)]
        cost_usd: Option<f64>,
        /// Name of the model.
        #[serde(default)]
        model: Option<String>,
    },
    /// Hands a plan back.
    Plan {
        /// As Markdown.
        plan: String,
        /// Its chunks.
        chunks: Vec<PlannedChunk>,
        /// What it may cost, in US dollars.
        #[serde(default)]
        estimated_cost_usd: Option<f64>,
    },
    /// Hands a verdict back.
    Review {
        /// `accept` or `changes`.
        verdict: String,
        /// What must change.
        #[serde(default)]
        feedback: Option<String>,
    },
    /// Asks people something and ends the turn; once it is answered, the scene goes on after this step.
    Ask {
        /// What.
        question: String,
        /// Answers it offers.
        #[serde(default)]
        options: Vec<String>,
    },
    /// Asks for permission, as careful agents do.
    AskPermission {
        /// What for.
        title: String,
    },
    /// Puts out text on the error stream.
    Print {
        /// What.
        text: String,
    },
    /// Puts out bytes that are no text, on the error stream.
    PrintBinary {
        /// How many.
        size_bytes: usize,
    },
    /// Ends the process without an answer.
    Exit {
        /// Its exit code.
        code: i32,
    },
    /// Ends the process by a signal, without an answer.
    Crash,
    /// Waits for ever and says nothing.
    Hang,
    /// Leaves a process behind that outlives the turn.
    LeaveProcess,
    /// Ends the turn with another reason than `end_turn`.
    Stop {
        /// `refusal`, `max_tokens` or `max_turn_requests`.
        reason: String,
    },
}

impl Script {
    /// The script of a repository, if it has one. A broken one is an error: silence would look like success.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(folder.join(SCRIPT_PATH)) {
            Ok(content) => serde_json::from_slice(&content)
                .map(Some)
                .map_err(|error| io::Error::other(format!("{SCRIPT_PATH}: {error}"))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The steps for a context; `None` when no scene is for it.
    pub fn steps_for(&self, context: &TaskContext) -> Option<&[Step]> {
        let scenes = self.0.get(&context.role)?;
        scenes.iter().find(|scene| scene.is_for(context)).map(|scene| scene.steps.as_slice())
    }
}

impl Scene {
    fn is_for(&self, context: &TaskContext) -> bool {
        let iteration = self.iterations.is_empty() || self.iterations.contains(&context.iteration);
        let wanted = self.title_part.as_deref().unwrap_or_default().to_lowercase();
        let subtask = context.subtask.as_ref().map(|(title, _)| title);
        iteration && subtask.into_iter().chain([&context.title]).any(|title| title.to_lowercase().contains(&wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(subtask: Option<&str>, iteration: u32) -> TaskContext {
        TaskContext {
            role: Role::Coder,
            iteration,
            title: "Add a Login".to_owned(),
            description: String::new(),
            acceptance_criteria: Vec::new(),
            subtask: subtask.map(|title| (title.to_owned(), String::new())),
            plan: None,
            feedback: Vec::new(),
            prompts: Vec::new(),
            answers: Vec::new(),
            checks: Vec::new(),
            verification: None,
            diff: None,
        }
    }

    /// The example that people copy from.
    fn example() -> Script {
        let page = include_str!("../../README.md");
        let json = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_first_scene_that_fits_is_played() {
        let script = example();
        let step = |subtask, iteration| script.steps_for(&context(subtask, iteration)).map(|steps| steps[0].clone());
        assert!(matches!(step(Some("The FORM"), 1), Some(Step::Write { .. })));
        assert!(matches!(step(Some("The form"), 2), Some(Step::Replace { .. })));
        assert_eq!(step(Some("Else"), 1), None);
        assert_eq!(step(None, 1), None);
    }

    #[test]
    fn the_page_names_every_step() {
        let page = include_str!("../../README.md");
        let source = include_str!("script.rs");
        let steps = source.split("pub enum Step {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap();
        let variants = steps.lines().filter_map(|line| line.strip_prefix("    ")).filter_map(|line| {
            let name: String = line.chars().take_while(|c| c.is_alphanumeric()).collect();
            (line.starts_with(char::is_uppercase)).then_some(name)
        });
        let names: Vec<_> = variants.map(|name| snake_case(&name)).collect();
        assert!(names.len() > 15, "{names:?}");
        for name in names {
            assert!(page.contains(&format!("`{name}`")), "README.md does not tell of {name}");
        }
    }

    fn snake_case(name: &str) -> String {
        let mut text = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(c.to_ascii_lowercase());
        }
        text
    }

    #[test]
    fn a_broken_script_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Script::read(folder.path()).unwrap(), None);
        std::fs::create_dir(folder.path().join(".muster")).unwrap();
        std::fs::write(folder.path().join(SCRIPT_PATH), r#"{"coder": [{"steps": [{"do": "dance"}]}]}"#).unwrap();
        assert!(Script::read(folder.path()).unwrap_err().to_string().contains("dance"));
    }
}
