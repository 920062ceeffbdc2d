//! What matters about an event, in one line of plain text. It must never add colour or time.

use muster_client::domain::event::EventData;
use muster_client::domain::model::{BuildError, CheckResult, TestCounts, VerificationReport};

use crate::output::style::{duration, shorten};
use crate::short;

/// Longest text taken over from an event.
const TEXT_MAX: usize = 100;

/// What matters about an event; empty where the type says it all.
pub fn summary(data: &EventData) -> String {
    about_cards(data).or_else(|| about_runs(data)).or_else(|| about_people(data)).unwrap_or_default()
}

fn text(text: &str) -> String {
    shorten(text, TEXT_MAX)
}

fn about_cards(data: &EventData) -> Option<String> {
    use EventData as E;
    Some(match data {
        E::ProjectCreated(e) => format!("{} in {}", text(&e.name), text(&e.repository_path)),
        E::TaskCreated(e) => format!("{} ({})", text(&e.title), e.priority),
        E::TaskUpdated(e) => e.title.as_deref().map(text).unwrap_or_default(),
        E::TaskStatusChanged(e) => {
            let from = e.old_status.map(|status| format!("{status} → ")).unwrap_or_default();
            format!("{from}{}{}", e.new_status, because(e.reason.as_deref()))
        }
        E::TaskUnblocked(e) => format!("by {}", short(e.unblocked_by.0)),
        E::TaskCompleted(e) => {
            let merge = e.merge_commit.as_deref().map(|commit| format!(", merged as {}", commit_name(commit)));
            format!("{} criteria shown{}", e.evidence.len(), merge.unwrap_or_default())
        }
        E::TaskFailed(e) => error(&e.error),
        E::PlanReady(e) => {
            let titles: Vec<_> = e.chunks.iter().map(|chunk| text(&chunk.title)).collect();
            format!("{} chunk{}: {}", titles.len(), plural(titles.len()), shorten(&titles.join("; "), TEXT_MAX))
        }
        E::PlanApproved(e) => format!("by {}", text(&e.approved_by)),
        E::PlanRejected(e) => format!("by {}: {}", text(&e.rejected_by), text(&e.reason)),
        E::ChunkStarted(e) => format!("chunk {}", short(e.subtask_id.0)),
        E::ChunkCompleted(e) => format!("chunk {}", short(e.subtask_id.0)),
        E::SubtaskStatusChanged(e) => format!("chunk {} is {}", short(e.subtask_id.0), e.new_status),
        E::SubtaskUnblocked(e) => format!("chunk {} may start", short(e.subtask_id.0)),
        E::ReviewChangesRequested(e) => text(&e.feedback),
        E::ArtifactAdded(e) => {
            format!("{} {}: {}", e.artifact.kind, text(&e.artifact.path), text(&e.artifact.description))
        }
        E::QuestionAsked(e) => text(&e.question),
        E::FileModified(e) => format!("{} {} (+{} −{})", e.change, text(&e.path), e.lines_added, e.lines_removed),
        E::BranchMerged(e) => {
            format!("{} into {} as {}", text(&e.branch), text(&e.into), commit_name(&e.merge_commit))
        }
        E::PrCreated(e) => text(&e.pr_url),
        E::PrMerged(e) => text(&e.pr_url),
        _ => return None,
    })
}

