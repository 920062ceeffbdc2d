//! What a takeover makes of a snapshot, as callers meet it.

use std::sync::Arc;

use http::StatusCode;
use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_test_kit::eventually;
use serde_json::json;

use crate::support::{App, PATIENCE};

#[tokio::test]
async fn a_project_that_was_quiet_since_the_snapshot_is_there_after_a_restart() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let app = App::over(Arc::clone(&log)).await;
    let (quiet, busy) = (app.project().await, app.project().await);
    eventually(PATIENCE, || {
        let (app, log) = (&app, &log);
        let path = format!("/api/projects/{busy}/tasks");
        async move {
            app.post(&path, &json!({ "title": "More" })).await.ok();
            log.snapshot(0).await.unwrap().is_some()
        }
    })
    .await;

    let app = App::over(app.stop().await).await;
    let created = app.post(&format!("/api/projects/{quiet}/tasks"), &json!({ "title": "One" })).await;
    assert_eq!(created.status, StatusCode::OK, "{:?}", created.body);
    // Not even its name is free.
    let again =
        app.post("/api/projects", &json!({ "project_id": quiet, "name": "Quiet", "repository_path": "/r" })).await;
    assert_eq!(again.body["code"], "project_exists");
}
