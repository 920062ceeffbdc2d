//! Every event of the catalogue becomes rows.

use std::collections::BTreeSet;

use muster_domain::event::EventData;
use muster_schemas::samples::{minimal_events, sample_events};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::support::{TABLES, fresh_store, scalar};
use crate::tale::{id, whole_tale};

#[test]
fn the_tale_tells_every_event_type() {
    let told: BTreeSet<_> = whole_tale("all").events.iter().map(|event| event.event_type().to_owned()).collect();
    for event_type in EventData::TYPES {
        assert!(told.contains(*event_type), "{event_type} does not happen");
    }
}

#[tokio::test]
async fn every_event_type_is_applied_and_every_table_has_rows() {
    let store = fresh_store().await;
    let tale = whole_tale("all");
    let records = tale.records();

    let applied = store.apply_batch(3, &records, 1000).await.unwrap();

    assert_eq!(applied.events, records.len());
    assert_eq!(applied.positions, [(tale.project_id, records.len() as u64)]);
    assert_eq!(store.project_position(tale.project_id).await.unwrap(), records.len() as u64);
    assert_eq!(store.next_offset(3).await.unwrap(), 1000);
    for table in TABLES {
        let sql = format!("select count(*) from {table}");
        let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(store.pool()).await.unwrap();
        assert!(rows > 0, "{table} is empty");
    }
}

#[tokio::test]
async fn made_up_events_of_every_type_are_applied_too() {
    let store = fresh_store().await;
    for (partition, events) in [(0, sample_events()), (1, minimal_events())] {
        let project = muster_domain::id::ProjectId(uuid::Uuid::from_u128(u128::from(partition)));
        let records: Vec<_> = (0..)
            .zip(events)
            .map(|(offset, mut event)| {
                event.project_id = project;
                (offset, Arc::new(event))
            })
            .collect();
        let applied = store.apply_batch(partition, &records, 1000).await.unwrap();
        assert_eq!(applied.events, EventData::TYPES.len());
        assert_eq!(store.verify_audit_chain(project).await.unwrap().fault, None);
    }
}

#[tokio::test]
async fn rows_say_what_happened() {
    let store = fresh_store().await;
    let tale = whole_tale("rows");
    let of = |name: &str| id(tale.project_id, name);
    store.apply_batch(0, &tale.records(), 1000).await.unwrap();

    let task: Value = scalar(&store, "select to_jsonb(t) from tasks t where title = 'Size'").await;
    let expected = json!({
        "status": "done", "priority": "high", "priority_rank": 2, "plan": "# Plan", "plan_state": "approved",
        "plan_decided_by": "alice", "plan_digest": "bb", "total_tokens": 30, "input_tokens": 20, "error": null,
        "subtask_count": 3, "review_rounds": 0, "retry_count": 1, "current_run_id": of("open"),
        "assigned_session_id": of("session"), "merge_commit": "c9", "pr_url": "https://example.org/pr/1",
        "description": "Text \u{fffd} with a NUL.", "dispatched": true, "progress_percent": 40,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&task[field], value, "tasks.{field}");
    }
    assert!((task["cost_usd"].as_f64().unwrap() - 0.3).abs() < 1e-9);

    let subtasks: Value =
        scalar(&store, "select jsonb_agg(jsonb_build_array(title, status, ordinal) order by ordinal) from subtasks")
            .await;
    assert_eq!(subtasks, json!([["One", "merged", 0], ["Two", "ready", 1], ["Address review 1", "ready", 2]]));

    let members: Value = scalar(&store, "select jsonb_object_agg(user_id, role) from project_members").await;
    assert_eq!(members, json!({"alice": "owner", "bob": "operator"}));

    let session: Value = scalar(&store, "select to_jsonb(t) from sessions t").await;
    assert_eq!(session["tokens_used"], 30);
    assert_eq!(session["status"], "working");
    assert_eq!(session["current_run_id"], json!(of("open")));

    let runs: Value = scalar(
        &store,
        "select jsonb_object_agg(role, jsonb_build_array(status, lease_live, iteration, release_reason)) from runs",
    )
    .await;
    assert_eq!(
        runs,
        json!({
            "planner": ["succeeded", false, 1, "finished"], "coder": ["succeeded", false, 2, "finished"],
            "reviewer": ["failed", false, 1, "lease_expired"], "tester": ["running", true, 1, null],
        })
    );

    let question: Value = scalar(&store, "select to_jsonb(t) from questions t").await;
    assert_eq!((&question["answer"], &question["answered_by"]), (&json!("yes"), &json!("bob")));
}

#[tokio::test]
async fn sums_and_paths_end_where_columns_do() {
    let store = fresh_store().await;
    let mut tale = whole_tale("large");
    let run = id(tale.project_id, "code");
    let most = (1_u64 << 53) - 1;
    let tokens = json!({"input_tokens": most, "output_tokens": 1, "total_tokens": most});
    for iteration in 0..1100 {
        let result =
            json!({"success": true, "summary": "", "duration_ms": most, "tokens": tokens, "cost_usd": f64::MAX});
        tale.tell(
            Some("task"),
            "agent.complete",
            json!({"run_id": run, "iteration": iteration % 3, "result": result, "result_file": "f"}),
        );
    }
    // Text that does not compress, as a compressed one would fit.
    let noise: String = (0..400).map(|number| id(tale.project_id, &number.to_string()).to_string()).collect();
    for path in [format!("{noise}a"), format!("{noise}b"), "ä".repeat(5_000), "short".to_owned()] {
        let change = json!({"run_id": run, "path": path, "change": "added", "lines_added": 1, "lines_removed": 0});
        tale.tell(Some("task"), "file.modified", change);
    }

    store.apply_batch(0, &tale.records(), 10_000).await.unwrap();

    let sums: Value =
        scalar(&store, "select jsonb_build_array(input_tokens, cost_usd = 'inf') from tasks where title = 'Size'")
            .await;
    assert_eq!(sums, json!([i64::MAX, false]));
    let used: i64 = scalar(&store, "select tokens_used from sessions").await;
    assert!(used > 0);
    let paths: Value = scalar(
        &store,
        "select jsonb_build_array(count(*), max(octet_length(path)) <= 2000, bool_or(path = 'short')) from file_changes",
    )
    .await;
    assert_eq!(paths, json!([5, true, true]), "the tale's own, and each of these");
}
