//! The commands about cards.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::ProjectSelector;

const STATUSES: [&str; 10] =
    ["inbox", "planning", "plan_review", "ready", "in_flight", "review", "done", "blocked", "failed", "cancelled"];
const PRIORITIES: [&str; 4] = ["low", "medium", "high", "urgent"];
const COMPLEXITIES: [&str; 5] = ["xs", "s", "m", "l", "xl"];

/// `muster add`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  muster add \"Greet people by name\"
  muster add \"Fix the login\" -d \"Users with a + in their address cannot log in\" --priority urgent \\
    --criterion 'tests: an address with a + logs in'
  muster add \"Release notes\" --blocked-by 3fa9c1 --blocked-by 77e2d0

A criterion written `CHECK: TEXT` is met when the project's verification command CHECK passes; one without CHECK when
all of them pass.")]
pub struct AddArgs {
    /// What is wanted, in a line
    pub title: String,
    /// What is wanted, at length; `-` reads it from standard input
    #[arg(long, short)]
    pub description: Option<String>,
    /// How urgent
    #[arg(long, default_value = "medium", value_parser = PossibleValuesParser::new(PRIORITIES))]
    pub priority: String,
    /// How large
    #[arg(long, default_value = "m", value_parser = PossibleValuesParser::new(COMPLEXITIES))]
    pub complexity: String,
    /// What must be shown before it is done; may be repeated
    #[arg(long, value_name = "[CHECK: ]TEXT")]
    pub criterion: Vec<String>,
    /// A card that must be done first; may be repeated
    #[arg(long, value_name = "TASK")]
    pub blocked_by: Vec<String>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster list`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  muster list\n  muster list --status plan_review --status blocked")]
pub struct ListArgs {
    /// Only cards with this status; may be repeated
    #[arg(long, value_parser = PossibleValuesParser::new(STATUSES))]
    pub status: Vec<String>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  muster status\n  muster status 3fa9c1")]
pub struct StatusArgs {
    /// The card: its id, or a unique beginning or end of it
    pub task: Option<String>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster dispatch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  muster dispatch 3fa9c1\n  muster dispatch      the most urgent card that waits")]
pub struct DispatchArgs {
    /// The card [default: the most urgent one that was not released]
    pub task: Option<String>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster approve`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  muster approve 3fa9c1
  muster approve 3fa9c1 --yes

Shows the plan, asks, and approves exactly what was shown: if the plan has changed meanwhile, or someone else decided
first, nothing happens and the exit code is 5. Where nobody can be asked, --yes is needed.")]
pub struct ApproveArgs {
    /// The card
    pub task: String,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster reject`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  muster reject 3fa9c1 --reason \"Leave the public API as it is\"")]
pub struct RejectArgs {
    /// The card
    pub task: String,
    /// Why; the planner works from it
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster answer`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  muster answer 3fa9c1 \"Use SQLite\"\n  muster answer 3fa9c1 \"No\" --question 81b2"
)]
pub struct AnswerArgs {
    /// The card
    pub task: String,
    /// The answer
    pub answer: String,
    /// The question: its id, or a unique end of it [default: the only open one]
    #[arg(long)]
    pub question: Option<String>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster retry`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  muster retry 3fa9c1 --reason \"the test server was down\"")]
pub struct RetryArgs {
    /// The card
    pub task: String,
    /// Why; the agents read it
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster cancel`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  muster cancel 3fa9c1 --reason \"no longer wanted\"")]
pub struct CancelArgs {
    /// The card
    pub task: String,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster prompt`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  muster prompt 3fa9c1 \"Keep the old flag as an alias\"")]
pub struct PromptArgs {
    /// The card
    pub task: String,
    /// What the agents should know
    pub message: String,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster watch`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  muster watch 3fa9c1
  muster watch 3fa9c1 --json | jq .type

Shows the whole history first, then what happens. Ends with 0 when the card is done, with 1 when it failed or was
cancelled. When the connection breaks it is made anew, and goes on where it stopped.")]
pub struct WatchArgs {
    /// The card
    pub task: String,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster replay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  muster replay 3fa9c1\n  muster replay 3fa9c1 --to-seq 12")]
pub struct ReplayArgs {
    /// The card
    pub task: String,
    /// Stop after the event with this sequence, and show the state as it was then
    #[arg(long, value_name = "SEQUENCE")]
    pub to_seq: Option<u64>,
    #[command(flatten)]
    pub project: ProjectSelector,
}

/// `muster logs`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  muster logs 9d01ab\n  muster logs 9d01ab --follow")]
pub struct LogsArgs {
    /// The run: its id, or a unique end of it, as `muster status TASK` shows it
    pub run: String,
    /// Go on with what is written from now on, until the run ends
    #[arg(long, short)]
    pub follow: bool,
    #[command(flatten)]
    pub project: ProjectSelector,
}
