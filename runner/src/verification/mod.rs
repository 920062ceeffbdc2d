//! Verification: each configured command run in the workspace, judged by its exit code.
//!
//! It must never believe an agent: what did not run has not passed.

mod counts;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use muster_client::domain::model::{BuildError, BuildErrorKind, CheckResult, VerificationCommand, VerificationReport};
use parking_lot::Mutex;
use std::sync::Arc;

use crate::output::{OutputStream, RunOutput};
use crate::process::{self, Activity, Digest, Ending, Launch, Sink, Watch, pump};
use crate::sandbox::{Sandbox, View};
use crate::stop::Stop;
use crate::text;

/// Bytes of output kept in a check's result.
const EXCERPT_MAX_BYTES: usize = 4 * 1024;
/// Time the last output gets to arrive after the end of its process.
const DRAIN: Duration = Duration::from_secs(2);

/// Where and how checks run.
pub struct Verifier<'a> {
    /// What they see of the machine.
    pub view: View,
    /// Their environment.
    pub env: BTreeMap<String, String>,
    /// Their confinement.
    pub sandbox: &'a Sandbox,
    /// Where their output goes.
    pub output: &'a RunOutput,
    /// Longest time of a command that names none.
    pub timeout: Duration,
    /// Why they may have to stop early.
    pub stop: &'a Stop,
}

impl Verifier<'_> {
    /// Runs all commands in order, each whatever the others came to; `commit` is what they verify.
    pub async fn verify(&self, commands: &[VerificationCommand], commit: &str) -> VerificationReport {
        let started = Instant::now();
        let mut checks = Vec::new();
        for command in commands {
            if self.stop.is_asked() {
                break;
            }
            checks.push(self.check(command).await);
        }
        VerificationReport {
            passed: checks.len() == commands.len() && checks.iter().all(|check| check.passed),
            checks,
            commit: Some(commit.to_owned()),
            duration_ms: elapsed_ms(started),
        }
    }

    async fn check(&self, command: &VerificationCommand) -> CheckResult {
        let started = Instant::now();
        let line = text::command_line(&command.command);
        self.output.line(OutputStream::System, format!("verification {}: {line}", command.name)).await;
        let (ending, digest, counter) = self.run(command).await;
        let (exit_code, error) = match ending {
            Ok(Ending::Exited(0)) => (Some(0), None),
            Ok(Ending::Exited(code)) => (Some(code), Some(failure(format!("{line} exited with {code}"), Some(code)))),
            Ok(Ending::Killed(signal)) => (None, Some(failure(format!("{line} was ended by signal {signal}"), None))),
            Ok(Ending::TimedOut | Ending::Silent) => (None, Some(failure(format!("{line} took too long"), None))),
            Ok(Ending::Stopped) => (None, Some(failure(format!("{line} was stopped"), None))),
            Err(process::Error::NotFound(program)) => {
                let message = format!("command not found: {program}");
                let kind = BuildErrorKind::CommandNotFound;
                (None, Some(BuildError { kind, ..failure(message, None) }))
            }
            Err(error) => (None, Some(failure(error.to_string(), None))),
        };
        let output_excerpt = text::tail(digest.lock().tail(), EXCERPT_MAX_BYTES);
        let error = error.map(|error| BuildError { log_excerpt: Some(output_excerpt.clone()), ..error });
        let word = if error.is_none() { "passed" } else { "failed" };
        self.output.line(OutputStream::System, format!("verification {}: {word}", command.name)).await;
        let tests = counter.lock().counts();
        CheckResult {
            name: command.name.clone(),
            command: line,
            passed: error.is_none(),
            exit_code,
            duration_ms: elapsed_ms(started),
            tests,
            error,
            output_excerpt,
        }
    }

    async fn run(
        &self,
        command: &VerificationCommand,
    ) -> (Result<Ending, process::Error>, Arc<Mutex<Digest>>, Arc<Mutex<counts::Counter>>) {
        let counter = Arc::new(Mutex::new(counts::Counter::default()));
        let look = counter.clone();
        let digest = Digest::looking(move |line| look.lock().line(line));
        let launch = Launch {
            command: command.command.clone(),
            env: self.env.clone(),
            view: self.view.clone(),
            with_input: false,
        };
        let mut process = match launch.start(self.sandbox).await {
            Ok(process) => process,
            Err(error) => return (Err(error), digest, counter),
        };
        let activity = Activity::default();
        let sink =
            |stream| Sink { output: self.output.clone(), stream, digest: digest.clone(), activity: activity.clone() };
        let timeout = command.timeout_ms.map_or(self.timeout, Duration::from_millis);
        let watch = Watch { timeout, silence: None, activity: activity.clone(), stop: self.stop.clone() };
        let (stdout, stderr) = (process.take_stdout(), process.take_stderr());
        let out = drain(stdout, sink(OutputStream::Stdout));
        let err = drain(stderr, sink(OutputStream::Stderr));
        let mut pumps = std::pin::pin!(async { tokio::join!(out, err) });
        let mut wait = std::pin::pin!(process.wait(&watch));
        let ending = tokio::select! {
            ending = &mut wait => {
                // Whatever held the pipes is dead by now; a late byte is waited for, not for ever.
                let _ = tokio::time::timeout(DRAIN, &mut pumps).await;
                ending
            }
            _ = &mut pumps => wait.await,
        };
        (Ok(ending), digest, counter)
    }
}

async fn drain(reader: Option<impl tokio::io::AsyncRead + Unpin>, sink: Sink) {
    if let Some(reader) = reader {
        pump(reader, sink).await;
    }
}

fn failure(message: String, exit_code: Option<i32>) -> BuildError {
    BuildError { kind: BuildErrorKind::VerificationFailed, message, exit_code, log_excerpt: None }
}

fn elapsed_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
