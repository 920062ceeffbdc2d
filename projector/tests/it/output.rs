//! Agent output becomes rows, once each.

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{AgentOutput, EventLog, OutputStream};
use muster_test_kit::eventually;
use uuid::Uuid;

use crate::support::{Running, SOON, fresh_store};

fn lines(run: u128, numbers: std::ops::RangeInclusive<u64>) -> Vec<AgentOutput> {
    numbers
        .map(|line_number| AgentOutput {
            project_id: ProjectId(Uuid::from_u128(1)),
            task_id: TaskId(Uuid::from_u128(2)),
            run_id: RunId(Uuid::from_u128(run)),
            line_number,
            timestamp: Timestamp::from(chrono::Utc::now()),
            stream: OutputStream::Agent,
            content: format!("line {line_number}"),
        })
        .collect()
}

#[tokio::test]
async fn lines_of_many_runs_are_stored_across_a_restart() {
    let (log, store) = (MemoryLog::new(3), fresh_store().await);
    for run in 0..10 {
        log.append_output(lines(run, 1..=20)).await.unwrap();
    }
    let running = Running::start(&log, &store);
    eventually(SOON, || async { store.output_offsets().await.unwrap().values().sum::<i64>() == 200 }).await;
    running.stop().await;

    for run in 0..10 {
        log.append_output(lines(run, 15..=30)).await.unwrap();
    }
    let running = Running::start(&log, &store);
    eventually(SOON, || async { store.output_offsets().await.unwrap().values().sum::<i64>() == 300 }).await;
    running.stop().await;
}
