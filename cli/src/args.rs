//! The command line: every command, flag and help text. Parsing only; it must never know how a command is carried out.

mod board;
mod dev;
mod project;
mod words;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use board::{
    AddArgs, AnswerArgs, ApproveArgs, CancelArgs, DispatchArgs, ListArgs, LogsArgs, PromptArgs, RejectArgs, ReplayArgs,
    RetryArgs, StatusArgs, WatchArgs,
};
pub use dev::{DemoArgs, DevArgs};
pub use project::{AddProjectArgs, AgentArg, ProjectArgs, ProjectCommand, ShowProjectArgs, VerifyArg};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    refused or failed: the message says why
  2    wrong usage
  3    no server reachable: start one with `muster dev`
  4    no such project, task, run or question
  5    conflict: someone else decided first, or the task has moved on
  6    not allowed: no valid token, or no such right
  130  interrupted

The server and the token are found in this order: --url and MUSTER_TOKEN, MUSTER_URL, then what `muster dev` wrote to
its data directory (--data-dir, MUSTER_DATA_DIR, or ~/.local/share/muster).";

/// The durable control plane for fleets of AI coding agents.
#[derive(Debug, Parser)]
#[command(name = "muster", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Write JSON: one object, or one object per line for what goes on
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Address of the server
    #[arg(
        long,
        global = true,
        env = "MUSTER_URL",
        hide_env_values = true,
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub url: Option<String>,
    /// Where `muster dev` keeps its data, token and address [default: ~/.local/share/muster]
    #[arg(
        long,
        global = true,
        env = "MUSTER_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub data_dir: Option<PathBuf>,
    /// Never write colours (as when NO_COLOR is set or the output is no terminal)
    #[arg(long, global = true, help_heading = "Global options")]
    pub no_color: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process, on a private Postgres
    Dev(DevArgs),
    /// See agents plan, fail, repair, review and merge, without a key or a network
    Demo(DemoArgs),
    /// Put repositories under Muster's care
    Project(ProjectArgs),
    /// Put a card on the board
    Add(AddArgs),
    /// List the cards
    List(ListArgs),
    /// Show a card, or how the whole board stands
    Status(StatusArgs),
    /// Release a card to the agents
    Dispatch(DispatchArgs),
    /// Approve the plan that waits
    Approve(ApproveArgs),
    /// Reject the plan that waits; the planner tries again
    Reject(RejectArgs),
    /// Answer an agent's question
    Answer(AnswerArgs),
    /// Try a failed, cancelled or blocked card again
    Retry(RetryArgs),
    /// Cancel a card
    Cancel(CancelArgs),
    /// Tell the agents something for their next iteration
    Prompt(PromptArgs),
    /// Follow a card live until it is done, failed or cancelled
    Watch(WatchArgs),
    /// Show a card's history, and its state at any point of it
    Replay(ReplayArgs),
    /// Show what a run's agent wrote
    Logs(LogsArgs),
    /// Write a completion script for a shell
    Completions(CompletionsArgs),
    /// The bundled deterministic agent, spoken to over standard input and output
    #[command(hide = true)]
    RehearsalAgent,
    /// Write the reference of this command line as Markdown
    #[command(hide = true)]
    Docs,
}

/// `muster completions`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  muster completions bash > ~/.local/share/bash-completion/completions/muster")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Which project, when it is not the one of the working directory.
#[derive(Debug, Clone, Default, Args)]
pub struct ProjectSelector {
    /// The project: its name, its id, or a unique end of its id [default: the one that holds the working directory, or the only one]
    #[arg(long, short = 'p', value_name = "PROJECT")]
    pub project: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_how_it_is_used_by_example() {
        let without: Vec<_> = Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set() && !command.has_subcommands())
            .filter(|command| !command.get_after_help().is_some_and(|help| help.to_string().contains("Example")))
            .map(|command| command.get_name().to_owned())
            .collect();
        assert_eq!(without, Vec::<String>::new());
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let cli = Cli::try_parse_from(["muster", "list", "--json"]).unwrap();
        assert!(cli.global.json);
        let cli = Cli::try_parse_from(["muster", "--json", "project", "list"]).unwrap();
        assert!(cli.global.json);
    }
}
