//! Properties that hold for every sequence of commands.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use uuid::Uuid;

use crate::command::{
    AddMember, AnswerQuestion, ApprovePlan, CancelTask, Command, CreateTask, DispatchTask, ExpireLeases, InjectPrompt,
    MoveTask, RejectPlan, RenewLease, Report, ReportRun, RequestRetry, UpdateTask,
};
use crate::event::{Event, EventData, UnknownEvent};
use crate::id::{QuestionId, RunId};
use crate::model::{MemberRole, Priority, Role, RunResult, TaskStatus};
use crate::state::{ProjectState, fold, fold_task};
use crate::testing::{
    LEASE_MS, Scenario, accept, check, claim, complete, given_manual_project, given_project, merged, plan, started,
    task, task_id,
};

/// A step of a generated history. Numbers pick among what exists, so that most steps are nearly possible.
#[derive(Debug, Clone)]
enum Step {
    Create {
        task: u64,
        blocked_by: Vec<u64>,
        priority: Priority,
    },
    User {
        task: u64,
        what: u8,
    },
    Claim {
        session: u128,
        role: Role,
    },
    Report {
        run: usize,
        token_off: u64,
        what: u8,
    },
    /// The next piece of work, done well.
    Work,
    Renew {
        run: usize,
    },
    Wait {
        ms: u64,
    },
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    let priority = proptest::sample::select(Priority::ALL);
    let role = proptest::sample::select(&[Role::Planner, Role::Coder, Role::Reviewer][..]);
    prop_oneof![
        2 => (1u64..5, proptest::collection::vec(1u64..5, 0..3), priority)
            .prop_map(|(task, blocked_by, priority)| Step::Create { task, blocked_by, priority }),
        4 => (1u64..5, 0u8..8).prop_map(|(task, what)| Step::User { task, what }),
        6 => (1u128..40, role).prop_map(|(session, role)| Step::Claim { session, role }),
        12 => (0usize..4, prop_oneof![9 => Just(0u64), 1 => Just(1)], 0u8..10)
            .prop_map(|(run, token_off, what)| Step::Report { run, token_off, what }),
        8 => Just(Step::Work),
        1 => (0usize..4).prop_map(|run| Step::Renew { run }),
        1 => (1u64..LEASE_MS * 2).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Expire),
    ]
}

/// Steps of histories in which tasks come to their end.
fn fruitful_step() -> impl Strategy<Value = Step> {
    let create = (1u64..7, proptest::collection::vec(1u64..7, 0..3)).prop_map(|(task, blocked_by)| Step::Create {
        task,
        blocked_by,
        priority: Priority::Medium,
    });
    let user = (1u64..7, 0u8..8).prop_map(|(task, what)| Step::User { task, what });
    prop_oneof![6 => create, 12 => Just(Step::Work), 1 => user, 1 => step()]
}

fn live_run(state: &ProjectState, index: usize) -> Option<(crate::id::TaskId, RunId, u64)> {
    let (run_id, task_id) = state.leases.iter().nth(index % state.leases.len().max(1))?;
    let lease = state.tasks.get(task_id)?.run(*run_id)?.lease.as_ref()?;
    Some((*task_id, *run_id, lease.fencing_token))
}

fn reports(what: u8) -> Vec<Report> {
    match what {
        0 => vec![started()],
        1 => vec![started(), plan(&[("One", &[]), ("Two", &[0])]), complete(RunResult::Succeeded)],
        2 | 3 => vec![started(), check(true), merged(), complete(RunResult::Succeeded)],
        4 => vec![started(), check(true), accept(), merged(), complete(RunResult::Succeeded)],
        5 => vec![check(false), complete(RunResult::Failed)],
        6 => vec![Report::ChangesRequested { feedback: "more".to_owned() }, complete(RunResult::Succeeded)],
        7 => vec![Report::Failed { error: error() }],
        8 => vec![plan(&[("Only", &[])]), complete(RunResult::Succeeded)],
        _ => vec![Report::Progress { message: "half".to_owned(), percent: Some(50) }],
    }
}

fn error() -> crate::model::BuildError {
    crate::model::BuildError {
        kind: crate::model::BuildErrorKind::AgentKilled,
        message: "killed".to_owned(),
        exit_code: None,
        log_excerpt: None,
    }
}

