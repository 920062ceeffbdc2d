//! The checkers against a real log and a real read model: they find nothing wrong with what is right, and each kind of
//! damage to calls, log or rows is found by the checker of its invariant. Of every invariant there is a damage that its
//! checker alone names.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::raw::RawLog;
use muster_event_log::{EventLog, LogOffset};
use muster_loadtest::Mix;
use muster_loadtest::campaign::history::{Answer, Call, Connected, Delivered, End, Entry, OffsetSample, Peek};
use muster_loadtest::checks::{Event, Evidence, Finding, Log, Subscribed, Tables, Unreadable, check};
use muster_read_store::ReadStore;
use muster_test_kit::fresh_database;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Enough for several cards from the board to the merged branch.
const EVENTS: usize = 1_000;

/// A log with whole lives of cards, projected twice.
async fn evidence() -> Evidence {
    let url = fresh_database("checks-log").await;
    let log = PostgresLog::connect(&PostgresConfig::new(&url)).await.unwrap();
    let mut events = Mix::new().unwrap().take(EVENTS).unwrap();
    // Several projects take turns, also within a command; here each command is one append.
    events.sort_by_key(|event| (event.project_id, event.position));
    for command in events.chunk_by(|one, next| (one.project_id, one.command_id) == (next.project_id, next.command_id)) {
        let mut writer = log.open_writer(log.partition_for(command[0].project_id)).await.unwrap();
        let end = writer.end();
        writer.append(end, command).await.unwrap();
    }
    let live = project(&log).await;
    let rebuilt = project(&log).await;
    let log = Log::read(&RawLog::Postgres { url }).await.unwrap();
    let mut evidence = Evidence { log, tables: live, rebuilt: Some(rebuilt), ..Evidence::default() };
    evidence.leftovers = Some(Vec::new());
    evidence.history = watched(&evidence.log).into_iter().collect();
    evidence
}

async fn project(log: &PostgresLog) -> Tables {
    let url = fresh_database("checks-rows").await;
    let store = ReadStore::connect(&url, 2).await.unwrap();
    for partition in 0..log.partition_count() {
        let records = log.read(partition, LogOffset::START, EVENTS).await.unwrap();
        let events: Vec<_> = records.iter().map(|it| (it.offset.0, Arc::clone(it.payload.as_ref().unwrap()))).collect();
        if let Some((last, _)) = events.last() {
            store.apply_batch(partition, &events, last + 1).await.unwrap();
        }
    }
    Tables::read(&url).await.unwrap()
}

/// One call for each command of the log, which was told all of it, one after the other; and one that was refused.
fn called(log: &Log) -> Vec<Entry> {
    let together = |one: &Event, next: &Event| (one.project_id, one.command_id) == (next.project_id, next.command_id);
    let acknowledged = |(seq, events): (u64, &[Event])| {
        let (first, last) = (&events[0], events.last().unwrap());
        let task_id = events.iter().find_map(|event| event.task_id);
        let of_the_task = events.iter().rev().find(|event| event.task_id.is_some() && event.task_id == task_id);
        let answer = Answer {
            project_id: Some(first.project_id),
            task_id,
            position: Some(last.position),
            sequence: of_the_task.map(|event| event.sequence),
            event_ids: Some(events.iter().map(|event| event.id).collect()),
            ..Answer::default()
        };
        call(seq, &first.actor, first.command_id, End::Ok(answer))
    };
    let mut calls: Vec<Call> = (0..).zip(log.events.chunk_by(together)).map(acknowledged).collect();
    let refused = End::Refused { status: 409, code: "invalid_transition".into(), in_doubt: false };
    calls.push(call(calls.len() as u64, &log.events[0].actor, Uuid::from_u128(2), refused));
    calls.into_iter().map(Entry::Call).collect()
}

fn call(seq: u64, caller: &str, key: Uuid, end: End) -> Call {
    Call {
        client: 1,
        seq,
        key,
        attempt: None,
        caller: caller.into(),
        instance: "one".into(),
        command: "some_command".into(),
        body_digest: "body".into(),
        project_id: None,
        task_id: None,
        run_id: None,
        fencing_token: None,
        expected_sequence: None,
        started_at_ns: seq * 10,
        ended_at_ns: seq * 10 + 5,
        end,
    }
}

