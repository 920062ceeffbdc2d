//! The coder's loop: feedback, giving up, escalation, merges.

use muster_client::domain::command::InjectPrompt;
use serde_json::json;

use crate::support::{World, check, coder_script, settings};

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_fed_back_and_repaired() {
    let script = coder_script(&[
        json!([{"do": "write", "path": "sum.txt", "content": "2 + 2 = 5\n"}]),
        json!([{"do": "replace", "path": "sum.txt", "find": "= 5", "replace": "= 4"}]),
    ]);
    let mut world = World::new(&script, settings(&[("sum", "grep '= 4' sum.txt || { echo wrong sum; exit 3; }")]));
    let card = world.card("Sums", &["sum"]);
    world.run_until(card, "done").await;
    assert_eq!(world.repository.file_on("main", "sum.txt"), "2 + 2 = 4");
    let decisions: Vec<_> = world
        .data_of("strategy.decision")
        .iter()
        .map(|d| d["decision"]["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(decisions, ["accept", "continue", "accept", "accept"], "planner, coder twice, reviewer");
    let feedback = world.data_of("iteration.started")[2]["feedback"].to_string();
    assert!(feedback.contains("wrong sum") && feedback.contains("exited with 3"), "{feedback}");
    // The result files were there before anyone heard of them, and outlive the session.
    for (event, field) in [("agent.complete", "result_file"), ("verification.complete", "report_file")] {
        for data in world.data_of(event) {
            let path = data[field].as_str().unwrap();
            serde_json::from_slice::<serde_json::Value>(&std::fs::read(path).unwrap()).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_up_after_its_iterations() {
    let script = coder_script(&[json!([{"do": "say", "text": "hm"}]), json!([{"do": "say", "text": "hm"}])]);
    let mut project = settings(&[("never", "echo no; exit 1")]);
    project.max_iterations = 2;
    let mut world = World::new(&script, project);
    let card = world.card("Try", &["never"]);
    world.run_until(card, "failed").await;
    let complete = &world.data_of("run.complete")[1];
    assert_eq!((&complete["result"], &complete["total_iterations"]), (&json!("failed"), &json!(2)));
    assert_eq!(complete["error"]["kind"], "max_iterations");
    assert!(complete["error"]["log_excerpt"].as_str().unwrap().contains("no"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_program_that_is_not_installed_is_left_to_a_person() {
    let script = coder_script(&[json!([{"do": "write", "path": "a.txt", "content": "a"}])]);
    let mut project = settings(&[]);
    project.verification = vec![check("unit", &["no-such-test-runner", "--all"])];
    let mut world = World::new(&script, project);
    let card = world.card("Write a", &["unit"]);
    world.run_until(card, "blocked").await;
    let report = &world.data_of("verification.complete")[0]["report"];
    assert_eq!(report["checks"][0]["error"]["kind"], "command_not_found");
    assert_eq!(world.data_of("strategy.decision").last().unwrap()["decision"]["action"], "escalate");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_change_the_same_lines_are_done_again_on_top_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("open");
    let script = json!({
        "planner": [{"steps": [{"do": "plan", "plan": "Both at once.", "chunks": [{"title": "left"}, {"title": "right"}]}]}],
        "coder": [
            {"match": "left", "iterations": [1], "steps": [
                {"do": "write", "path": "notes.txt", "content": "left\n"}, {"do": "wait_for_file", "path": gate},
            ]},
            {"match": "left", "steps": [{"do": "append", "path": "notes.txt", "content": "left\n"}]},
            {"match": "right", "steps": [{"do": "write", "path": "notes.txt", "content": "right\n"}]},
        ],
    });
    let mut world = World::new(&script, settings(&[("unit", "test -e notes.txt")]));
    let card = world.card("Sides", &["unit"]);
    world.start();
    world.until(|plane| plane.events_of(&["branch.merged"]).len() == 1).await;
    std::fs::write(gate, "").unwrap();
    world.until(|plane| plane.leases() == 0 && plane.task(card).status.as_str() == "done").await;
    world.stop().await;
    world.assert_clean();
    assert_eq!(world.repository.file_on("main", "notes.txt"), "right\nleft");
    let feedbacks: Vec<_> = world.data_of("iteration.started").iter().map(|d| d["feedback"].to_string()).collect();
    assert!(feedbacks.iter().any(|f| f.contains("notes.txt") && f.contains("+left")), "{feedbacks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_command_line_can_be_an_agent() {
    let mut project = settings(&[("unit", "grep -q Greet prompt.txt && test \"$(cat role.txt)\" = coder")]);
    let line = r#"cat > prompt.txt; echo $MUSTER_ROLE > role.txt; test -s "$MUSTER_TASK_FILE";
        test -z "$MUSTER_TOKEN"; echo "{\"summary\": \"greeted\", \"cost_usd\": 0.25}" > "$MUSTER_OUT_DIR/result.json"; echo hello"#;
    let agent = json!({"kind": "command", "command": ["sh", "-ec", line], "env": {"API_KEY": "s3cret"}});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    let mut world = World::new(&json!({}), project);
    let card = world.card("Greet", &["unit"]);
    world.run_until(card, "done").await;
    let result = &world.data_of("agent.complete")[1]["result"];
    assert_eq!(
        (&result["summary"], &result["cost_usd"], &result["exit_code"]),
        (&json!("greeted"), &json!(0.25), &json!(0))
    );
    assert!(world.plane.output().contains("stdout: hello"));
    // What is granted to the agent is not told to anyone else.
    let told = serde_json::to_string(&world.data_of("run.started")).unwrap();
    assert!(told.contains("API_KEY") && !told.contains("s3cret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_add_during_a_run_is_told_at_the_next_iteration() {
    let line = r#"
        grep -q 'Say please' "$MUSTER_TASK_FILE" && echo please > word.txt
        echo "iteration $MUSTER_ITERATION"
        while test "$MUSTER_ITERATION" = 1 && ! test -e "$GATE"; do echo waiting; sleep 0.1; done"#;
    let gate = tempfile::tempdir().unwrap();
    let mut project = settings(&[("unit", "grep please word.txt")]);
    let env = json!({"GATE": gate.path().join("open")});
    let agent = json!({"kind": "command", "command": ["sh", "-c", line], "env": env});
    project.agents.insert("coder".to_owned(), serde_json::from_value(agent).unwrap());
    let mut world = World::new(&json!({}), project);
    let card = world.card("Ask", &["unit"]);
    world.start();
    world.until(|plane| plane.output().contains("iteration 1")).await;
    world.plane.send(InjectPrompt { task_id: card, message: "Say please".to_owned() }).unwrap();
    std::fs::write(gate.path().join("open"), "").unwrap();
    world.until(|plane| plane.leases() == 0 && plane.task(card).status.as_str() == "done").await;
    world.stop().await;
    world.assert_clean();
}