fn user_command(what: u8, n: u64) -> Command {
    let task_id = task_id(n);
    match what {
        0 | 1 => ApprovePlan { task_id, digest: None }.into(),
        2 => RejectPlan { task_id, digest: None, reason: "no".to_owned() }.into(),
        3 => CancelTask { task_id, reason: None }.into(),
        4 => RequestRetry { task_id, reason: None }.into(),
        5 => MoveTask { task_id, status: TaskStatus::Blocked }.into(),
        6 => DispatchTask { task_id: Some(task_id) }.into(),
        _ => InjectPrompt { task_id, message: "mind the gap".to_owned() }.into(),
    }
}

fn work(scenario: Scenario) -> Scenario {
    let session = 1000 + scenario.events.len() as u128;
    let scenario = scenario.when(claim(session, Role::ALL));
    let Some(outcome) = scenario.last.as_ref().is_ok_and(|count| *count > 0).then(|| scenario.outcome()) else {
        return scenario;
    };
    let (Some(work), Some(task_id)) = (outcome.claim, outcome.task_id) else { return scenario };
    let what = match work.role {
        Role::Planner => 8,
        Role::Coder => 2,
        _ => 4,
    };
    let (run_id, fencing_token) = (work.run_id, work.fencing_token);
    let scenario = scenario.when(ReportRun { task_id, run_id, fencing_token, reports: reports(what) });
    match work.role {
        Role::Planner => scenario.when(ApprovePlan { task_id, digest: None }),
        _ => scenario,
    }
}

