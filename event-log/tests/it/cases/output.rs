//! Agent output.

use muster_domain::id::{RunId, TaskId};
use muster_domain::time::Timestamp;
use muster_event_log::{AgentOutput, LogOffset, OutputStream, partition_of};
use uuid::Uuid;

use crate::harness::{Harness, PARTITIONS, Repeats, project_in, take};

fn line(run: RunId, number: u64) -> AgentOutput {
    AgentOutput {
        project_id: project_in(0),
        task_id: TaskId(Uuid::new_v4()),
        run_id: run,
        line_number: number,
        timestamp: Timestamp::from_micros(1_700_000_000_000_000 + number.cast_signed()),
        stream: OutputStream::ALL[usize::try_from(number).expect("small") % 4],
        content: format!("line {number}: größer \u{0} \u{1b}[31mred"),
    }
}

fn from_start() -> Vec<(u32, LogOffset)> {
    (0..PARTITIONS).map(|partition| (partition, LogOffset::START)).collect()
}

pub async fn lines_come_back_in_order(harness: &dyn Harness) {
    let (writing, reading) = (harness.connect().await, harness.connect().await);
    let runs: Vec<_> = (0..4).map(|_| RunId(Uuid::new_v4())).collect();
    let first: Vec<_> = runs.iter().flat_map(|run| (1..=20).map(|number| line(*run, number))).collect();
    writing.append_output(first.clone()).await.unwrap();
    let mut stream = reading.subscribe_output(from_start()).await.unwrap();
    let mut read = take(&mut stream, first.len()).await;
    let later: Vec<_> = runs.iter().map(|run| line(*run, 21)).collect();
    writing.append_output(later.clone()).await.unwrap();
    read.extend(take(&mut stream, later.len()).await);
    for run in runs {
        let written: Vec<_> = first.iter().chain(&later).filter(|line| line.run_id == run).cloned().collect();
        let of_run: Vec<_> = read.iter().filter(|record| record.line.run_id == run).collect();
        assert_eq!(of_run.iter().map(|record| record.line.clone()).collect::<Vec<_>>(), written);
        let partition = partition_of(&run.to_string(), PARTITIONS);
        assert!(of_run.iter().all(|record| record.partition == partition));
    }
}

pub async fn a_line_appended_again_is_recognised(harness: &dyn Harness) {
    let log = harness.connect().await;
    let run = RunId(Uuid::new_v4());
    let lines: Vec<_> = (1..=3).map(|number| line(run, number)).collect();
    log.append_output(lines[..2].to_vec()).await.unwrap();
    log.append_output(lines.clone()).await.unwrap();
    let mut stream = log.subscribe_output(from_start()).await.unwrap();
    let expected: &[u64] = match harness.repeats() {
        Repeats::Dropped => &[1, 2, 3],
        Repeats::Stored => &[1, 2, 1, 2, 3],
    };
    let read = take(&mut stream, expected.len()).await;
    assert_eq!(read.iter().map(|record| record.line.line_number).collect::<Vec<_>>(), expected);
}

pub async fn a_subscription_resumes(harness: &dyn Harness) {
    let log = harness.connect().await;
    let run = RunId(Uuid::new_v4());
    log.append_output((1..=10).map(|number| line(run, number)).collect()).await.unwrap();
    let mut stream = log.subscribe_output(from_start()).await.unwrap();
    let read = take(&mut stream, 4).await;
    let partition = read[3].partition;
    let mut resumed = harness.connect().await.subscribe_output(vec![(partition, read[3].offset.next())]).await.unwrap();
    let rest = take(&mut resumed, 6).await;
    assert_eq!(rest.iter().map(|record| record.line.line_number).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
}