fn about_runs(data: &EventData) -> Option<String> {
    use EventData as E;
    Some(match data {
        E::WorkAssigned(e) => format!("{} (run {}, attempt {})", e.role, short(e.run_id.0), e.attempt),
        E::WorkProgress(e) => {
            format!("{}{}", text(&e.message), e.percent.map(|percent| format!(" ({percent} %)")).unwrap_or_default())
        }
        E::WorkReleased(e) => e.reason.to_string(),
        E::AgentInvoked(e) => e.role.to_string(),
        E::RunStarted(e) => format!("run {}, {} agent", short(e.run_id.0), e.harness_config.kind),
        E::RunComplete(e) => {
            let iterations = format!("{} iteration{}", e.total_iterations, plural(e.total_iterations as usize));
            let cost = e.cost_usd.map(|cost| format!(", ${cost:.4}")).unwrap_or_default();
            let why = e.error.as_ref().map(|why| format!(": {}", error(why))).unwrap_or_default();
            format!("{} after {iterations}, {}{cost}{why}", e.result, duration(e.duration_ms))
        }
        E::RunFailed(e) => format!("{}{}", error(&e.error), if e.will_retry { ", will retry" } else { "" }),
        E::IterationStarted(e) => {
            let feedback = e.feedback.as_deref().map(|feedback| format!(", told: {}", text(feedback)));
            format!("iteration {}{}", e.iteration, feedback.unwrap_or_default())
        }
        E::IterationComplete(e) => format!("iteration {} in {}", e.iteration, duration(e.duration_ms)),
        E::StrategyDecided(e) => format!("{}: {}", e.decision.action, text(&e.decision.reason)),
        E::AgentStarted(e) => {
            let pid = e.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
            format!("{}: {}{pid}", e.role, text(&e.command))
        }
        E::AgentComplete(e) => format!("{} in {}", text(&e.result.summary), duration(e.result.duration_ms)),
        E::AgentFailed(e) => error(&e.error),
        E::VerificationStarted(e) => shorten(&e.checks.join(", "), TEXT_MAX),
        E::VerificationComplete(e) => verification(&e.report),
        E::TestPassed(e) => format!("{}{}", text(&e.name), counts(e.tests.as_ref())),
        E::TestFailed(e) => format!("{}{}", text(&e.name), counts(e.tests.as_ref())),
        E::ErrorOccurred(e) => error(&e.error),
        E::WorkspaceAcquired(e) => format!("{} at {}", text(&e.branch), commit_name(&e.base_commit)),
        E::SnapshotCreated(e) => commit_name(&e.commit),
        E::SnapshotRestored(e) => commit_name(&e.commit),
        E::AgentSpawned(e) => text(&e.session_key),
        E::AgentStatusChanged(e) => format!("{} → {}", e.old_status, e.new_status),
        _ => return None,
    })
}

fn about_people(data: &EventData) -> Option<String> {
    use EventData as E;
    Some(match data {
        E::UserApprovedPlan(e) => format!("{} approved {}", text(&e.user_id), shorten(&e.digest, 13)),
        E::UserRejectedPlan(e) => format!("{}: {}", text(&e.user_id), text(&e.reason)),
        E::UserAnsweredQuestion(e) => format!("{}: {}", text(&e.user_id), text(&e.answer)),
        E::UserRequestedRetry(e) => format!("{}{}", text(&e.user_id), because(e.reason.as_deref())),
        E::UserInjectedPrompt(e) => format!("{}: {}", text(&e.user_id), text(&e.message)),
        E::UserCancelledTask(e) => format!("{}{}", text(&e.user_id), because(e.reason.as_deref())),
        E::ProjectMemberAdded(e) => format!("{} as {}", text(&e.user), e.role),
        E::ProjectMemberRemoved(e) => text(&e.user),
        _ => return None,
    })
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({})", text(reason))).unwrap_or_default()
}

fn error(error: &BuildError) -> String {
    format!("{}: {}", error.kind, text(&error.message))
}

fn commit_name(commit: &str) -> String {
    shorten(commit, 64).chars().take(9).collect()
}

fn counts(tests: Option<&TestCounts>) -> String {
    tests.map(|tests| format!(": {} passed, {} failed", tests.passed, tests.failed)).unwrap_or_default()
}

fn verification(report: &VerificationReport) -> String {
    let check = |check: &CheckResult| {
        format!("{} {}{}", if check.passed { "✓" } else { "✗" }, text(&check.name), counts(check.tests.as_ref()))
    };
    let checks: Vec<_> = report.checks.iter().map(check).collect();
    let verdict = if report.passed { "passed" } else { "failed" };
    format!("{verdict} in {}: {}", duration(report.duration_ms), shorten(&checks.join(", "), TEXT_MAX))
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
