//! What to do after an iteration. Pure: what was seen goes in, a decision comes out.

use muster_client::domain::model::{
    BuildError, BuildErrorKind, CheckResult, StrategyAction, StrategyDecision, VerificationReport,
};

use crate::text;

/// Bytes of feedback.
const FEEDBACK_MAX_BYTES: usize = 16 * 1024;
/// Bytes of one check's output in feedback.
const EXCERPT_MAX_BYTES: usize = 3 * 1024;

/// What an iteration showed.
pub(super) struct Seen<'a> {
    pub agent_error: Option<&'a BuildError>,
    pub verification: Option<&'a VerificationReport>,
    pub iteration: u32,
    pub max_iterations: u32,
}

/// Decides by agent and verification alone.
pub(super) fn decide(seen: &Seen<'_>) -> StrategyDecision {
    if let Some(error) = seen.agent_error {
        if error.kind == BuildErrorKind::CommandNotFound {
            return decision(StrategyAction::Escalate, &error.message, None);
        }
        return seen.again(&error.message, describe(error));
    }
    let Some(report) = seen.verification else {
        return decision(StrategyAction::Accept, "the agent is done and no verification is configured", None);
    };
    if report.passed {
        return decision(StrategyAction::Accept, &format!("all {} checks passed", report.checks.len()), None);
    }
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).collect();
    if let Some(message) = failed.iter().find_map(|check| beyond_the_agent(check)) {
        return decision(StrategyAction::Escalate, &message, None);
    }
    let names = failed.iter().map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ");
    seen.again(&format!("verification failed: {names}"), feedback_of(report))
}

impl Seen<'_> {
    /// Another iteration with `feedback`, or none when there were enough.
    pub(super) fn again(&self, reason: &str, feedback: String) -> StrategyDecision {
        if self.iteration < self.max_iterations {
            return decision(StrategyAction::Continue, reason, Some(feedback));
        }
        let reason = format!("{reason}; that was iteration {} of {}", self.iteration, self.max_iterations);
        decision(StrategyAction::GiveUp, &reason, None)
    }
}

/// A decision; texts are cut to what an event takes.
pub(super) fn decision(action: StrategyAction, reason: &str, feedback: Option<String>) -> StrategyDecision {
    let reason = text::shorten(reason, EXCERPT_MAX_BYTES);
    StrategyDecision { action, reason, feedback: feedback.map(|f| text::shorten(&f, FEEDBACK_MAX_BYTES)) }
}

/// The error that a run which gave up ends with.
pub(super) fn final_error(seen: &Seen<'_>, decision: &StrategyDecision) -> BuildError {
    if let Some(error) = seen.agent_error {
        return error.clone();
    }
    let failed = seen.verification.and_then(|report| report.checks.iter().find_map(|check| check.error.clone()));
    let kind = match decision.action {
        StrategyAction::GiveUp => BuildErrorKind::MaxIterations,
        _ => failed.as_ref().map_or(BuildErrorKind::GaveUp, |error| error.kind),
    };
    let (exit_code, log_excerpt) = failed.map_or((None, None), |error| (error.exit_code, error.log_excerpt));
    BuildError { kind, message: decision.reason.clone(), exit_code, log_excerpt }
}

/// What failing checks teach.
pub(super) fn feedback_of(report: &VerificationReport) -> String {
    let failed = report.checks.iter().filter(|check| !check.passed).map(|check| {
        let why = check.error.as_ref().map_or("failed", |error| &error.message);
        let excerpt = text::tail(&check.output_excerpt, EXCERPT_MAX_BYTES);
        format!("The check `{}` failed: {why}\n{}", check.name, excerpt.trim_end())
    });
    failed.collect::<Vec<_>>().join("\n\n")
}

fn describe(error: &BuildError) -> String {
    let excerpt = error.log_excerpt.as_deref().map(|excerpt| text::tail(excerpt, EXCERPT_MAX_BYTES));
    match excerpt {
        Some(excerpt) => format!("{}. Its last output:\n{}", error.message, excerpt.trim_end()),
        None => error.message.clone(),
    }
}

/// A check that no change of the files can make pass: its program is not installed.
fn beyond_the_agent(check: &CheckResult) -> Option<String> {
    let error = check.error.as_ref().filter(|error| error.kind == BuildErrorKind::CommandNotFound)?;
    // A program named by a path may be part of the work.
    let program = check.command.split(' ').next().unwrap_or_default();
    (!program.contains('/')).then(|| format!("the check `{}` cannot run: {}", check.name, error.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, error: Option<BuildErrorKind>) -> CheckResult {
        let error = error.map(|kind| BuildError {
            kind,
            message: "assertion failed".to_owned(),
            exit_code: Some(1),
            log_excerpt: None,
        });
        CheckResult {
            name: "unit".to_owned(),
            command: command.to_owned(),
            passed: error.is_none(),
            exit_code: Some(1),
            duration_ms: 1,
            tests: None,
            error,
            output_excerpt: "left: 1, right: 2".to_owned(),
        }
    }

    fn action(check_error: Option<BuildErrorKind>, command: &str, iteration: u32) -> StrategyDecision {
        let checks = vec![check(command, check_error)];
        let report = VerificationReport { passed: check_error.is_none(), checks, commit: None, duration_ms: 1 };
        decide(&Seen { agent_error: None, verification: Some(&report), iteration, max_iterations: 2 })
    }

    #[test]
    fn a_failed_check_is_fed_back_until_iterations_are_used_up() {
        let first = action(Some(BuildErrorKind::VerificationFailed), "cargo test", 1);
        assert_eq!(first.action, StrategyAction::Continue);
        assert!(first.feedback.unwrap().contains("left: 1, right: 2"));
        let last = action(Some(BuildErrorKind::VerificationFailed), "cargo test", 2);
        assert_eq!(last.action, StrategyAction::GiveUp);
        assert_eq!(action(None, "cargo test", 2).action, StrategyAction::Accept);
    }

    #[test]
    fn a_missing_program_is_for_a_person_but_a_missing_script_is_work() {
        let missing = Some(BuildErrorKind::CommandNotFound);
        assert_eq!(action(missing, "no-such-tool --all", 1).action, StrategyAction::Escalate);
        assert_eq!(action(missing, "./test.sh", 1).action, StrategyAction::Continue);
    }
}