fn play(scenario: Scenario, step: &Step) -> Scenario {
    match step {
        Step::Create { task: n, blocked_by, priority } => {
            let blocked_by = blocked_by.iter().map(|n| task_id(*n)).collect();
            scenario.when(CreateTask { blocked_by, priority: *priority, ..task(*n) })
        }
        Step::User { task, what } => scenario.when(user_command(*what, *task)),
        Step::Claim { session, role } => scenario.when(claim(*session, &[*role])),
        Step::Report { run, token_off, what } => {
            let Some((task_id, run_id, token)) = live_run(&scenario.state, *run) else { return scenario };
            let fencing_token = token.saturating_sub(*token_off);
            scenario.when(ReportRun { task_id, run_id, fencing_token, reports: reports(*what) })
        }
        Step::Work => work(scenario),
        Step::Renew { run } => {
            let Some((task_id, run_id, fencing_token)) = live_run(&scenario.state, *run) else { return scenario };
            scenario.when(RenewLease { task_id, run_id, fencing_token, lease_duration_ms: LEASE_MS })
        }
        Step::Wait { ms } => scenario.after_ms(*ms),
        Step::Expire => scenario.when(ExpireLeases {}),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    /// `Scenario` checks the invariants after each command; here they meet commands nobody thought of.
    #[test]
    fn any_commands_keep_the_invariants(steps in proptest::collection::vec(step(), 1..60)) {
        steps.iter().fold(given_project(), play);
    }

    #[test]
    fn a_task_folded_alone_equals_the_task_in_its_project(steps in proptest::collection::vec(step(), 1..40)) {
        let scenario = steps.iter().fold(given_project(), play);
        for (id, task) in scenario.state.tasks.iter() {
            let own = scenario.events.iter().filter(|event| event.task_id == Some(*id));
            let folded = own.fold(None, fold_task);
            prop_assert_eq!(folded.as_ref(), Some(task.as_ref()));
        }
    }

    #[test]
    fn events_return_from_json_and_fold_to_the_same_state(steps in proptest::collection::vec(step(), 1..30)) {
        let scenario = steps.iter().fold(given_project(), play);
        let json = serde_json::to_string(&scenario.events).unwrap();
        let returned: Vec<Event> = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&returned, &scenario.events);
        let state = returned.iter().fold(ProjectState::default(), fold);
        prop_assert_eq!(state, scenario.state);
    }

    /// The queues of [`crate::state::Tasks`] answer what looking at every task does.
    #[test]
    fn the_next_piece_of_work_is_the_one_a_look_at_every_task_finds(
        steps in proptest::collection::vec(step(), 1..60),
        manual in proptest::bool::ANY,
    ) {
        let mut scenario = if manual { given_manual_project() } else { given_project() };
        for step in &steps {
            scenario = play(scenario, step);
            let state = &scenario.state;
            for roles in [&[][..], &[Role::Planner], &[Role::Coder], &[Role::Reviewer, Role::Coder], Role::ALL] {
                prop_assert_eq!(state.tasks.next_for(roles), scan::next_for(state, roles));
            }
            prop_assert_eq!(state.tasks.next_to_dispatch(), scan::next_to_dispatch(state));
            prop_assert_eq!(state.tasks.next_lease_end(), scan::lease_ends(state).map(|(at, _)| at).min());
            let over = scan::lease_ends(state).filter(|(at, _)| *at <= scenario.now).map(|(_, task_id)| task_id);
            prop_assert_eq!(state.tasks.with_lease_over(scenario.now), over.collect());
            for n in 1..5 {
                let of_index: Vec<_> = state.tasks.dependents_of(task_id(n)).collect();
                prop_assert_eq!(of_index, scan::dependents_of(state, task_id(n)));
            }
        }
    }

    /// Which tasks are in memory changes no decision and nothing that follows from it.
    #[test]
    fn setting_tasks_aside_shows_nowhere(
        steps in proptest::collection::vec((fruitful_step(), proptest::collection::vec(1u64..7, 0..3)), 1..60),
    ) {
        let (mut plain, mut thrifty) = (given_project(), given_project());
        for (step, leave) in &steps {
            for n in leave {
                thrifty.set_aside(*n);
            }
            plain = play(plain, step);
            thrifty = play(thrifty, step);
            prop_assert_eq!(&plain.last, &thrifty.last);
            prop_assert_eq!(&plain.events, &thrifty.events);
        }
        prop_assert_eq!(plain.state, thrifty.whole_state());
    }

    /// From text that names fields, and from bytes that only count them, as snapshots are.
    #[test]
    fn a_state_returns_from_its_encodings_and_finds_the_same(
        steps in proptest::collection::vec(fruitful_step(), 1..60),
        aside in proptest::bool::ANY,
    ) {
        let mut scenario = steps.iter().fold(given_project(), play);
        for n in 1..7 {
            aside.then(|| scenario.set_aside(n));
        }
        let json = serde_json::to_vec(&scenario.state).unwrap();
        let bytes = rmp_serde::to_vec(&scenario.state).unwrap();
        let returned: [ProjectState; 2] =
            [serde_json::from_slice(&json).unwrap(), rmp_serde::from_slice(&bytes).unwrap()];
        for state in returned {
            prop_assert!(state.tasks.index_follows());
            prop_assert_eq!(&state, &scenario.state);
        }
    }

    #[test]
    fn what_happens_to_a_clone_leaves_the_original(steps in proptest::collection::vec(step(), 1..40), at in 0usize..40) {
        let (before, after) = steps.split_at(at.min(steps.len()));
        let scenario = before.iter().fold(given_project(), play);
        let (original, count) = (scenario.state.clone(), scenario.events.len());
        let scenario = after.iter().fold(scenario, play);
        let folded = scenario.events[..count].iter().fold(ProjectState::default(), fold);
        prop_assert_eq!(original, folded);
    }

    #[test]
    fn unknown_events_count_and_change_nothing_else(steps in proptest::collection::vec(step(), 1..30), at in 0usize..30) {
        let scenario = steps.iter().fold(given_project(), play);
        let at = at.min(scenario.events.len());
        let mut events = scenario.events.clone();
        let mut unknown = events[at.saturating_sub(1)].clone();
        unknown.task_id = None;
        unknown.data = EventData::Unknown(UnknownEvent { event_type: "moon.landed".to_owned(), data: serde_json::json!({"x": 1}) });
        events.insert(at, unknown);
        let state = events.iter().fold(ProjectState::default(), fold);
        let expected = ProjectState { position: state.position, ..scenario.state };
        prop_assert_eq!(state, expected);
    }
}

/// What the queues answer, found by looking at every task.
mod scan {
    use std::cmp::Reverse;

    use super::*;
    use crate::id::TaskId;
    use crate::model::SubtaskStatus;
    use crate::state::Task;
    use crate::time::Timestamp;

