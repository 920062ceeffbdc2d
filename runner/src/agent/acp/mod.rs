//! Agents that speak the Agent Client Protocol over their standard streams.

mod files;
mod host;
mod peer;
pub mod wire;

use std::time::Duration;

use muster_client::domain::model::{BuildError, BuildErrorKind, TokenUsage};
use serde_json::{Value, json};
use tokio::process::{ChildStdin, ChildStdout};

use super::{Agent, Answer, Call, failure};
use crate::output::OutputStream;
use crate::process::pump;
use host::Host;
use peer::Peer;

/// Time an agent gets to end by itself after its answer.
const EXIT_GRACE: Duration = Duration::from_secs(2);
/// Time the last messages get to arrive after the end of the process.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a talk broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The agent ended, or closed its output, before it answered.
    #[error("the agent ended before it answered")]
    Closed,
    /// The agent answered with an error.
    #[error("the agent refused {method}: {message}")]
    Refused {
        /// What was asked.
        method: String,
        /// Why, in its words.
        message: String,
    },
    /// The agent does not keep to the protocol.
    #[error("the agent broke the protocol: {0}")]
    Broken(String),
}

/// Has the agent work on the prompt.
pub(super) async fn run(agent: &mut Agent, call: &Call<'_>) -> Result<Answer, BuildError> {
    let (Some(stdin), Some(stdout)) = (agent.process.take_stdin(), agent.process.take_stdout()) else {
        return Err(failure(BuildErrorKind::Internal, "the agent's streams are not there".to_owned()));
    };
    let stderr = agent.process.take_stderr();
    let errors = agent.sink(call, OutputStream::Stderr);
    let errors = tokio::spawn(async move {
        if let Some(stderr) = stderr {
            pump(stderr, errors).await;
        }
    });
    let mut host = Host::new(&call.view.workspace, agent.sink(call, OutputStream::Agent))
        .map_err(|error| failure(BuildErrorKind::Workspace, error.to_string()))?;
    let answer = talk(agent, call, stdin, stdout, &mut host).await;
    host.flush().await;
    // Whatever held the pipe ends in a moment; its last lines are waited for, not for ever.
    let _ = tokio::time::timeout(DRAIN, errors).await;
    answer.map(|answer| Answer { message: host.last_message(), cost_usd: host.cost_usd(), ..answer })
}

async fn talk(
    agent: &mut Agent,
    call: &Call<'_>,
    stdin: ChildStdin,
    stdout: ChildStdout,
    host: &mut Host,
) -> Result<Answer, BuildError> {
    let watch = agent.watch.clone();
    let mut peer = Peer::new(stdin, stdout, watch.activity.clone());
    let said = {
        let mut conversation = std::pin::pin!(converse(&mut peer, host, call));
        let ended = {
            let mut wait = std::pin::pin!(agent.process.wait(&watch));
            tokio::select! {
                biased;
                said = &mut conversation => Err(said),
                ending = &mut wait => Ok(ending),
            }
        };
        match ended {
            Err(said) => said,
            Ok(ending) => {
                // The answer may stand in the pipe still.
                match tokio::time::timeout(DRAIN, &mut conversation).await {
                    Ok(Ok(answer)) => Ok(answer),
                    _ => return Err(agent.fault(ending).unwrap_or_else(|| protocol(&Error::Closed))),
                }
            }
        }
    };
    // Closing its input asks the agent to end.
    drop(peer);
    let ending = agent.process.exited_within(EXIT_GRACE).await;
    let exit_code = match ending {
        Some(crate::process::Ending::Exited(code)) => Some(code),
        _ => None,
    };
    match said {
        Ok(answer) => judge(Answer { exit_code, ..answer }),
        // How it ended says more than that it did.
        Err(Error::Closed) => Err(ending.and_then(|e| agent.fault(e)).unwrap_or_else(|| protocol(&Error::Closed))),
        Err(error @ Error::Refused { .. }) => Err(failure(BuildErrorKind::AgentFailed, error.to_string())),
        Err(error) => Err(protocol(&error)),
    }
}

/// The whole conversation: hello, a session, one prompt.
async fn converse(peer: &mut Peer, host: &mut Host, call: &Call<'_>) -> Result<Answer, Error> {
    let hello = json!({
        "protocolVersion": wire::PROTOCOL_VERSION,
        "clientCapabilities": {"fs": {"readTextFile": true, "writeTextFile": true}, "terminal": false},
        "clientInfo": {"name": "muster", "title": "Muster", "version": env!("CARGO_PKG_VERSION")},
    });
    let hello = peer.call("initialize", hello, host).await?;
    if hello["protocolVersion"] != json!(wire::PROTOCOL_VERSION) {
        return Err(Error::Broken(format!("it speaks version {}", hello["protocolVersion"])));
    }
    let session = json!({"cwd": call.view.workspace, "mcpServers": []});
    let session = peer.call("session/new", session, host).await?;
    let Some(session_id) = session["sessionId"].as_str() else {
        return Err(Error::Broken("a session without sessionId".to_owned()));
    };
    let prompt = json!({"sessionId": session_id, "prompt": [{"type": "text", "text": call.prompt}]});
    let answer = peer.call("session/prompt", prompt, host).await?;
    let answer: wire::PromptAnswer = parse(answer)?;
    let tokens = answer.usage.map(|usage| TokenUsage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        total_tokens: usage.total_tokens.max(usage.input_tokens.saturating_add(usage.output_tokens)),
    });
    Ok(Answer { stop_reason: Some(answer.stop_reason), tokens, ..Answer::default() })
}

/// Only a turn that came to its end is a success.
fn judge(answer: Answer) -> Result<Answer, BuildError> {
    match answer.stop_reason.as_deref() {
        Some("end_turn") => Ok(answer),
        other => {
            let reason = other.unwrap_or("nothing").to_owned();
            Err(failure(BuildErrorKind::AgentFailed, format!("the agent stopped early: {reason}")))
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Broken(error.to_string()))
}

fn protocol(error: &Error) -> BuildError {
    let kind = match error {
        Error::Closed => BuildErrorKind::AgentFailed,
        _ => BuildErrorKind::Protocol,
    };
    failure(kind, error.to_string())
}
