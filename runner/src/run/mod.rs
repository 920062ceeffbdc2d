//! One run from its claim to its end: the right role's flow inside a session that is cleaned up whatever happens.
//!
//! It must never report a success whose work is not durable, nor anything after the lease is lost.

mod coder;
mod planner;
mod reviewer;

mod flow;
mod heartbeat;
mod strategy;
mod totals;
mod turn;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use muster_client::domain::command::Report;
use muster_client::domain::model::{BuildError, BuildErrorKind, Role, RunResult};

use crate::control::{self, Claimed, Control, Lease, Reporter};
use crate::git::{self, Repository};
use crate::layout::{Layout, SessionFolders};
use crate::output::{OutputStream, RunOutput};
use crate::process;
use crate::record::SessionRecord;
use crate::sandbox::Sandbox;
use crate::settings::Settings;
use crate::stop::{Reason, Stop};
use flow::Flow;

/// What all runs of a runner share.
pub struct Workshop {
    /// What the runner was told.
    pub settings: Settings,
    /// How processes are confined.
    pub sandbox: Sandbox,
    /// Where files lie.
    pub layout: Layout,
    /// What no session may see of the machine, its own folders apart.
    pub hidden: Vec<PathBuf>,
    /// The control plane.
    pub control: Arc<dyn Control>,
}

/// How a flow came to its end.
#[derive(Debug)]
struct Finish {
    result: RunResult,
    iterations: u32,
    error: Option<BuildError>,
}

impl Finish {
    fn succeeded(iterations: u32) -> Self {
        Self { result: RunResult::Succeeded, iterations, error: None }
    }

    fn failed(iterations: u32, error: BuildError) -> Self {
        Self { result: RunResult::Failed, iterations, error: Some(error) }
    }
}

/// Why a flow broke before its end.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The run was asked to stop.
    #[error("the run was stopped")]
    Stopped,
    /// The control plane does not take our reports.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A file of the session could not be used.
    #[error("a file of the session: {0}")]
    Io(#[from] std::io::Error),
    /// This runner cannot do the work.
    #[error("{0}")]
    Unfit(String),
}

impl Fault {
    fn to_build_error(&self) -> BuildError {
        let kind = match self {
            Self::Git(error) => return error.to_build_error(),
            Self::Io(_) => BuildErrorKind::Workspace,
            Self::Stopped => BuildErrorKind::Cancelled,
            Self::Control(_) | Self::Unfit(_) => BuildErrorKind::Internal,
        };
        BuildError { kind, message: self.to_string(), exit_code: None, log_excerpt: None }
    }
}

impl Workshop {
    /// Does the work of an order in a fresh session. Nothing of the session is left after this.
    pub async fn execute(&self, claimed: &Claimed, session: &SessionFolders, stop: &Stop) {
        let started = Instant::now();
        let lease = Lease::from(&claimed.order);
        let reporter = Reporter::new(self.control.clone(), lease, self.settings.lease_ms);
        let beating = heartbeat::start(reporter.clone(), self.settings.heartbeat, self.settings.lease_ms, stop.clone());
        let mut totals = totals::Totals::default();
        let outcome = self.perform(claimed, session, &reporter, stop, &mut totals).await;
        let released = self.clean_up(session).await;
        measure(claimed.order.role, &outcome, started);
        let ending = match outcome {
            Ok(finish) => Report::Complete {
                result: finish.result,
                total_iterations: finish.iterations,
                duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                pr_url: None,
                error: finish.error,
                tokens: totals.tokens(),
                cost_usd: totals.cost_usd(),
            },
            Err(fault) => Report::Failed { error: why(&fault, stop) },
        };
        if let Err(error) = conclude(&reporter, released, ending, stop).await {
            tracing::warn!(run_id = %lease.run_id, %error, "the end of a run could not be reported");
        }
        drop(beating);
    }

