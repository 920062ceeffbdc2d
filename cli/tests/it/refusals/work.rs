//! Work: leases, fencing tokens, and what someone may report who has none.

use muster_client::Client;
use muster_client::api::{ClaimRequest, HeartbeatRequest, OutputLine, OutputRequest, ReportsRequest};
use muster_client::domain::command::{Report, WorkOrder};
use muster_client::domain::id::SessionId;
use muster_client::domain::model::Role;
use muster_client::domain::time::Timestamp;
use muster_client::schemas::OutputStream;
use muster_test_kit::eventually_some;
use serde_json::json;
use uuid::Uuid;

use super::Project;
use crate::support::WITHIN;
use crate::support::server::{DevServer, shared};

fn runner(server: &DevServer) -> Client {
    Client::new(server.url(), &server.service_token()).expect("a client").with_source("orchestrator")
}

async fn claim(client: &Client, project: &Project, lease_duration_ms: u64) -> Option<WorkOrder> {
    let request = ClaimRequest {
        session_id: SessionId(Uuid::now_v7()),
        session_key: "by hand".to_owned(),
        roles: vec![Role::Planner],
        lease_duration_ms: Some(lease_duration_ms),
        workspace_dir: "/nowhere".to_owned(),
        data_dir: "/nowhere".to_owned(),
        project_ids: Some(vec![project.id.parse().expect("an id")]),
        wait_ms: Some(1_000),
    };
    client.claim(&request, None).await.expect("an answer to a claim")
}

fn progress(order: &WorkOrder) -> ReportsRequest {
    let report = Report::Progress { message: "still here".to_owned(), percent: Some(50) };
    ReportsRequest { task_id: order.task_id, fencing_token: order.fencing_token, reports: vec![report] }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_card_is_one_claim_and_a_lost_lease_is_worth_nothing() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    project.task(server, "Plan me").await;
    let client = runner(server);
    let first = claim(&client, &project, 1_500).await.expect("work");
    assert!(claim(&client, &project, 1_500).await.is_none() || first.attempt == 1, "it is claimed");

    // The lease ends, as nobody renews it, and the work goes to another.
    let second = eventually_some(WITHIN, || claim(&client, &project, 60_000)).await;
    assert_eq!(second.task_id, first.task_id);
    assert!(second.fencing_token > first.fencing_token);

    let report = client.report(first.run_id, &progress(&first), None).await.unwrap_err();
    assert!(report.is("stale_fencing_token"), "{report}");
    let heartbeat =
        HeartbeatRequest { task_id: first.task_id, fencing_token: first.fencing_token, lease_duration_ms: None };
    let heartbeat = client.heartbeat(first.run_id, &heartbeat).await.unwrap_err();
    assert!(heartbeat.is("stale_fencing_token"), "{heartbeat}");
    let line = OutputLine {
        timestamp: Timestamp::from_micros(0),
        stream: OutputStream::Stdout,
        content: "from the dead".to_owned(),
    };
    let output = OutputRequest {
        project_id: first.project_id,
        task_id: first.task_id,
        fencing_token: first.fencing_token,
        first_line_number: 1,
        lines: vec![line],
    };
    let output = client.append_output(first.run_id, &output).await.unwrap_err();
    assert!(output.is("stale_fencing_token"), "{output}");

    let forged = ReportsRequest { fencing_token: second.fencing_token + 1, ..progress(&second) };
    assert!(client.report(second.run_id, &forged, None).await.unwrap_err().is("stale_fencing_token"));
    client.report(second.run_id, &progress(&second), None).await.expect("the live one is heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_no_work_of_others() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    project.task(server, "Not for strangers").await;
    let request = ClaimRequest {
        session_id: SessionId(Uuid::now_v7()),
        session_key: "stranger".to_owned(),
        roles: vec![Role::Planner],
        lease_duration_ms: None,
        workspace_dir: "/nowhere".to_owned(),
        data_dir: "/nowhere".to_owned(),
        project_ids: None,
        wait_ms: None,
    };
    let claimed = server.stranger().claim(&request, None).await;
    assert!(
        matches!(claimed, Ok(None)) || claimed.as_ref().is_err_and(|error| error.status() == Some(403)),
        "{claimed:?}"
    );
    let order = claim(&runner(server), &project, 60_000).await;
    assert!(order.is_some(), "the work is still there");
}
