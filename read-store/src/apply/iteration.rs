//! Events inside a run's iterations: the agent, the verification, the decision.

use muster_domain::event::EventData;
use muster_domain::id::RunId;

use super::{Context, Tables};
use crate::rows::{IterationKey, IterationRow};

pub(super) fn apply(tables: &mut Tables, context: Context, data: &EventData) {
    let at = context.at;
    match data {
        EventData::IterationStarted(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.feedback.clone_from(&e.feedback);
            row.started_at = at;
        }),
        EventData::AgentStarted(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.agent_started_at = Some(at);
            row.agent_command = Some(e.command.clone());
        }),
        EventData::AgentComplete(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.agent_success = Some(e.result.success);
            row.agent_result = Some(e.result.clone());
            row.result_file = Some(e.result_file.clone());
        }),
        EventData::AgentFailed(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.agent_success = Some(false);
            row.agent_error = Some(e.error.clone());
            row.result_file = Some(e.result_file.clone());
        }),
        EventData::VerificationStarted(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.verification_started_at = Some(at);
        }),
        EventData::VerificationComplete(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.verification_passed = Some(e.report.passed);
            row.verification_report = Some(e.report.clone());
            row.report_file = Some(e.report_file.clone());
        }),
        EventData::StrategyDecided(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.decision = Some(e.decision.clone());
        }),
        EventData::IterationComplete(e) => edit(tables, context, e.run_id, e.iteration, |row| {
            row.decision = Some(e.decision.clone());
            row.duration_ms = Some(e.duration_ms);
            row.ended_at = Some(at);
        }),
        _ => {}
    }
}

/// Changes an iteration of a known run; one that was not announced begins with the event that names it.
fn edit(tables: &mut Tables, context: Context, run_id: RunId, iteration: u32, change: impl FnOnce(&mut IterationRow)) {
    if tables.runs.get(&context.run(run_id)).is_none() {
        return;
    }
    let key = IterationKey { run_id, project_id: context.project_id, iteration };
    if tables.iterations.get(&key).is_none() {
        tables.iterations.put(IterationRow {
            run_id,
            iteration,
            project_id: context.project_id,
            task_id: context.task_id,
            feedback: None,
            started_at: context.at,
            agent_started_at: None,
            agent_command: None,
            agent_success: None,
            agent_result: None,
            agent_error: None,
            result_file: None,
            verification_started_at: None,
            verification_passed: None,
            verification_report: None,
            report_file: None,
            decision: None,
            duration_ms: None,
            ended_at: None,
        });
    }
    if let Some(row) = tables.iterations.edit(&key) {
        change(row);
    }
}
