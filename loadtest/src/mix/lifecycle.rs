//! One card from the board to the merged branch: planned, approved, coded in two chunks, the first of which needs a
//! second iteration, reviewed and merged. Texts have the length that people's and agents' texts have.

use muster_client::domain::command::{
    ApprovePlan, ClaimWork, CreateProject, CreateTask, Criterion, PlannedChunk, RenewLease, Report, ReportRun,
};
use muster_client::domain::decide::ClaimOutcome;
use muster_client::domain::id::{SessionId, SnapshotId, TaskId};
use muster_client::domain::model::{
    AgentConfig, AgentKind, AgentResult, CheckResult, Complexity, FileChange, Priority, ProjectSettings, Role,
    RunResult, StrategyAction, StrategyDecision, TestCounts, TokenUsage, VerificationCommand, VerificationReport,
};
use uuid::Uuid;

use super::author::Author;

const DESCRIPTION: &str = "The importer stops at the first row it cannot read, so one bad line in a file of a million \
    loses the rest. It should count such rows, keep the first hundred with their line numbers and the reason, go on, \
    and say at the end how many were left out. Files without a bad row must be read exactly as before, and as fast.";
const PLAN: &str = "# Plan\n\n1. Give the reader a result per row instead of one for the file, and keep the reason where \
    a row is bad.\n2. Collect the first hundred reasons with their line numbers; count the others.\n3. Print the summary \
    at the end and return a code of its own when rows were left out.\n\n## Risks\n\nThe reader is used by the exporter's \
    tests as well, which rely on the first error ending it; they get an adapter.\n\n## Not part of it\n\nRepairing rows, \
    and a limit above which the import gives up: that wants a decision of its own.\n";
const SUMMARY: &str = "Rows that cannot be read are now counted and left out. The reader yields one result per row, the \
    first hundred reasons are kept with their line numbers, and the summary is printed at the end.";
const OUTPUT: &str = "running 24 tests\ntest reader::a_bad_row_is_left_out ... ok\ntest reader::line_numbers_count_from_one \
    ... ok\ntest reader::the_first_hundred_reasons_are_kept ... ok\ntest summary::nothing_left_out_prints_nothing ... ok\n\
    test summary::left_out_rows_are_counted ... FAILED\n\nfailures:\n\n---- summary::left_out_rows_are_counted stdout ----\n\
    assertion `left == right` failed\n  left: 101\n right: 100\n\ntest result: FAILED. 23 passed; 1 failed; 0 ignored\n";
const COMMIT: &str = "5f0c1d7a9b3e4f6081a2b3c4d5e6f70819a0b1c2";
const LEASE_MS: u64 = 60_000;

/// Makes the author's project.
pub fn create_project(author: &mut Author) -> anyhow::Result<()> {
    let command = vec!["cargo".to_owned(), "test".to_owned(), "--workspace".to_owned()];
    let settings = ProjectSettings {
        verification: vec![VerificationCommand { name: "test".to_owned(), command, timeout_ms: Some(600_000) }],
        ..ProjectSettings::default()
    };
    author.send(CreateProject {
        name: "Importer".to_owned(),
        repository_path: "/srv/repositories/importer".to_owned(),
        default_branch: "main".to_owned(),
        settings,
    })?;
    Ok(())
}

/// Takes card number `number` through its whole life.
pub fn whole_task(author: &mut Author, number: u32) -> anyhow::Result<()> {
    let task_id = TaskId(Uuid::now_v7());
    author.send(CreateTask {
        task_id: Some(task_id),
        title: format!("Leave bad rows out of import {number} instead of stopping"),
        description: DESCRIPTION.to_owned(),
        acceptance_criteria: vec![
            Criterion::Text("A file with one bad row imports all others".to_owned()),
            Criterion::Text("The summary names the line of each of the first hundred".to_owned()),
        ],
        priority: Priority::ALL[number as usize % Priority::ALL.len()],
        complexity: Complexity::M,
        blocked_by: Vec::new(),
        interactive: false,
    })?;
    plan(author, task_id)?;
    author.send(ApprovePlan { task_id, digest: None })?;
    for iterations in [2, 1] {
        code(author, task_id, iterations)?;
    }
    review(author, task_id)
}

