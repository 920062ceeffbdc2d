//! What the clients of a campaign saw: the one thing that its runner writes and its checkers read.
//!
//! Plain data, one JSON document per line. It must never use the services' own types: a mistake in those must not hide
//! itself. Times are nanoseconds of one monotonic clock, from the campaign's begin.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One line of the history.
#[expect(clippy::large_enum_variant, reason = "calls are most lines")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A request that may change something, and its end. One line per attempt: asking again is another line.
    Call(Call),
    /// A subscriber connected.
    Connected(Connected),
    /// A subscriber was given an event.
    Delivered(Delivered),
    /// The projection's offsets as they stood in the read model.
    Offset(OffsetSample),
    /// An answer to someone who is no member of the project.
    Peek(Peek),
}

/// One attempt at a command, a claim, a heartbeat or a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Who of the campaign's clients.
    pub client: u32,
    /// Counts this client's calls, from 0.
    pub seq: u64,
    /// The idempotency key.
    pub key: Uuid,
    /// This attempt's own id: the correlation id that was sent with it, which its events carry. None where the request
    /// takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Uuid>,
    /// The user it was sent as: the actor of its events.
    pub caller: String,
    /// Name or URL of the instance it was sent to.
    pub instance: String,
    /// The command's type, as `create_task`; `claim_work`, `renew_lease` and `report_run` for the routes of the same.
    pub command: String,
    /// Tells two bodies under one key apart; any digest of project and body.
    pub body_digest: String,
    /// The project, where the client named or knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<Uuid>,
    /// The run, for heartbeats and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<Uuid>,
    /// The token it carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing_token: Option<u64>,
    /// The sequence it expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_sequence: Option<u64>,
    /// Before the first byte was sent.
    pub started_at_ns: u64,
    /// After the last byte was received, or when the client gave up.
    pub ended_at_ns: u64,
    /// What the client learned.
    pub end: End,
}

/// How a call ended, as far as the client knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum End {
    /// Acknowledged: status 2xx with a body.
    Ok(Answer),
    /// Status 204: a claim that found no work.
    Nothing,
    /// A problem document.
    Refused {
        /// HTTP status.
        status: u16,
        /// The problem's `code`.
        code: String,
        /// The problem's `in_doubt`: it may have happened all the same. True also for 408, 502 and 504.
        #[serde(default)]
        in_doubt: bool,
    },
    /// No answer, or one that cannot be read: it happened or not.
    Unknown {
        /// What went wrong.
        why: String,
    },
}

/// What an acknowledgement said. Heartbeats say only the position and the lease's end, claims only what was claimed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The project, as the answer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    /// The task, as the answer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<Uuid>,
    /// Position of the project after the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Sequence of the task after the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Ids of its events; `None` where the answer does not list them, empty where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_ids: Option<Vec<Uuid>>,
    /// What was claimed: of a work order, or of an outcome's `claim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claimed>,
    /// When the lease ends that was renewed, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ends_at_us: Option<i64>,
    /// Whether the header `Idempotency-Replayed` said so.
    #[serde(default)]
    pub repeated: bool,
}

/// Work as it was handed to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The run.
    pub run_id: Uuid,
    /// Token of its lease.
    pub fencing_token: u64,
}

/// A subscriber's connection was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Which subscriber; it follows one project.
    pub subscriber: u32,
    /// Counts its connections, from 0.
    pub connection: u32,
    /// The project.
    pub project_id: Uuid,
    /// The position after which it asked to go on.
    pub after: u64,
    /// When.
    pub at_ns: u64,
}

/// An event that reached a subscriber. Lines of one subscriber stand in the order it received them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Which subscriber.
    pub subscriber: u32,
    /// On which of its connections.
    pub connection: u32,
    /// The project.
    pub project_id: Uuid,
    /// The event's position.
    pub position: u64,
    /// The event's id.
    pub event_id: Uuid,
    /// When.
    pub at_ns: u64,
}

/// How far the projection was, read while the campaign ran: all of it by one statement, which sees one moment.
///
/// For example `select projection, version, array_agg(partition), array_agg(next_offset), (select sum(position) from
/// project_positions) from projection_offsets group by 1, 2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffsetSample {
    /// The projection.
    pub projection: String,
    /// Its version: a rebuild may start its offsets anew.
    pub version: i32,
    /// Each partition with the first offset that is not applied.
    pub next_offsets: Vec<(u32, i64)>,
    /// Events applied by then: the sum of the projects' positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_events: Option<u64>,
    /// When the statement was sent.
    pub at_ns: u64,
}

/// A request by someone who must not learn anything, and what came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peek {
    /// The user. Never a member of the project, and no admin.
    pub caller: String,
    /// What was asked: method and path, and the body where there was one.
    pub asked: String,
    /// The project it was about, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Its body; for a stream, what arrived of it.
    pub body: String,
}

/// Writes a history, a line per entry.
pub struct Writer(BufWriter<File>);

impl Writer {
    /// Begins a new file at `path`.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        File::create(path).map(|file| Self(BufWriter::new(file)))
    }

    /// Adds an entry.
    pub fn write(&mut self, entry: &Entry) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.0, entry)?;
        self.0.write_all(b"\n")
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Reads a whole history.
pub fn read(path: &Path) -> std::io::Result<Vec<Entry>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_as_it_was_written() {
        let call = Call {
            client: 1,
            seq: 2,
            key: Uuid::from_u128(3),
            attempt: Some(Uuid::from_u128(10)),
            caller: "ada".into(),
            instance: "one".into(),
            command: "create_task".into(),
            body_digest: "d".into(),
            project_id: Some(Uuid::from_u128(4)),
            task_id: None,
            run_id: None,
            fencing_token: None,
            expected_sequence: Some(5),
            started_at_ns: 6,
            ended_at_ns: 7,
            end: End::Ok(Answer { position: Some(8), event_ids: Some(vec![Uuid::from_u128(9)]), ..Answer::default() }),
        };
        let refused = End::Refused { status: 503, code: "unavailable".into(), in_doubt: true };
        let entries = [
            Entry::Call(call.clone()),
            Entry::Call(Call { end: End::Nothing, ..call.clone() }),
            Entry::Call(Call { end: End::Unknown { why: "reset".into() }, ..call.clone() }),
            Entry::Call(Call { end: refused, ..call }),
            Entry::Offset(OffsetSample {
                projection: "board".into(),
                version: 1,
                next_offsets: vec![(2, 3)],
                applied_events: Some(3),
                at_ns: 4,
            }),
        ];
        let path = std::env::temp_dir().join(format!("history-{}", Uuid::now_v7()));
        let mut writer = Writer::create(&path).unwrap();
        for entry in &entries {
            writer.write(entry).unwrap();
        }
        writer.flush().unwrap();
        let back = read(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(back.unwrap(), entries);
    }
}
