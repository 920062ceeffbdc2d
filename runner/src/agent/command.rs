//! Agents that are any command line: the prompt on standard input, the answer by exit code, files and what it prints.

use std::sync::Arc;
use std::time::Duration;

use muster_client::domain::model::{BuildError, BuildErrorKind, Role};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

use super::json_lines::Told;
use super::{Agent, Answer, Call, SUMMARY_MAX_BYTES, failure};
use crate::output::OutputStream;
use crate::process::{Digest, pump};

/// Time the last output gets to arrive after the end of its process.
const DRAIN: Duration = Duration::from_secs(2);

/// Gives the prompt and waits for the end.
pub(super) async fn run(agent: &mut Agent, call: &Call<'_>) -> Result<Answer, BuildError> {
    let (stdin, stdout, stderr) =
        (agent.process.take_stdin(), agent.process.take_stdout(), agent.process.take_stderr());
    let told = Arc::new(Mutex::new(Told::default()));
    let look = told.clone();
    agent.digest = Digest::looking(move |line| look.lock().line(line));
    let (out, err) = (agent.sink(call, OutputStream::Stdout), agent.sink(call, OutputStream::Stderr));
    let talk = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // An agent need not read its prompt: it is in its task file too.
                let _ = stdin.write_all(call.prompt.as_bytes()).await;
            }
        };
        let read_out = async {
            if let Some(stdout) = stdout {
                pump(stdout, out).await;
            }
        };
        let read_err = async {
            if let Some(stderr) = stderr {
                pump(stderr, err).await;
            }
        };
        tokio::join!(write, read_out, read_err);
    };
    let watch = agent.watch.clone();
    let ending = {
        let mut talk = std::pin::pin!(talk);
        let mut wait = std::pin::pin!(agent.process.wait(&watch));
        tokio::select! {
            ending = &mut wait => {
                // What held the pipes is dead by now; a late byte is waited for, not for ever.
                let _ = tokio::time::timeout(DRAIN, &mut talk).await;
                ending
            }
            () = &mut talk => wait.await,
        }
    };
    if let Some(fault) = agent.fault(ending) {
        return Err(fault);
    }
    let Told { message, tokens, cost_usd, model, error } = std::mem::take(&mut *told.lock());
    if let Some(error) = error {
        let message = crate::text::shorten(&format!("the agent says it failed: {error}"), SUMMARY_MAX_BYTES);
        return Err(failure(BuildErrorKind::AgentFailed, message));
    }
    let message = message.unwrap_or_else(|| last_words(call.order.role, agent.digest.lock().tail()));
    Ok(Answer { message, exit_code: Some(0), stop_reason: None, tokens, cost_usd, model })
}

/// What an agent that only prints has said in the end: its last line, as those before tell of the way there. A planner's
/// is all of it, as that may be its plan.
fn last_words(role: Role, output: &str) -> String {
    let last_line = || output.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if role == Role::Planner { output.to_owned() } else { last_line().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_summary_and_a_plan_is_whole() {
        let output = "role=coder iteration=1\nfixed the sum\n  \n\n";
        assert_eq!(last_words(Role::Coder, output), "fixed the sum");
        assert_eq!(last_words(Role::Reviewer, "\n \n"), "");
        assert_eq!(last_words(Role::Planner, "# Plan\n\n1. sum\n"), "# Plan\n\n1. sum\n");
    }
}
