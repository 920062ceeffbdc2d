//! One request and its end, in the client's own words. It must never read an answer with the services' types.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Sent, World};
use crate::campaign::chance::Chance;
use crate::campaign::history::{Answer, Call, Claimed, End};
use crate::campaign::stage::token;

/// A request that was not answered by then is given up; it may be carried out all the same.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);
/// Between the two of a pair: the first one is on its way by then.
const PAIR_GAP: Duration = Duration::from_millis(10);
/// Attempts after which the next one waits no longer than before.
const WAITS_GROW: u64 = 6;

/// The route of commands by their type.
const COMMANDS: &str = "/api/commands";

/// A command, ready to be sent as often as it takes.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its id.
    pub key: Uuid,
    /// Its type, as the history names it.
    pub command: String,
    /// The route.
    pub path: String,
    /// The body.
    pub body: Value,
    /// The project, where the client knows it.
    pub project_id: Option<Uuid>,
    /// The task.
    pub task_id: Option<Uuid>,
    /// The run.
    pub run_id: Option<Uuid>,
    /// The token it carries.
    pub fencing_token: Option<u64>,
    /// The sequence it expects.
    pub expected_sequence: Option<u64>,
}

impl Operation {
    /// `command`, which names its type, for a project.
    pub fn new(key: Uuid, project_id: Uuid, command: &Value, expected_sequence: Option<u64>) -> Self {
        let id = |name: &str| command.get(name).and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
        let mut body = json!({ "project_id": project_id, "command": command });
        if let (Some(expected), Some(body)) = (expected_sequence, body.as_object_mut()) {
            body.insert("expected_sequence".to_owned(), expected.into());
        }
        Self {
            key,
            command: command.get("type").and_then(Value::as_str).unwrap_or_default().to_owned(),
            path: COMMANDS.to_owned(),
            task_id: id("task_id"),
            body,
            project_id: Some(project_id),
            run_id: None,
            fencing_token: None,
            expected_sequence,
        }
    }

    /// The body as it is sent, with an id of this attempt's own where the request takes one: it is no part of the
    /// command, and the events that come of the attempt carry it.
    fn marked(&self) -> (Option<Uuid>, Value) {
        let mut body = self.body.clone();
        let attempt = (self.path == COMMANDS).then(Uuid::new_v4);
        if let (Some(attempt), Some(body)) = (attempt, body.as_object_mut()) {
            body.insert("correlation_id".to_owned(), json!(attempt));
        }
        (attempt, body)
    }

    /// Tells two bodies apart: FNV-1a of route and body.
    fn digest(&self) -> String {
        let bytes = self.path.bytes().chain(self.body.to_string().into_bytes());
        let digest = bytes
            .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{digest:016x}")
    }
}

/// Whether the client need not ask again.
pub fn is_final(end: &End) -> bool {
    match end {
        End::Ok(_) | End::Nothing => true,
        End::Refused { status, in_doubt, .. } => !in_doubt && !matches!(status, 408 | 429 | 500..),
        End::Unknown { .. } => false,
    }
}

/// What is known of an attempt before its end.
#[derive(Clone, Copy)]
struct Sending {
    seq: u64,
    attempt: Option<Uuid>,
    started_at_ns: u64,
}

/// A client that sends commands as one user.
pub struct Caller {
    number: u32,
    seq: u64,
    user: &'static str,
    http: reqwest::Client,
    world: Arc<World>,
}

impl Caller {
    /// Client `number`.
    pub fn new(number: u32, user: &'static str, world: Arc<World>) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", token(user)))?);
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(ANSWER_WITHIN)
            .tcp_nodelay(true)
            .no_proxy()
            .build()?;
        Ok(Self { number, seq: 0, user, http, world })
    }

