//! A card from the inbox to done: planner, coders, reviewer.

use muster_client::domain::command::AnswerQuestion;
use serde_json::json;

use crate::support::{World, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_planned_coded_reviewed_and_merged() {
    let script = json!({
        "planner": [{"steps": [
            {"do": "say", "text": "Two steps."},
            {"do": "plan", "plan": "First a, then b.", "estimated_cost_usd": 0.5, "chunks": [
                {"title": "Write a", "description": "the file a.txt"},
                {"title": "Write b", "description": "the file b.txt", "depends_on": [0]},
            ]},
            {"do": "usage", "input_tokens": 100, "output_tokens": 20, "cost_usd": 0.01, "model": "rehearsal-1"},
        ]}],
        "coder": [
            {"match": "write a", "steps": [
                {"do": "ask_permission", "title": "write a.txt"},
                {"do": "write", "path": "a.txt", "content": "alpha\n"},
                {"do": "artifact", "name": "notes.md", "content": "# a"},
            ]},
            {"match": "write b", "steps": [{"do": "append", "path": "a.txt", "content": "beta\n"}]},
        ],
    });
    let mut world = World::new(
        &script,
        settings(&[("unit", "grep -q alpha a.txt && echo 'test result: ok. 2 passed; 0 failed; 0 ignored'")]),
    );
    let card = world.card("Write letters", &["unit"]);
    let before = world.repository.git(&["rev-parse", "main"]);
    world.run_until(card, "done").await;

    assert_eq!(world.repository.file_on("main", "a.txt"), "alpha\nbeta");
    // The person's own checked-out tree came along, clean.
    assert_eq!(std::fs::read_to_string(world.repository.path().join("a.txt")).unwrap(), "alpha\nbeta\n");
    assert_eq!(world.repository.git(&["status", "--porcelain"]), "");
    assert_ne!(world.repository.git(&["rev-parse", "main"]), before);
    let task = world.plane.task(card);
    assert_eq!(task.subtasks.len(), 2);
    assert_eq!(world.data_of("run.complete").len(), 4);
    assert_eq!(world.data_of("branch.merged").len(), 3);
    assert_eq!(world.data_of("plan.ready")[0]["estimated_cost_usd"], 0.5);
    let planner = &world.data_of("run.complete")[0];
    assert_eq!((&planner["tokens"]["total_tokens"], &planner["cost_usd"]), (&json!(120), &json!(0.01)));
    // Unknown is not zero.
    assert_eq!(world.data_of("run.complete")[1]["cost_usd"], json!(null));
    assert_eq!(world.data_of("test.passed")[0]["tests"]["passed"], 2);
    assert_eq!(world.data_of("artifact.added")[0]["artifact"]["description"], "notes.md");
    let modified = &world.data_of("file.modified")[0];
    assert_eq!(
        (&modified["path"], &modified["change"], &modified["lines_added"]),
        (&json!("a.txt"), &json!("added"), &json!(1))
    );
    let output = world.plane.output();
    assert!(output.contains("agent: Two steps.") && output.contains("agent: wrote a.txt"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_run_come_in_the_order_of_the_loop() {
    let script = json!({"coder": [{"steps": [{"do": "write", "path": "a.txt", "content": "a\n"}]}]});
    let mut world = World::new(&script, settings(&[("unit", "test -e a.txt")]));
    let card = world.card("Write a", &["unit"]);
    world.run_until(card, "done").await;
    let types = world.plane.types();
    let from = types.iter().position(|t| t == "chunk.started").unwrap();
    let loop_types: Vec<_> = types[from..]
        .iter()
        .map(String::as_str)
        .filter(|t| {
            [
                "workspace.",
                "run.",
                "iteration.",
                "agent.started",
                "agent.complete",
                "snapshot.",
                "file.",
                "verification.",
                "strategy.",
                "branch.",
            ]
            .iter()
            .any(|p| t.starts_with(p))
        })
        .take(15)
        .collect();
    let expected = [
        "workspace.acquired",
        "run.started",
        "iteration.started",
        "agent.started",
        "agent.complete",
        "snapshot.created",
        "file.modified",
        "verification.started",
        "verification.complete",
        "strategy.decision",
        "iteration.complete",
        "branch.merged",
        "workspace.released",
        "run.complete",
        "run.queued",
    ];
    assert_eq!(loop_types, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_wants_changes_makes_another_chunk() {
    let script = json!({
        "coder": [
            {"match": "Write a", "iterations": [1], "steps": [{"do": "append", "path": "a.txt", "content": "a\n"}]},
        ],
        "reviewer": [{"steps": [{"do": "review", "verdict": "changes", "feedback": "More of it, please."}]}],
    });
    let mut project = settings(&[("unit", "test -e a.txt")]);
    project.max_iterations = 2;
    let mut world = World::new(&script, project);
    let card = world.card("Write a", &["unit"]);
    world.run_until(card, "failed").await;
    let changes = world.data_of("review.changes_requested");
    assert_eq!(changes.len(), 3, "as many rounds as the project allows");
    assert_eq!(changes[0]["feedback"], "More of it, please.");
    assert_eq!(world.repository.git(&["log", "--format=%s", "main"]), "Begin", "nothing landed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_makes_no_sense_is_fed_back_to_the_planner() {
    let script = json!({"planner": [
        {"iterations": [1], "steps": [{"do": "artifact", "name": "plan.json", "content": "{\"plan\": 5"}]},
        {"iterations": [2], "steps": [{"do": "say", "text": "Just do it."}]},
    ]});
    let mut project = settings(&[]);
    project.require_plan_approval = true;
    let mut world = World::new(&script, project);
    let card = world.card("Write a", &[]);
    world.run_until(card, "plan_review").await;
    assert_eq!(world.data_of("agent.failed")[0]["error"]["kind"], "protocol");
    let feedback = world.data_of("iteration.started")[1]["feedback"].to_string();
    assert!(feedback.contains("plan.json"), "{feedback}");
    // Without a plan file, the last words are the plan.
    assert_eq!(world.data_of("plan.ready")[0]["plan"], "Just do it.");
    assert_eq!(world.plane.task(card).plan.unwrap().chunks[0].title, "Write a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_criterion_without_evidence_is_left_to_a_person() {
    let script = json!({"coder": [{"steps": [{"do": "write", "path": "a.txt", "content": "a\n"}]}]});
    // No verification at all: nothing shows the criterion.
    let mut world = World::new(&script, settings(&[]));
    let card = world.card_with_open_criterion("Write a");
    world.run_until(card, "blocked").await;
    let decisions = world.data_of("strategy.decision");
    assert_eq!(decisions.last().unwrap()["decision"]["action"], "escalate");
    assert_eq!(world.repository.git(&["log", "--format=%s", "main"]), "Begin", "nothing landed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_goes_on_with_the_answer() {
    let script = json!({"coder": [{"steps": [
        {"do": "write", "path": "a.txt", "content": "a\n"},
        {"do": "ask", "question": "Which colour?", "options": ["red", "blue"]},
        {"do": "append", "path": "a.txt", "content": "b\n"},
    ]}]});
    let mut world = World::new(&script, settings(&[("unit", "grep -q b a.txt")]));
    let card = world.card("Write a", &["unit"]);
    world.start();
    world.until(|plane| !plane.task(card).questions.is_empty()).await;
    let question = world.plane.task(card).questions[0].clone();
    assert_eq!((question.question.as_str(), question.options.len()), ("Which colour?", 2));
    let answer = "green".to_owned();
    world.plane.send(AnswerQuestion { task_id: card, question_id: question.id, answer }).unwrap();
    world.until(|plane| plane.leases() == 0 && plane.task(card).status.as_str() == "done").await;
    world.stop().await;
    world.assert_clean();
    assert!(world.plane.output().contains("agent: The answer is: green"));
    assert_eq!(world.data_of("iteration.started").len(), 3, "asking takes no iteration");
}
