//! Lines of agent output are stored once each.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use muster_read_store::{Listener, OutputLine, Wakeup};
use uuid::Uuid;

use crate::support::{fresh_store, scalar};

fn line(line_number: u64, content: &str) -> OutputLine {
    OutputLine {
        project_id: ProjectId(Uuid::from_u128(1)),
        task_id: TaskId(Uuid::from_u128(2)),
        run_id: RunId(Uuid::from_u128(3)),
        line_number,
        written_at: Timestamp::from_micros(1_700_000_000_000_000),
        stream: "stdout".to_owned(),
        content: content.to_owned(),
    }
}

#[tokio::test]
async fn a_line_that_comes_again_stays_as_it_is() {
    let store = fresh_store().await;
    let lines = [line(1, "one"), line(2, "two \u{0} and a NUL"), line(2, "two again")];

    let stored = store.append_output(&lines, &BTreeMap::from([(4, 3)])).await.unwrap();
    let again = store.append_output(&[line(1, "other"), line(3, "three")], &BTreeMap::from([(4, 2)])).await.unwrap();

    assert_eq!((stored, again), (2, 1));
    let text: String = scalar(&store, "select string_agg(content, '|' order by line_number) from agent_output").await;
    assert_eq!(text, "one|two \u{fffd} and a NUL|three");
    assert_eq!(store.output_offsets().await.unwrap(), BTreeMap::from([(4, 3)]), "an offset moved back");
}

#[tokio::test]
async fn a_line_of_any_time_is_taken() {
    let store = fresh_store().await;
    let times = ["-9999-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "+200000-01-01T00:00:00Z"];
    let times = times.map(|text| serde_json::from_value(text.into()).unwrap());
    let times = times.into_iter().chain([Timestamp::MIN, Timestamp::from_micros(i64::MAX)]);
    let lines: Vec<_> =
        (1..).zip(times).map(|(number, time)| OutputLine { written_at: time, ..line(number, "x") }).collect();

    let stored = store.append_output(&lines, &BTreeMap::new()).await.unwrap();

    assert_eq!(stored, lines.len() as u64);
    let years: String = scalar(
        &store,
        "select string_agg(extract(year from written_at at time zone 'UTC')::text, ' ' order by line_number)
         from agent_output",
    )
    .await;
    assert_eq!(years, "1 1 9999 9999 1 9999");
}

#[tokio::test]
async fn the_last_line_of_each_run_is_heard() {
    let store = fresh_store().await;
    let mut listener = Listener::connect(&store).await.unwrap();

    store.append_output(&[line(1, "one"), line(2, "two")], &BTreeMap::from([(0, 2)])).await.unwrap();

    let wakeup = tokio::time::timeout(Duration::from_secs(20), listener.next()).await.unwrap();
    let expected = line(2, "");
    assert_eq!(wakeup, Wakeup::Output { project_id: expected.project_id, run_id: expected.run_id, line_number: 2 });
}

#[tokio::test]
async fn old_lines_are_pruned_a_few_at_a_time() {
    let store = fresh_store().await;
    let lines: Vec<_> = (1..=10)
        .map(|number| {
            let written_at = Timestamp::from_micros(1_700_000_000_000_000 + number * 1_000_000);
            OutputLine { written_at, ..line(number.unsigned_abs(), "x") }
        })
        .collect();
    store.append_output(&lines, &BTreeMap::new()).await.unwrap();
    let before = lines[6].written_at;

    let pruned = [store.prune_output(before, 4).await.unwrap(), store.prune_output(before, 4).await.unwrap()];

    assert_eq!(pruned, [4, 2]);
    let left: i64 = scalar(&store, "select min(line_number) from agent_output").await;
    assert_eq!(left, 7);
}