    fn most_urgent<'s>(tasks: impl Iterator<Item = &'s Task>) -> Option<&'s Task> {
        tasks.max_by_key(|task| (task.priority, Reverse((task.created_at, task.id))))
    }

    fn tasks(state: &ProjectState) -> impl Iterator<Item = &Task> {
        state.tasks.values().map(AsRef::as_ref)
    }

    pub(super) fn next_for<'s>(state: &'s ProjectState, roles: &[Role]) -> Option<&'s Task> {
        let ready = |task: &Task, role, subtask_id| roles.contains(&role) && !task.is_worked_on(role, subtask_id);
        most_urgent(tasks(state).filter(|task| {
            match task.status {
                TaskStatus::Inbox => task.dispatched && ready(task, Role::Planner, None),
                TaskStatus::Planning => ready(task, Role::Planner, None),
                TaskStatus::Ready | TaskStatus::InFlight => task.subtasks.iter().any(|subtask| {
                    subtask.status == SubtaskStatus::Ready && ready(task, Role::Coder, Some(subtask.id))
                }),
                TaskStatus::Review => ready(task, Role::Reviewer, None),
                _ => false,
            }
        }))
    }

    pub(super) fn next_to_dispatch(state: &ProjectState) -> Option<&Task> {
        let column = |status| matches!(status, TaskStatus::Inbox | TaskStatus::Blocked);
        most_urgent(tasks(state).filter(|task| !task.dispatched && column(task.status)))
    }

    pub(super) fn lease_ends(state: &ProjectState) -> impl Iterator<Item = (Timestamp, TaskId)> {
        state.leases.iter().filter_map(|(run_id, task_id)| {
            Some((state.task(*task_id)?.run(*run_id)?.lease.as_ref()?.expires_at, *task_id))
        })
    }

    pub(super) fn dependents_of(state: &ProjectState, blocker: TaskId) -> Vec<&Task> {
        tasks(state).filter(|task| task.blocked_by.contains(&blocker)).collect()
    }
}

/// The generated histories are worth their name: they reach every status a task can have.
#[test]
fn generated_histories_reach_the_far_end() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = proptest::collection::vec(step(), 50..60);
    let mut reached = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let steps = steps.new_tree(&mut runner).unwrap().current();
        let scenario = steps.iter().fold(given_project(), play);
        for event in &scenario.events {
            if let EventData::TaskStatusChanged(changed) = &event.data {
                reached.insert(changed.new_status);
            }
        }
    }
    for status in TaskStatus::ALL {
        assert!(reached.contains(status), "no history reached {status}");
    }
}

/// Histories in which tasks can be set aside, return, and are named by others while they are away.
#[test]
fn generated_histories_set_tasks_aside() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = proptest::collection::vec(fruitful_step(), 50..60);
    let (mut left, mut returned, mut named) = (0, 0, 0);
    for _ in 0..100 {
        let steps = steps.new_tree(&mut runner).unwrap().current();
        let mut scenario = given_project();
        for step in &steps {
            left += (1..7).filter(|n| scenario.set_aside(*n)).count();
            let aside = scenario.state.aside.clone();
            scenario = play(scenario, step);
            returned += aside.keys().filter(|id| !scenario.state.is_aside(**id)).count();
            if let Step::Create { task: n, blocked_by, .. } = step {
                named += [n].into_iter().chain(blocked_by).filter(|n| aside.contains_key(&task_id(**n))).count();
            }
        }
    }
    assert!(left > 50 && returned > 20 && named > 20, "{left} left, {returned} returned, {named} were named");
}

/// Commands travel as JSON, and unknown fields are refused by name.
#[test]
fn commands_return_from_json() {
    let commands: Vec<Command> = vec![
        task(1).into(),
        UpdateTask {
            task_id: task_id(1),
            title: Some("t".to_owned()),
            description: None,
            priority: None,
            complexity: None,
            acceptance_criteria: None,
        }
        .into(),
        AddMember { user: "bob".to_owned(), role: MemberRole::Viewer }.into(),
        AnswerQuestion { task_id: task_id(1), question_id: QuestionId(Uuid::from_u128(2)), answer: "yes".to_owned() }
            .into(),
        ReportRun { task_id: task_id(1), run_id: RunId(Uuid::from_u128(3)), fencing_token: 4, reports: reports(1) }
            .into(),
    ];
    for command in commands {
        let json = serde_json::to_value(&command).unwrap();
        assert_eq!(serde_json::from_value::<Command>(json.clone()).unwrap(), command);
        let mut odd = json;
        odd["frobnicate"] = serde_json::json!(1);
        let error = serde_json::from_value::<Command>(odd).unwrap_err().to_string();
        assert!(error.contains("frobnicate"), "{error}");
    }
}
