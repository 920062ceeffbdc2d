//! Rows of a run: itself, its iterations, snapshots and file changes.

use muster_domain::id::{ProjectId, RunId, SessionId, SnapshotId, SubtaskId, TaskId};
use muster_domain::model::{
    AgentConfig, AgentResult, BuildError, FileChange, ReleaseReason, Role, StrategyDecision, VerificationReport,
};
use muster_domain::time::Timestamp;

use crate::table::table;

table! {
    /// One agent working one task or subtask in one role.
    "runs", key RunKey(run_id: RunId, project_id: ProjectId),
    struct RunRow {
        run_id: RunId,
        project_id: ProjectId,
        task_id: TaskId,
        subtask_id: Option<SubtaskId>,
        role: Role,
        status: String,
        session_id: Option<SessionId>,
        fencing_token: Option<u64>,
        attempt: u32,
        lease_live: bool,
        lease_expires_at: Option<Timestamp>,
        release_reason: Option<ReleaseReason>,
        iteration: u32,
        max_iterations: Option<u32>,
        harness_config: Option<AgentConfig>,
        branch: Option<String>,
        workspace_path: Option<String>,
        workspace_live: bool,
        base_commit: Option<String>,
        pid: Option<u32>,
        progress_message: Option<String>,
        progress_percent: Option<u32>,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        total_tokens: Option<u64>,
        cost_usd: Option<f64>,
        duration_ms: Option<u64>,
        pr_url: Option<String>,
        error: Option<BuildError>,
        will_retry: Option<bool>,
        queued_at: Timestamp,
        started_at: Option<Timestamp>,
        ended_at: Option<Timestamp>,
        updated_at: Timestamp,
    }
}

table! {
    /// Agent, then verification, then decision.
    "iterations", key IterationKey(run_id: RunId, project_id: ProjectId, iteration: u32),
    struct IterationRow {
        run_id: RunId,
        iteration: u32,
        project_id: ProjectId,
        task_id: TaskId,
        feedback: Option<String>,
        started_at: Timestamp,
        agent_started_at: Option<Timestamp>,
        agent_command: Option<String>,
        agent_success: Option<bool>,
        agent_result: Option<AgentResult>,
        agent_error: Option<BuildError>,
        result_file: Option<String>,
        verification_started_at: Option<Timestamp>,
        verification_passed: Option<bool>,
        verification_report: Option<VerificationReport>,
        report_file: Option<String>,
        decision: Option<StrategyDecision>,
        duration_ms: Option<u64>,
        ended_at: Option<Timestamp>,
    }
}

table! {
    /// A restorable point of a workspace.
    "workspace_snapshots", key SnapshotKey(snapshot_id: SnapshotId, project_id: ProjectId, task_id: TaskId),
    struct SnapshotRow {
        snapshot_id: SnapshotId,
        project_id: ProjectId,
        task_id: TaskId,
        run_id: RunId,
        iteration: u32,
        commit: String,
        created_at: Timestamp,
        last_restored_at: Option<Timestamp>,
    }
}

table! {
    /// What a run's commits did to a file.
    "file_changes", key FileChangeKey(run_id: RunId, project_id: ProjectId, path: String),
    struct FileChangeRow {
        run_id: RunId,
        path: String,
        project_id: ProjectId,
        task_id: TaskId,
        change: FileChange,
        lines_added: u32,
        lines_removed: u32,
        changed_at: Timestamp,
    }
}