    async fn perform(
        &self,
        claimed: &Claimed,
        session: &SessionFolders,
        reporter: &Reporter,
        stop: &Stop,
        totals: &mut totals::Totals,
    ) -> Result<Finish, Fault> {
        let order = claimed.order.clone();
        session.create()?;
        let mut record = SessionRecord::new(session.id, *reporter.lease(), &order.repository_path);
        record.write(session)?;
        let folder = self.layout.run(order.run_id.0);
        let line_max_bytes = self.settings.output_line_max_bytes;
        let output = RunOutput::start(&folder.log(), reporter.clone(), line_max_bytes, stop.clone())?;
        let finish = async {
            let repository = Repository::open(order.repository_path.as_ref()).await?;
            let role = order.role;
            let mut flow = Flow {
                shop: self,
                claimed,
                order,
                session,
                folder,
                reporter,
                output: &output,
                stop,
                repository,
                totals,
                learned: Vec::new(),
            };
            let finish = match role {
                Role::Planner => flow.plan(&mut record).await,
                Role::Coder => flow.code(&mut record).await,
                Role::Reviewer => flow.review(&mut record).await,
                other => Err(Fault::Unfit(format!("this runner does not play the role {other}"))),
            };
            // A flow that came to its end may say so, unless the work is someone else's.
            if matches!(stop.reason(), Some(Reason::LeaseLost(_))) { Err(Fault::Stopped) } else { finish }
        };
        let finish = finish.await;
        let last = match &finish {
            Ok(Finish { result, error: None, .. }) => format!("the run {result}"),
            Ok(Finish { result, error: Some(error), .. }) => format!("the run {result}: {}", error.message),
            Err(fault) => format!("the run broke: {fault}"),
        };
        output.text(OutputStream::System, &last).await;
        // Lines are taken only while the lease lives, so before the last report.
        output.finish().await;
        finish
    }

    /// Ends what is left of a session. Gives the path of its workspace, if it had one.
    async fn clean_up(&self, session: &SessionFolders) -> Option<String> {
        if let Err(error) = process::sweep(session.id).await {
            tracing::error!(session_id = %session.id, %error, "processes of a session are left");
        }
        let record = SessionRecord::read(session);
        match &record {
            Ok(record) => {
                if let Err(error) = record.remove_workspace().await {
                    tracing::error!(session_id = %session.id, %error, "the worktree of a session is left");
                }
            }
            Err(error) => tracing::warn!(session_id = %session.id, %error, "a session has no record"),
        }
        let root = session.root().to_owned();
        if let Err(error) = crate::files::blocking(move || crate::files::remove_folder(&root)).await {
            tracing::error!(session_id = %session.id, %error, "the folder of a session is left");
        }
        record.ok()?.workspace.map(|_| session.workspace().to_string_lossy().into_owned())
    }
}

/// Reports the end of a run and the release of its workspace.
async fn conclude(
    reporter: &Reporter,
    released: Option<String>,
    ending: Report,
    stop: &Stop,
) -> Result<(), control::Error> {
    let released: Vec<_> = released.into_iter().map(|path| Report::WorkspaceReleased { path }).collect();
    if !matches!(stop.reason(), Some(Reason::LeaseLost(_))) {
        let reports = [released.clone(), vec![ending.clone()]].concat();
        match reporter.insist(reports, stop).await {
            Ok(()) => return Ok(()),
            Err(error @ control::Error::Refused { .. }) if !matches!(ending, Report::Failed { .. }) => {
                let error = Fault::from(error).to_build_error();
                return reporter.insist([released, vec![Report::Failed { error }]].concat(), stop).await;
            }
            Err(control::Error::LeaseLost(reason)) => tracing::info!(%reason, "a run ended after its lease"),
            Err(error) => return Err(error),
        }
    }
    // Giving the workspace back is taken without a lease as well.
    if released.is_empty() { Ok(()) } else { reporter.send(released).await }
}

fn measure(role: Role, outcome: &Result<Finish, Fault>, started: Instant) {
    let result = outcome.as_ref().map_or("broken", |finish| finish.result.as_str());
    metrics::counter!("muster_runner_runs_total", "role" => role.as_str(), "result" => result).increment(1);
    metrics::histogram!("muster_runner_run_duration_seconds", "role" => role.as_str())
        .record(started.elapsed().as_secs_f64());
}

fn why(fault: &Fault, stop: &Stop) -> BuildError {
    match stop.reason() {
        Some(Reason::Shutdown) => {
            BuildError { message: "the runner was shut down".to_owned(), ..Fault::Stopped.to_build_error() }
        }
        _ => fault.to_build_error(),
    }
}