    /// The user.
    pub fn user(&self) -> &'static str {
        self.user
    }

    /// For requests that are no commands.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Sends `operation` to instance `index`, once.
    pub async fn send(&mut self, operation: &Operation, index: usize) -> End {
        self.seq += 1;
        self.attempt(operation, index, self.seq - 1).await
    }

    /// Sends it to two instances at once.
    pub async fn send_twice(&mut self, operation: &Operation, indexes: [usize; 2]) -> Vec<End> {
        self.seq += 2;
        let first = self.seq - 2;
        let this = &*self;
        let both = (first..).zip(indexes).map(|(seq, index)| this.attempt(operation, index, seq));
        join_all(both).await
    }

    /// Sends two commands to an instance each, the second right after the first.
    pub async fn send_pair(&mut self, operations: &[Operation; 2], indexes: [usize; 2]) -> [End; 2] {
        self.seq += 2;
        let (first, second) = (self.seq - 2, self.seq - 1);
        let this = &*self;
        let later = async {
            tokio::time::sleep(PAIR_GAP).await;
            this.attempt(&operations[1], indexes[1], second).await
        };
        let (first, second) = tokio::join!(this.attempt(&operations[0], indexes[0], first), later);
        [first, second]
    }

    async fn attempt(&self, operation: &Operation, index: usize, seq: u64) -> End {
        let recorder = &self.world.recorder;
        let started_at_ns = recorder.now_ns();
        let url = format!("{}{}", self.world.instances[index], operation.path);
        let (attempt, body) = operation.marked();
        let request = self.http.post(url).header("idempotency-key", operation.key.to_string()).json(&body);
        let end = ended(request, &operation.command).await;
        self.note(operation, index, Sending { seq, attempt, started_at_ns }, end.clone());
        end
    }

    /// Sends several commands in one request. `None` when the request itself came to nothing.
    pub async fn send_batch(&mut self, operations: &[Operation], index: usize) -> Option<Vec<End>> {
        let (attempts, items): (Vec<_>, Vec<_>) = operations
            .iter()
            .map(|operation| {
                let (attempt, mut item) = operation.marked();
                item["command_id"] = json!(operation.key);
                (attempt, item)
            })
            .unzip();
        let started_at_ns = self.world.recorder.now_ns();
        let url = format!("{}/api/commands/batch", self.world.instances[index]);
        let results = batch_results(self.http.post(url).json(&items)).await;
        let ends: Vec<End> = match results {
            Ok(results) => (0..operations.len()).map(|place| of_result(results.get(place))).collect(),
            Err(end) => vec![end; operations.len()],
        };
        for ((operation, attempt), end) in operations.iter().zip(attempts).zip(&ends) {
            self.seq += 1;
            self.note(operation, index, Sending { seq: self.seq - 1, attempt, started_at_ns }, end.clone());
        }
        Some(ends)
    }

    fn note(&self, operation: &Operation, index: usize, sent: Sending, end: End) {
        let Sending { seq, attempt, started_at_ns } = sent;
        let recorder = &self.world.recorder;
        recorder.call(Call {
            client: self.number,
            seq,
            key: operation.key,
            attempt,
            caller: self.user.to_owned(),
            instance: crate::campaign::stage::instance_name(index),
            command: operation.command.clone(),
            body_digest: operation.digest(),
            project_id: operation.project_id,
            task_id: operation.task_id,
            run_id: operation.run_id,
            fencing_token: operation.fencing_token,
            expected_sequence: operation.expected_sequence,
            started_at_ns,
            ended_at_ns: recorder.now_ns(),
            end,
        });
    }

    /// Whether what is open is left for the end.
    pub fn hurries(&self) -> bool {
        self.world.hurries()
    }

    /// Leaves a command whose fate is open for the end.
    pub fn leave(&self, operation: &Operation) {
        self.world.never_learned(Sent { user: self.user, operation: operation.clone() });
    }

    /// Sends `operation` until its fate is known, or for so long that it is given up and left for the end.
    pub async fn settle(&mut self, operation: &Operation, chance: &mut Chance) -> End {
        self.settle_within(operation, chance, self.world.patience.settled).await
    }

    /// The same with another patience.
    pub async fn settle_within(&mut self, operation: &Operation, chance: &mut Chance, within: Duration) -> End {
        let end = self.ask(operation, chance, within).await;
        if is_final(&end) {
            self.learn(operation, &end);
        }
        end
    }

    /// The same for a command that was settled before.
    pub async fn settle_again(&mut self, operation: &Operation, chance: &mut Chance) -> End {
        self.ask(operation, chance, self.world.patience.settled).await
    }

    async fn ask(&mut self, operation: &Operation, chance: &mut Chance, within: Duration) -> End {
        let instances = self.world.instances.len();
        let mut index = chance.below(instances);
        let begun = tokio::time::Instant::now();
        let mut end = self.send(operation, index).await;
        // However many attempts that takes: where each is refused at once, a number of them would soon be spent.
        for attempt in 1.. {
            if is_final(&end) || begun.elapsed() > within || self.world.hurries() {
                break;
            }
            let wait = chance.between(10, 60) * WAITS_GROW.min(attempt);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            if chance.percent(60) {
                index = chance.below(instances);
            }
            end = self.send(operation, index).await;
        }
        if !is_final(&end) {
            self.leave(operation);
        }
        end
    }

    /// Notes for all clients what became of a command.
    pub fn learn(&self, operation: &Operation, end: &End) {
        let End::Ok(answer) = end else { return };
        self.world.recorder.count_acknowledged();
        let project_id = answer.project_id.or(operation.project_id);
        if let Some(project) = self.world.projects.iter().find(|project| Some(project.id) == project_id) {
            project.saw(answer.task_id, answer.sequence);
        }
    }
}

async fn ended(request: reqwest::RequestBuilder, command: &str) -> End {
    let unknown = |error: reqwest::Error| End::Unknown { why: why(&error) };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return unknown(error),
    };
    let status = response.status().as_u16();
    let repeated = response.headers().get("idempotency-replayed").is_some();
    let body = match response.bytes().await {
        Ok(body) => body,
        Err(error) => return unknown(error),
    };
    match (status, serde_json::from_slice::<Value>(&body)) {
        (204, _) => End::Nothing,
        (200..=299, Ok(body)) => End::Ok(Answer { repeated, ..answer(&body, command) }),
        (300.., Ok(body)) if body.get("code").is_some() => refusal(status, &body),
        (status, _) => End::Unknown { why: format!("status {status} with a body that is not understood") },
    }
}

