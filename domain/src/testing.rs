//! given / when / then for decisions: states are made by commands, never by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::command::{ApprovePlan, ClaimWork, Command, CreateProject, CreateTask, PlannedChunk, Report, ReportRun};
use crate::decide::{Actor, ClaimOutcome, Context, Limits, Outcome, Request, SeededIds, handle};
use crate::event::Event;
use crate::id::{CommandId, ProjectId, SessionId, TaskId};
use crate::invariants;
use crate::model::{
    AgentConfig, AgentKind, CheckResult, Complexity, Priority, ProjectSettings, Role, RunResult, Source,
    StrategyAction, StrategyDecision, VerificationCommand, VerificationReport,
};
use crate::rejection::Rejection;
use crate::state::{ProjectState, Task, fold};
use crate::time::Timestamp;

pub(crate) const OWNER: &str = "ada";
pub(crate) const LEASE_MS: u64 = 1000;

/// A project under test: its state, and every event so far.
pub(crate) struct Scenario {
    pub(crate) state: ProjectState,
    pub(crate) events: Vec<Event>,
    pub(crate) now: Timestamp,
    ids: SeededIds,
    commands: u128,
    pub(crate) last: Result<usize, Rejection>,
    /// Tasks that were set aside.
    away: BTreeMap<TaskId, Arc<Task>>,
}

pub(crate) fn given() -> Scenario {
    Scenario {
        state: ProjectState::default(),
        events: Vec::new(),
        now: Timestamp::from_micros(1_700_000_000_000_000),
        ids: SeededIds::new(7),
        commands: 0,
        last: Ok(0),
        away: BTreeMap::new(),
    }
}

impl Scenario {
    pub(crate) fn when(self, command: impl Into<Command>) -> Self {
        self.when_by(OWNER, command)
    }

    pub(crate) fn when_by(mut self, user: &str, command: impl Into<Command>) -> Self {
        self.commands += 1;
        self.now = self.now.plus_ms(0);
        let request = Request {
            command_id: CommandId(Uuid::from_u128(self.commands)),
            digest: "d".to_owned(),
            project_id: ProjectId(Uuid::from_u128(1)),
            expected_sequence: None,
            correlation_id: Uuid::from_u128(self.commands),
            causation_id: None,
            command: command.into(),
        };
        let mut ctx = Context {
            now: self.now,
            actor: Actor { user: user.to_owned(), admin: false },
            source: Source::Cli,
            limits: Limits::default(),
            ids: &mut self.ids,
        };
        let touched: Vec<_> = request.command.touches().filter_map(|id| self.away.remove(&id)).collect();
        for task in touched {
            self.state.put_back(task).unwrap();
        }
        let before = self.state.clone();
        self.last = handle(&self.state, &request, &mut ctx).map(|events| {
            for event in &events {
                self.state = fold(std::mem::take(&mut self.state), event);
            }
            let count = events.len();
            self.events.extend(events);
            count
        });
        if self.last.is_err() {
            assert_eq!(before, self.state);
        }
        let whole = self.whole_state();
        if whole.aside.is_empty() {
            invariants::check(&whole, &self.events).unwrap();
        }
        self
    }

    /// Sets the task of that number aside, if that is possible. It returns when a command touches it.
    pub(crate) fn set_aside(&mut self, n: u64) -> bool {
        let task = self.state.set_aside(task_id(n));
        task.map(|task| self.away.insert(task.id, task)).is_some()
    }

    /// The state as it is with everything put back that was set aside.
    pub(crate) fn whole_state(&self) -> ProjectState {
        let mut state = self.state.clone();
        for task in self.away.values() {
            state.put_back(task.clone()).unwrap();
        }
        state
    }

    pub(crate) fn after_ms(mut self, ms: u64) -> Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    pub(crate) fn ok(self) -> Self {
        self.last.as_ref().unwrap();
        self
    }

    pub(crate) fn then_events(self, types: &[&str]) -> Self {
        let count = *self.last.as_ref().unwrap();
        let got: Vec<_> = self.events[self.events.len() - count..].iter().map(Event::event_type).collect();
        assert_eq!(got, types);
        self
    }

    pub(crate) fn then_rejected(self, code: &str) -> Self {
        assert_eq!(self.last.as_ref().expect_err("it was accepted").code(), code);
        self
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let count = *self.last.as_ref().unwrap();
        Outcome::of(&self.events[self.events.len() - count..]).unwrap()
    }
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId(Uuid::from_u128(u128::from(n)))
}

pub(crate) fn project_settings() -> ProjectSettings {
    ProjectSettings {
        verification: vec![VerificationCommand {
            name: "tests".to_owned(),
            command: vec!["make".to_owned(), "test".to_owned()],
            timeout_ms: None,
        }],
        ..ProjectSettings::default()
    }
}

pub(crate) fn create_project(settings: ProjectSettings) -> CreateProject {
    CreateProject {
        name: "Demo".to_owned(),
        repository_path: "/repo".to_owned(),
        default_branch: "main".to_owned(),
        settings,
    }
}

