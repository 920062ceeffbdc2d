//! The analytics views say what the tale tells.

use serde_json::{Value, json};

use crate::support::{fresh_store, scalar};
use crate::tale::whole_tale;

#[tokio::test]
async fn the_views_add_up() {
    let store = fresh_store().await;
    let tale = whole_tale("views");
    store.apply_batch(0, &tale.records(), 1000).await.unwrap();

    let completion: Value = scalar(&store, "select to_jsonb(t) - 'project_id' from analytics_completion t").await;
    assert_eq!(
        completion,
        json!({"tasks": 2, "done": 1, "failed": 0, "cancelled": 1, "open": 0, "completion_rate": 0.5})
    );

    let stays: Value = scalar(
        &store,
        "select jsonb_agg(jsonb_build_array(t.status, duration_ms is null) order by entered_at)
         from analytics_status_time t join tasks using (task_id) where title = 'Size'",
    )
    .await;
    assert_eq!(stays, json!([["inbox", false], ["planning", false], ["failed", false], ["done", true]]));
    let inbox: i64 = scalar(
        &store,
        "select duration_ms from analytics_status_time t join tasks using (task_id)
         where title = 'Size' and t.status = 'inbox'",
    )
    .await;
    assert_eq!(inbox, 4000, "from position 8 to position 12, a second and a microsecond each");

    let errors: Value =
        scalar(&store, "select jsonb_object_agg(event_type || ' ' || kind, errors) from analytics_errors").await;
    assert_eq!(
        errors,
        json!({"error.occurred protocol": 1, "agent.failed agent_killed": 1, "run.failed agent_killed": 1,
            "task.failed gave_up": 1})
    );

    let coder: Value = scalar(
        &store,
        "select to_jsonb(t) - 'project_id' - 'cost_usd' from analytics_cost_by_role t where role = 'coder'",
    )
    .await;
    assert_eq!(
        coder,
        json!({"role": "coder", "runs": 1, "succeeded": 1, "failed": 0, "total_tokens": 30, "runs_without_cost": 0,
            "duration_ms": 3000})
    );
    let unknown: Value =
        scalar(&store, "select to_jsonb(t) from analytics_cost_by_role t where role = 'planner'").await;
    assert_eq!((&unknown["cost_usd"], &unknown["runs_without_cost"]), (&Value::Null, &json!(1)));
    assert_eq!(unknown["project_id"], json!(tale.project_id));
}