/// A session with a claim on a card.
struct Work<'a> {
    author: &'a mut Author,
    task_id: TaskId,
    claim: ClaimOutcome,
    path: String,
}

impl<'a> Work<'a> {
    fn claim(author: &'a mut Author, task_id: TaskId, role: Role) -> anyhow::Result<Self> {
        let session = Uuid::now_v7();
        let path = format!("/var/lib/muster/sessions/{session}/workspace");
        let outcome = author.send(ClaimWork {
            session_id: SessionId(session),
            session_key: format!("runner-1/{role}"),
            roles: vec![role],
            lease_duration_ms: LEASE_MS,
            workspace_dir: path.clone(),
            data_dir: format!("/var/lib/muster/sessions/{session}/data"),
        })?;
        anyhow::ensure!(outcome.task_id == Some(task_id), "the claim gave another card");
        let claim = outcome.claim.ok_or_else(|| anyhow::anyhow!("the claim gave nothing"))?;
        let mut work = Self { author, task_id, claim, path };
        work.report(vec![Report::Started { iteration: 1, harness_config: rehearsal() }])?;
        work.report(vec![Report::WorkspaceAcquired {
            path: work.path.clone(),
            branch: format!("muster/{task_id}"),
            base_commit: COMMIT.to_owned(),
        }])?;
        Ok(work)
    }

    fn report(&mut self, reports: Vec<Report>) -> anyhow::Result<()> {
        let (run_id, fencing_token) = (self.claim.run_id, self.claim.fencing_token);
        self.author.send(ReportRun { task_id: self.task_id, run_id, fencing_token, reports })?;
        Ok(())
    }

    fn heartbeat(&mut self) -> anyhow::Result<()> {
        let (run_id, fencing_token) = (self.claim.run_id, self.claim.fencing_token);
        let lease_duration_ms = LEASE_MS;
        self.author.send(RenewLease { task_id: self.task_id, run_id, fencing_token, lease_duration_ms })?;
        Ok(())
    }

    fn agent(&mut self, iteration: u32, role: Role) -> anyhow::Result<()> {
        let command = format!("agent --acp --role {role}");
        self.report(vec![Report::AgentStarted { iteration, pid: Some(40_000 + iteration), command }])?;
        self.heartbeat()?;
        self.report(vec![Report::Progress {
            message: "Reading the reader and its tests".to_owned(),
            percent: Some(20),
        }])?;
        let result_file = format!("{}/result-{iteration}.json", self.path);
        self.report(vec![Report::AgentComplete { iteration, result: agent_result(), result_file }])
    }

    fn verify(&mut self, iteration: u32, passed: bool) -> anyhow::Result<()> {
        self.report(vec![Report::VerificationStarted { iteration, checks: vec!["test".to_owned()] }])?;
        let report_file = format!("{}/verification-{iteration}.json", self.path);
        self.report(vec![Report::VerificationComplete { iteration, report: verification(passed), report_file }])
    }

    fn decide(&mut self, iteration: u32, passed: bool) -> anyhow::Result<()> {
        let decision = StrategyDecision {
            action: if passed { StrategyAction::Accept } else { StrategyAction::Continue },
            reason: if passed { "every check passed" } else { "1 of 1 checks failed" }.to_owned(),
            feedback: (!passed).then(|| OUTPUT.to_owned()),
        };
        let complete = Report::IterationComplete {
            iteration,
            agent_success: true,
            verification_passed: Some(passed),
            decision: decision.clone(),
            duration_ms: 84_000,
        };
        self.report(vec![Report::StrategyDecision { iteration, decision }, complete])
    }

    fn merge(&mut self, into: &str) -> anyhow::Result<()> {
        let branch = format!("muster/{}/{}", self.task_id, self.claim.run_id);
        self.report(vec![Report::BranchMerged { branch, into: into.to_owned(), merge_commit: COMMIT.to_owned() }])
    }