pub(crate) fn given_project() -> Scenario {
    given().when(create_project(project_settings())).ok()
}

pub(crate) fn given_manual_project() -> Scenario {
    given().when(create_project(ProjectSettings { auto_dispatch: false, ..project_settings() })).ok()
}

pub(crate) fn task(n: u64) -> CreateTask {
    CreateTask {
        task_id: Some(task_id(n)),
        title: format!("Task {n}"),
        description: "Make it work".to_owned(),
        acceptance_criteria: vec![crate::command::Criterion::Text("The tests pass".to_owned())],
        priority: Priority::Medium,
        complexity: Complexity::S,
        blocked_by: Vec::new(),
        interactive: false,
    }
}

pub(crate) fn claim(session: u128, roles: &[Role]) -> ClaimWork {
    ClaimWork {
        session_id: SessionId(Uuid::from_u128(session)),
        session_key: format!("s{session}"),
        roles: roles.to_vec(),
        lease_duration_ms: LEASE_MS,
        workspace_dir: "/w".to_owned(),
        data_dir: "/d".to_owned(),
    }
}

/// A project whose task 1 is claimed by a planner.
pub(crate) fn given_claimed() -> (Scenario, ClaimOutcome) {
    let scenario = given_project().when(task(1)).ok().when(claim(1, &[Role::Planner])).ok();
    let outcome = scenario.outcome().claim.unwrap();
    (scenario, outcome)
}

pub(crate) fn report(claim: &ClaimOutcome, report: Report) -> ReportRun {
    reports(claim, vec![report])
}

pub(crate) fn reports(claim: &ClaimOutcome, reports: Vec<Report>) -> ReportRun {
    ReportRun { task_id: task_id(1), run_id: claim.run_id, fencing_token: claim.fencing_token, reports }
}

pub(crate) fn started() -> Report {
    let harness_config = AgentConfig {
        kind: AgentKind::Rehearsal,
        command: Vec::new(),
        model: None,
        env: std::collections::BTreeMap::new(),
        timeout_ms: None,
        silence_timeout_ms: None,
    };
    Report::Started { iteration: 1, harness_config }
}

pub(crate) fn complete(result: RunResult) -> Report {
    Report::Complete {
        result,
        total_iterations: 1,
        duration_ms: 5,
        pr_url: None,
        error: None,
        tokens: None,
        cost_usd: None,
    }
}

pub(crate) fn plan(chunks: &[(&str, &[u32])]) -> Report {
    let chunks = chunks
        .iter()
        .map(|(title, on)| PlannedChunk {
            title: (*title).to_owned(),
            description: String::new(),
            depends_on: on.to_vec(),
        })
        .collect();
    Report::PlanReady { plan: "# Plan".to_owned(), chunks, estimated_cost_usd: None }
}

/// A project whose task 1 has a plan of two chunks, the second after the first, that waits for a decision.
pub(crate) fn given_plan() -> Scenario {
    let (scenario, claim) = given_claimed();
    let all = vec![started(), plan(&[("One", &[]), ("Two", &[0])]), complete(RunResult::Succeeded)];
    scenario.when(reports(&claim, all)).ok()
}

/// The same with its plan approved and its first chunk claimed by a coder.
pub(crate) fn approved_claim() -> (Scenario, ClaimOutcome) {
    let approve = ApprovePlan { task_id: task_id(1), digest: None };
    let scenario = given_plan().when(approve).ok().when(claim(10, &[Role::Coder])).ok();
    let outcome = scenario.outcome().claim.unwrap();
    (scenario, outcome)
}

/// The same with both chunks merged and a reviewer at work.
pub(crate) fn given_reviewing() -> (Scenario, ClaimOutcome) {
    let (mut scenario, mut work) = approved_claim();
    for (session, role) in [(11, Role::Coder), (12, Role::Reviewer)] {
        let all = vec![started(), check_passed(), merged(), complete(RunResult::Succeeded)];
        scenario = scenario.when(reports(&work, all)).ok().when(claim(session, &[role])).ok();
        work = scenario.outcome().claim.unwrap();
    }
    (scenario, work)
}

pub(crate) fn check_passed() -> Report {
    check(true)
}

pub(crate) fn check(passed: bool) -> Report {
    let result = CheckResult {
        name: "tests".to_owned(),
        command: "make test".to_owned(),
        passed,
        exit_code: Some(i32::from(!passed)),
        duration_ms: 3,
        tests: None,
        error: None,
        output_excerpt: String::new(),
    };
    let report = VerificationReport { passed, checks: vec![result], commit: None, duration_ms: 3 };
    Report::VerificationComplete { iteration: 1, report, report_file: "r.json".to_owned() }
}

pub(crate) fn merged() -> Report {
    Report::BranchMerged { branch: "b".to_owned(), into: "main".to_owned(), merge_commit: "c0ffee".to_owned() }
}

pub(crate) fn accept() -> Report {
    let decision = StrategyDecision { action: StrategyAction::Accept, reason: "it works".to_owned(), feedback: None };
    Report::StrategyDecision { iteration: 1, decision }
}