fn why(error: &reqwest::Error) -> String {
    let kinds = [(error.is_timeout(), "no answer in time"), (error.is_connect(), "no connection")];
    kinds.iter().find(|(is, _)| *is).map_or("the connection broke", |(_, kind)| kind).to_owned()
}

async fn batch_results(request: reqwest::RequestBuilder) -> Result<Vec<Value>, End> {
    let response = request.send().await.map_err(|error| End::Unknown { why: why(&error) })?;
    let status = response.status().as_u16();
    let body: Value = response.json().await.map_err(|error| End::Unknown { why: why(&error) })?;
    match body {
        Value::Array(results) if (200..300).contains(&status) => Ok(results),
        body if body.get("code").is_some() => Err(refusal(status, &body)),
        _ => Err(End::Unknown { why: format!("status {status} with a body that is not understood") }),
    }
}

fn of_result(result: Option<&Value>) -> End {
    let member = |name: &str| result.and_then(|result| result.get(name)).filter(|value| !value.is_null());
    match (member("outcome"), member("problem")) {
        (Some(outcome), _) => End::Ok(answer(outcome, "")),
        (None, Some(problem)) => {
            let status = problem.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
            refusal(status.unwrap_or(0), problem)
        }
        (None, None) => End::Unknown { why: "the batch's answer says nothing of it".to_owned() },
    }
}

fn refusal(status: u16, body: &Value) -> End {
    let said = body.get("in_doubt").and_then(Value::as_bool).unwrap_or(false);
    End::Refused {
        status,
        code: body.get("code").and_then(Value::as_str).unwrap_or_default().to_owned(),
        in_doubt: said || matches!(status, 408 | 500 | 502 | 504),
    }
}

fn answer(body: &Value, command: &str) -> Answer {
    let id = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
    let number = |value: Option<&Value>| value.and_then(Value::as_u64);
    // A work order is one claim, an outcome may hold one.
    let claim = if command == "claim_work" { Some(body) } else { body.get("claim") };
    Answer {
        project_id: id(body.get("project_id")),
        task_id: id(body.get("task_id")),
        position: number(body.get("position")),
        sequence: number(body.get("sequence")),
        event_ids: body
            .get("event_ids")
            .and_then(Value::as_array)
            .map(|ids| ids.iter().filter_map(|event_id| id(Some(event_id))).collect()),
        claim: claim.and_then(|claim| {
            let (run_id, fencing_token) = (id(claim.get("run_id"))?, number(claim.get("fencing_token"))?);
            Some(Claimed { run_id, fencing_token })
        }),
        lease_ends_at_us: body.get("lease_expires_at").filter(|_| command == "renew_lease").and_then(instant_us),
        repeated: false,
    }
}

/// A moment as JSON has it, in microseconds since 1970.
fn instant_us(value: &Value) -> Option<i64> {
    Some(chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()?.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_and_a_work_order_are_read() {
        let id = Uuid::from_u128(7);
        let outcome = json!({ "project_id": id, "task_id": null, "position": 3, "event_ids": [id], "claim": null });
        let read = answer(&outcome, "create_project");
        assert_eq!(
            (read.project_id, read.position, read.event_ids, read.claim),
            (Some(id), Some(3), Some(vec![id]), None)
        );
        let order = json!({ "project_id": id, "task_id": id, "run_id": id, "fencing_token": 4, "role": "coder" });
        let read = answer(&order, "claim_work");
        assert_eq!((read.claim, read.event_ids), (Some(Claimed { run_id: id, fencing_token: 4 }), None));
        let heartbeat = json!({ "position": 3, "lease_expires_at": "1970-01-01T00:00:01.000002Z" });
        assert_eq!(answer(&heartbeat, "renew_lease").lease_ends_at_us, Some(1_000_002));
    }

    #[test]
    fn each_attempt_at_a_command_is_told_apart_in_its_body_and_not_in_its_digest() {
        let project_id = Uuid::from_u128(1);
        let mut operation = Operation::new(Uuid::from_u128(2), project_id, &json!({ "type": "create_task" }), None);
        let digest = operation.digest();
        let (first, body) = operation.marked();
        assert_eq!(body["correlation_id"], json!(first.unwrap()));
        assert_ne!(operation.marked().0, first);
        assert_eq!(operation.digest(), digest);
        operation.path = "/api/claims".into();
        assert_eq!(operation.marked(), (None, operation.body.clone()));
    }

    #[test]
    fn what_may_have_happened_is_not_final() {
        let refused = |status, in_doubt| End::Refused { status, code: String::new(), in_doubt };
        let open = [refused(503, false), refused(429, false), refused(409, true), End::Unknown { why: String::new() }];
        assert!(open.iter().all(|end| !is_final(end)));
        assert!(is_final(&refused(409, false)) && is_final(&End::Nothing));
    }
}