    fn complete(mut self, total_iterations: u32) -> anyhow::Result<()> {
        self.report(vec![Report::Complete {
            result: RunResult::Succeeded,
            total_iterations,
            duration_ms: 90_000 * u64::from(total_iterations),
            pr_url: None,
            error: None,
            tokens: Some(tokens()),
            cost_usd: Some(0.42),
        }])?;
        let path = self.path.clone();
        self.report(vec![Report::WorkspaceReleased { path }])
    }
}

fn plan(author: &mut Author, task_id: TaskId) -> anyhow::Result<()> {
    let mut work = Work::claim(author, task_id, Role::Planner)?;
    work.agent(1, Role::Planner)?;
    let chunk = |title: &str, depends_on| PlannedChunk {
        title: title.to_owned(),
        description: DESCRIPTION.to_owned(),
        depends_on,
    };
    let chunks = vec![chunk("A result per row", vec![]), chunk("A summary at the end", vec![0])];
    work.report(vec![Report::PlanReady { plan: PLAN.to_owned(), chunks, estimated_cost_usd: Some(1.2) }])?;
    work.complete(1)
}

fn code(author: &mut Author, task_id: TaskId, iterations: u32) -> anyhow::Result<()> {
    let mut work = Work::claim(author, task_id, Role::Coder)?;
    for iteration in 1..=iterations {
        let passed = iteration == iterations;
        let feedback = (iteration > 1).then(|| OUTPUT.to_owned());
        work.report(vec![Report::IterationStarted { iteration, feedback }])?;
        work.agent(iteration, Role::Coder)?;
        let file = |path: &str, lines_added| Report::FileModified {
            path: path.to_owned(),
            change: FileChange::Modified,
            lines_added,
            lines_removed: 7,
        };
        let snapshot =
            Report::SnapshotCreated { snapshot_id: SnapshotId(Uuid::now_v7()), commit: COMMIT.to_owned(), iteration };
        work.report(vec![
            snapshot,
            file("src/reader.rs", 48),
            file("src/summary.rs", 31),
            file("tests/reader.rs", 60),
        ])?;
        work.verify(iteration, passed)?;
        work.decide(iteration, passed)?;
    }
    work.merge("muster/task")?;
    work.complete(iterations)
}

fn review(author: &mut Author, task_id: TaskId) -> anyhow::Result<()> {
    let mut work = Work::claim(author, task_id, Role::Reviewer)?;
    work.verify(1, true)?;
    work.agent(1, Role::Reviewer)?;
    work.decide(1, true)?;
    work.merge("main")?;
    work.complete(1)
}

fn rehearsal() -> AgentConfig {
    AgentConfig {
        kind: AgentKind::Rehearsal,
        command: Vec::new(),
        model: None,
        env: std::collections::BTreeMap::new(),
        timeout_ms: Some(1_800_000),
        silence_timeout_ms: Some(300_000),
    }
}

fn tokens() -> TokenUsage {
    TokenUsage { input_tokens: 48_211, output_tokens: 3_907, total_tokens: 52_118 }
}

fn agent_result() -> AgentResult {
    AgentResult {
        success: true,
        summary: SUMMARY.to_owned(),
        exit_code: Some(0),
        stop_reason: Some("end_turn".to_owned()),
        duration_ms: 61_000,
        tokens: Some(tokens()),
        cost_usd: Some(0.42),
        model: Some("rehearsal".to_owned()),
    }
}

fn verification(passed: bool) -> VerificationReport {
    let check = CheckResult {
        name: "test".to_owned(),
        command: "cargo test --workspace".to_owned(),
        passed,
        exit_code: Some(if passed { 0 } else { 101 }),
        duration_ms: 21_000,
        tests: Some(TestCounts { passed: 24 - u32::from(!passed), failed: u32::from(!passed), skipped: 0 }),
        error: None,
        output_excerpt: OUTPUT.to_owned(),
    };
    VerificationReport { passed, checks: vec![check], commit: Some(COMMIT.to_owned()), duration_ms: 21_400 }
}
