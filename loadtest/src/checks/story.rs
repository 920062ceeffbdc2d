//! Hand-written histories and logs for the checkers' own tests. It must never use a checker.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::event::{Event, Log};
use crate::campaign::history::{Answer, Call, Claimed, End};

/// The one project.
pub(super) const PROJECT: Uuid = Uuid::from_u128(0x1000);
/// The one task.
pub(super) const TASK: Uuid = Uuid::from_u128(0x2000);
/// The one caller.
pub(super) const CALLER: &str = "ada";

pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Calls one after the other, and the events they caused. Each call takes a time unit.
#[derive(Default)]
pub(super) struct Story {
    pub calls: Vec<Call>,
    pub log: Log,
    clock_ns: u64,
}

impl Story {
    pub fn new() -> Self {
        Self::default()
    }

    /// Key `key` was acknowledged, and caused these events of the task.
    pub fn command(&mut self, key: u128, command: &str, event_types: &[&str]) -> &mut Call {
        let data = event_types.iter().map(|event_type| (*event_type, Map::new())).collect();
        self.accepted(key, command, data, None)
    }

    /// Key `key` was given `run` with `token`.
    pub fn claim(&mut self, key: u128, run: u128, token: u64) -> &mut Call {
        let data = object(json!({ "run_id": id(run), "role": "planner", "subtask_id": null, "fencing_token": token }));
        let claim = Claimed { run_id: id(run), fencing_token: token };
        self.accepted(key, "claim_work", vec![("work.assigned", data)], Some(claim))
    }

    /// Key `key` said something about a run, which became one event.
    pub fn report(&mut self, key: u128, run: u128, token: u64, event_type: &str) -> &mut Call {
        let data = object(json!({ "run_id": id(run), "fencing_token": token }));
        let call = self.accepted(key, "report_run", vec![(event_type, data)], None);
        (call.run_id, call.fencing_token) = (Some(id(run)), Some(token));
        call
    }

    /// Key `key` was refused.
    pub fn refused(&mut self, key: u128, status: u16, code: &str) {
        self.ended(key, "create_task", End::Refused { status, code: code.to_owned(), in_doubt: false });
    }

    /// Key `key` ended like this, without any event.
    pub fn ended(&mut self, key: u128, command: &str, end: End) {
        let call = self.call(key, command, end);
        self.calls.push(call);
    }

    /// The same as the last acknowledgement of that key.
    pub fn repeat(&mut self, key: u128) -> &mut End {
        let first = self.calls.iter().rfind(|call| call.key == id(key) && matches!(call.end, End::Ok(_)));
        let Some(Call { end: End::Ok(answer), command, .. }) = first.cloned() else { panic!("no such call") };
        let call = self.call(key, &command, End::Ok(Answer { repeated: true, ..answer }));
        self.calls.push(call);
        &mut self.calls.last_mut().expect("it was added").end
    }

    fn accepted(
        &mut self,
        key: u128,
        command: &str,
        events: Vec<(&str, Map<String, Value>)>,
        claim: Option<Claimed>,
    ) -> &mut Call {
        let events: Vec<Event> = events.into_iter().map(|(name, data)| self.event(key, name, data)).collect();
        let last = events.last().expect("a command has events");
        let answer = Answer {
            project_id: Some(PROJECT),
            task_id: Some(TASK),
            position: Some(last.position),
            sequence: Some(last.sequence),
            event_ids: Some(events.iter().map(|event| event.id).collect()),
            claim,
            lease_ends_at_us: None,
            repeated: false,
        };
        let call = self.call(key, command, End::Ok(answer));
        self.calls.push(call);
        self.calls.last_mut().expect("it was added")
    }

    fn event(&mut self, key: u128, event_type: &str, data: Map<String, Value>) -> Event {
        let number = self.log.events.len() as u64 + 1;
        let event = Event {
            partition: 3,
            offset: number.cast_signed() - 1,
            append: u64::try_from(key).expect("a small key"),
            id: id(0x1_0000 + u128::from(number)),
            event_type: event_type.to_owned(),
            at_micros: 1_700_000_000_000_000 + number.cast_signed(),
            project_id: PROJECT,
            task_id: Some(TASK),
            sequence: number,
            position: number,
            source: "cli".to_owned(),
            actor: CALLER.to_owned(),
            command_id: id(key),
            command_digest: Some(format!("digest {key}")),
            causation_id: None,
            correlation_id: id(key),
            data,
        };
        self.log.events.push(event.clone());
        event
    }

    fn call(&mut self, key: u128, command: &str, end: End) -> Call {
        self.clock_ns += 100;
        Call {
            client: 1,
            seq: self.calls.len() as u64,
            key: id(key),
            attempt: None,
            caller: CALLER.to_owned(),
            instance: "one".to_owned(),
            command: command.to_owned(),
            body_digest: "body".to_owned(),
            project_id: Some(PROJECT),
            task_id: Some(TASK),
            run_id: None,
            fencing_token: None,
            expected_sequence: None,
            started_at_ns: self.clock_ns - 90,
            ended_at_ns: self.clock_ns,
            end,
        }
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}
