//! Agents that are any command line: the prompt on standard input, the answer by exit code, files and what it prints.

use std::sync::Arc;
use std::time::Duration;

use muster_client::domain::model::{BuildError, BuildErrorKind};
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
    let message = message.unwrap_or_else(|| agent.digest.lock().tail().to_owned());
    Ok(Answer { message, exit_code: Some(0), stop_reason: None, tokens, cost_usd, model })
}