/// What someone saw who was there: every call, a subscriber that reconnected once, samples of the offsets, and a stranger.
fn watched(log: &Log) -> Vec<Entry> {
    let project_id = log.events[0].project_id;
    let seen: Vec<&Event> = log.events.iter().filter(|event| event.project_id == project_id).collect();
    let mut entries = called(log);
    for (connection, seen) in (0..).zip(seen.chunks(seen.len() / 2 + 1)) {
        let after = seen[0].position - 1;
        entries.push(Entry::Connected(Connected { subscriber: 1, connection, project_id, after, at_ns: 1 }));
        entries.extend(seen.iter().map(|event| {
            let (position, event_id) = (event.position, event.id);
            Entry::Delivered(Delivered { subscriber: 1, connection, project_id, position, event_id, at_ns: 2 })
        }));
    }
    let mut next_offsets: BTreeMap<u32, i64> = BTreeMap::new();
    for (applied, event) in (1..).zip(&log.events) {
        next_offsets.insert(event.partition, event.offset + 1);
        entries.push(Entry::Offset(OffsetSample {
            projection: "read_model".into(),
            version: 1,
            next_offsets: next_offsets.clone().into_iter().collect(),
            applied_events: Some(applied),
            at_ns: applied,
        }));
    }
    for project_id in [project_id, Uuid::from_u128(1)] {
        entries.push(Entry::Peek(Peek {
            caller: "mallory".into(),
            asked: format!("GET /api/projects/{project_id}/events"),
            project_id: Some(project_id),
            status: 403,
            body: json!({ "code": "forbidden", "detail": "There is no such project among yours." }).to_string(),
        }));
    }
    entries
}

fn numbers(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().filter(|finding| finding.violations > 0).map(|finding| finding.number).collect()
}

/// Changes one row of a table of the live read model.
fn change(evidence: &mut Evidence, table: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    let text = evidence.tables.0.get_mut(table).unwrap().last_mut().unwrap();
    let mut row = serde_json::from_str(text).unwrap();
    change(&mut row);
    *text = Value::Object(row).to_string();
}

fn remove(evidence: &mut Evidence, table: &str) {
    evidence.tables.0.get_mut(table).unwrap().pop().unwrap();
}

/// Does `damage`, sees which checkers notice, and undoes it.
fn noticed(evidence: &mut Evidence, damage: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    let before = (evidence.tables.clone(), evidence.rebuilt.clone());
    damage(evidence);
    let found = numbers(&check(evidence));
    (evidence.tables, evidence.rebuilt) = before;
    evidence.history = watched(&evidence.log).into_iter().collect();
    found
}

#[tokio::test]
async fn what_is_right_passes_and_every_damage_is_noticed() {
    let mut it = evidence().await;
    let findings = check(&it);
    assert_eq!(numbers(&findings), [""; 0], "{findings:#?}");
    assert_eq!(findings.len(), 12);
    for finding in findings {
        assert!(finding.examined > 0, "{finding:?}");
    }

    calls_are_compared(&mut it);
    rows_are_compared(&mut it);
    a_log_is_compared(&mut it);
    what_was_watched_is_compared(&mut it);
}

