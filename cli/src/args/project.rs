//! `muster project`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use super::words;

/// `muster project`.
#[derive(Debug, Args)]
pub struct ProjectArgs {
    #[command(subcommand)]
    pub command: ProjectCommand,
}

/// What can be done with projects.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Put a git repository under Muster's care
    Add(AddProjectArgs),
    /// List the projects you are a member of
    #[command(after_help = "Example:\n  muster project list")]
    List,
    /// Show a project and its settings
    Show(ShowProjectArgs),
}

/// `muster project add`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  muster project add .
  muster project add ~/src/shop --name shop --verify 'tests=npm test' --verify 'types=npx tsc --noEmit'
  muster project add . --agent 'coder=acp:claude-code-acp' --agent 'planner=command:codex exec --json' --auto-approve

Without --verify the commands are guessed from the repository (Cargo.toml, package.json, go.mod, pyproject.toml,
Makefile), and the guess is shown. A role without --agent is played by the bundled rehearsal agent.")]
pub struct AddProjectArgs {
    /// The repository's folder
    pub path: PathBuf,
    /// Its name [default: the folder's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Branch that finished work is merged into [default: the remote's default branch, main, master, or the one checked out]
    #[arg(long)]
    pub branch: Option<String>,
    /// A command that every change must pass; may be repeated
    #[arg(long, value_name = "NAME=COMMAND")]
    pub verify: Vec<VerifyArg>,
    /// How the agent of a role is started: KIND is command, acp or rehearsal; may be repeated
    #[arg(long, value_name = "ROLE=KIND[:COMMAND]")]
    pub agent: Vec<AgentArg>,
    /// Iterations one run may take [default: 3]
    #[arg(long, value_name = "COUNT")]
    pub max_iterations: Option<u32>,
    /// Times a piece of work is handed out again after its run failed [default: 3]
    #[arg(long, value_name = "COUNT")]
    pub max_attempts: Option<u32>,
    /// Runs at once in this project [default: 2]
    #[arg(long, value_name = "COUNT")]
    pub max_concurrent_runs: Option<u32>,
    /// Hand out no more work once this many US dollars are spent
    #[arg(long, value_name = "USD")]
    pub budget_usd: Option<f64>,
    /// Start plans without asking a person
    #[arg(long)]
    pub auto_approve: bool,
    /// Leave new cards in the inbox until they are dispatched
    #[arg(long)]
    pub no_auto_dispatch: bool,
}

/// `muster project show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  muster project show shop")]
pub struct ShowProjectArgs {
    /// The project: name, id, or a unique end of its id [default: the one that holds the working directory, or the only one]
    pub project: Option<String>,
}

/// A verification command: a name, a program, its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyArg {
    pub name: String,
    pub command: Vec<String>,
}

impl FromStr for VerifyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || format!("{text:?}: write NAME=COMMAND, as in 'tests=cargo test'");
        let (name, line) = text.split_once('=').ok_or_else(usage)?;
        let command = words::split(line).map_err(|error| error.to_string())?;
        if name.trim().is_empty() || name.contains(char::is_whitespace) || command.is_empty() {
            return Err(usage());
        }
        Ok(Self { name: name.to_owned(), command })
    }
}

/// The agent of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentArg {
    pub role: String,
    pub kind: String,
    pub command: Vec<String>,
}

/// The kinds of agent there are.
const KINDS: [&str; 3] = ["command", "acp", "rehearsal"];

impl FromStr for AgentArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = || format!("{text:?}: write ROLE=KIND:COMMAND, as in 'coder=acp:claude-code-acp'");
        let (role, agent) = text.split_once('=').ok_or_else(usage)?;
        let (kind, line) = agent.split_once(':').unwrap_or((agent, ""));
        if !KINDS.contains(&kind) {
            return Err(format!("{kind:?} is no kind of agent: {} are", KINDS.join(", ")));
        }
        let command = words::split(line).map_err(|error| error.to_string())?;
        if role.is_empty() || (command.is_empty() && kind != "rehearsal") {
            return Err(usage());
        }
        Ok(Self { role: role.to_owned(), kind: kind.to_owned(), command })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verification_command_has_a_name_and_words() {
        let parsed: VerifyArg = "tests=sh -c 'make test'".parse().unwrap();
        assert_eq!(parsed.name, "tests");
        assert_eq!(parsed.command, ["sh", "-c", "make test"]);
        for wrong in ["cargo test", "=cargo test", "tests=", "a b=c"] {
            assert!(wrong.parse::<VerifyArg>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_agent_has_a_kind_and_a_command_where_it_needs_one() {
        let parsed: AgentArg = "coder=command:claude -p --output-format stream-json".parse().unwrap();
        assert_eq!((parsed.role.as_str(), parsed.kind.as_str()), ("coder", "command"));
        assert_eq!(parsed.command, ["claude", "-p", "--output-format", "stream-json"]);
        assert_eq!("coder=rehearsal".parse::<AgentArg>().unwrap().command, Vec::<String>::new());
        for wrong in ["coder", "coder=acp", "coder=magic:wand", "=acp:x"] {
            assert!(wrong.parse::<AgentArg>().is_err(), "{wrong}");
        }
    }
}