fn calls_are_compared(it: &mut Evidence) {
    let answer = |it: &mut Evidence, change: fn(&mut Answer)| {
        let End::Ok(answer) = &mut it.history.calls[3].end else { panic!("an acknowledgement") };
        change(answer);
    };
    let lost = |it: &mut Evidence| {
        let End::Ok(answer) = it.history.calls[0].end.clone() else { panic!("an acknowledgement") };
        it.history.calls.push(call(100_000, "ada", Uuid::from_u128(3), End::Ok(answer)));
    };
    assert_eq!(noticed(it, lost), ["I1"], "it is not in the log");
    let refused = |it: &mut Evidence| {
        it.history.calls[0].end = End::Refused { status: 503, code: "unavailable".into(), in_doubt: false };
    };
    assert_eq!(noticed(it, refused), ["I2"], "it is in the log");
    let open = |it: &mut Evidence| {
        it.history.calls.push(call(100_000, "ada", Uuid::from_u128(3), End::Unknown { why: "reset".into() }));
    };
    assert_eq!(noticed(it, open), ["I3"], "nobody was told");
    let again = |it: &mut Evidence| {
        let End::Ok(mut answer) = it.history.calls[0].end.clone() else { panic!("an acknowledgement") };
        answer.sequence = Some(77_777);
        it.history.calls.push(Call { seq: 100_000, end: End::Ok(answer), ..it.history.calls[0].clone() });
    };
    assert_eq!(noticed(it, again), ["I3"], "another answer");
    let position = |it: &mut Evidence| answer(it, |answer| answer.position = answer.position.map(|at| at + 1));
    assert_eq!(noticed(it, position), ["I4"], "another position");
    let denied = |it: &mut Evidence| {
        let attempt = it.log.events.iter().find(|event| event.command_id == it.history.calls[0].key);
        let attempt = attempt.map(|event| event.correlation_id);
        let end = End::Refused { status: 503, code: "unavailable".into(), in_doubt: false };
        it.history.calls.push(Call { attempt, seq: 100_000, end, ..it.history.calls[0].clone() });
    };
    assert_eq!(
        noticed(it, denied),
        ["I2"],
        "it was in doubt, and the client was told the truth at once when it asked again"
    );
    let renewal = |it: &Evidence| {
        let renewed = it.log.events.iter().find(|event| event.event_type == "lease.renewed").unwrap();
        let end = renewed.at_micros + 1_000 * renewed.number("lease_duration_ms").unwrap().cast_signed();
        (it.history.calls.iter().position(|call| call.key == renewed.command_id).unwrap(), end)
    };
    let told = |it: &mut Evidence, off: i64| {
        let (index, end) = renewal(it);
        let End::Ok(answer) = &mut it.history.calls[index].end else { panic!("an acknowledgement") };
        answer.lease_ends_at_us = Some(end + off);
        index
    };
    assert_eq!(noticed(it, |it| _ = told(it, 0)), [""; 0], "the end of the lease as it is");
    assert_eq!(noticed(it, |it| _ = told(it, 1)), ["I11"], "another end than in the log");
    let again = |it: &mut Evidence| {
        let index = told(it, 0);
        let End::Ok(mut answer) = it.history.calls[index].end.clone() else { panic!("an acknowledgement") };
        // As if it had said nothing of it, which says nothing of the log.
        answer.lease_ends_at_us = None;
        it.history.calls.push(Call { seq: 100_000, end: End::Ok(answer), ..it.history.calls[index].clone() });
    };
    assert_eq!(noticed(it, again), ["I3"], "the repeat did not tell the same end");
    let token = |it: &mut Evidence| {
        let said = |event: &&Event| event.uuid("run_id").is_some() && event.event_type == "agent.started";
        let event = it.log.events.iter().find(said).unwrap();
        let call = it.history.calls.iter_mut().find(|call| call.key == event.command_id).unwrap();
        (call.run_id, call.fencing_token) = (event.uuid("run_id"), Some(1_000_000));
    };
    assert_eq!(noticed(it, token), ["I11"], "an older token");
}

fn rows_are_compared(it: &mut Evidence) {
    // Of no rebuild, so that the fold alone must notice.
    it.rebuilt = None;
    for (table, column) in [
        ("tasks", "title"),
        ("tasks", "status"),
        ("tasks", "sequence"),
        ("tasks", "finished_at"),
        ("tasks", "evidence"),
        ("runs", "status"),
        ("runs", "fencing_token"),
        ("subtasks", "commit"),
        ("sessions", "tokens_used"),
        ("projects", "settings"),
        ("project_members", "role"),
    ] {
        let found = noticed(it, |it| change(it, table, |row| drop(row.insert(column.into(), "other".into()))));
        assert_eq!(found, ["I5"], "{table}.{column}");
    }
    assert_eq!(noticed(it, |it| remove(it, "tasks")), ["I5"]);
    assert_eq!(noticed(it, |it| remove(it, "event_history")), ["I8", "I9"]);
    let actor = |it: &mut Evidence| change(it, "event_history", |row| drop(row.insert("actor".into(), "eve".into())));
    assert_eq!(noticed(it, actor), ["I5", "I9"]);
    let hash =
        |it: &mut Evidence| change(it, "event_history", |row| drop(row.insert("audit_hash".into(), "\\x00".into())));
    assert_eq!(noticed(it, hash), ["I9"]);
    let position = |row: &mut Map<String, Value>| drop(row.insert("position".into(), 1.into()));
    assert_eq!(noticed(it, |it| change(it, "project_positions", position)), ["I5"]);
    it.rebuilt = Some(it.tables.clone());
    assert_eq!(noticed(it, |it| drop(it.rebuilt.as_mut().unwrap().0.get_mut("iterations").unwrap().pop())), ["I5"]);
}

fn a_log_is_compared(it: &mut Evidence) {
    let offset = |row: &mut Map<String, Value>| drop(row.insert("next_offset".into(), 1.into()));
    assert_eq!(noticed(it, |it| change(it, "projection_offsets", offset)), ["I6"]);
    let partition = it.log.events[0].partition;
    let record = Unreadable { partition, offset: -1, key: None, why: "damaged".into() };
    it.log.unreadable.push(record);
    assert_eq!(noticed(it, |_| {}), ["I8"]);
    let letter = json!({ "partition": partition, "log_offset": -1, "state": "parked" }).to_string();
    assert_eq!(noticed(it, |it| it.tables.0.get_mut("dead_letters").unwrap().push(letter)), [""; 0]);
    it.log.unreadable.clear();
}

fn is_at(step: &Subscribed, position: u64) -> bool {
    matches!(step, Subscribed::Delivered(delivered) if delivered.position == position)
}

fn what_was_watched_is_compared(it: &mut Evidence) {
    assert_eq!(noticed(it, |it| it.history.subscribed.retain(|step| !is_at(step, 2))), ["I7"], "one was left out");
    let again = |it: &mut Evidence| {
        let Subscribed::Delivered(last) = it.history.subscribed.last().unwrap() else { panic!("a delivery") };
        let again = Subscribed::Delivered(last.clone());
        it.history.subscribed.push(again);
    };
    assert_eq!(noticed(it, again), ["I7"], "one came twice");
    assert_eq!(
        noticed(it, |it| it.history.subscribed.truncate(it.history.subscribed.len() - 1)),
        ["I7"],
        "the last is missing"
    );
    let other = |it: &mut Evidence| {
        let Subscribed::Delivered(last) = it.history.subscribed.last_mut().unwrap() else { panic!("a delivery") };
        last.event_id = Uuid::from_u128(5);
    };
    assert_eq!(noticed(it, other), ["I7"], "it was another event");
    assert_eq!(noticed(it, |it| it.history.offsets[7].applied_events = Some(3)), ["I6"], "rows without offset");
    let back = |it: &mut Evidence| {
        let sample = OffsetSample { at_ns: u64::MAX, ..it.history.offsets[3].clone() };
        it.history.offsets.push(sample);
    };
    assert_eq!(noticed(it, back), ["I6"], "it moved back");
    let (id, title) = {
        let created = it.log.events.iter().find(|event| event.event_type == "task.created").unwrap();
        (created.task_id.unwrap(), created.text("title").unwrap().to_owned())
    };
    let member = it.log.events[0].actor.clone();
    assert_eq!(noticed(it, |it| it.history.peeks[0].body = json!({ "id": id }).to_string()), ["I10"]);
    assert_eq!(noticed(it, |it| it.history.peeks[0].body = format!("data: {}", json!([title]))), ["I10"]);
    assert_eq!(noticed(it, |it| it.history.peeks[0].status = 404), ["I10"], "that it exists shows");
    assert_eq!(noticed(it, |it| it.history.peeks[0].caller = member), ["I10"], "no stranger at all");
    assert_eq!(noticed(it, |it| it.leftovers = Some(vec!["process 7".into()])), ["I12"]);
}
