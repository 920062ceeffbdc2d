//! What a partition of many tasks takes in memory, and how long it takes to take it over, by the whole history and from a
//! snapshot. The log is made up as it is read, so that nothing but the service itself is measured:
//!
//! `cargo run --release -p muster-command-service --example large_partition -- --finished 950000 --live 50000`

#![expect(clippy::print_stdout, reason = "it is a program for people")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use async_trait::async_trait;
use bytes::Bytes;
use clap::Parser;
use futures::stream::BoxStream;
use muster_command_service::{CommandService, Options, Settings, TrustEverything};
use muster_domain::event::{Event, EventData};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_domain::model::Source;
use muster_domain::time::Timestamp;
use muster_event_log::{
    AgentOutput, Appended, DeadLetter, Error, EventLog, LogOffset, LogRecord, OutputRecord, PartitionWriter,
};
use muster_service_kit::Shutdown;
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Parser, Clone)]
struct Arguments {
    /// Cards that were created and cancelled.
    #[arg(long, default_value_t = 0)]
    finished: i64,
    /// Cards that wait for an agent, as they were created.
    #[arg(long, default_value_t = 0)]
    live: i64,
    /// Cards with a plan that waits to be approved.
    #[arg(long, default_value_t = 0)]
    planned: i64,
    /// Finished cards that stay in memory.
    #[arg(long, default_value_t = 1000)]
    keep: usize,
    /// Where the snapshot is kept; begins with it where there is one.
    #[arg(long, default_value = "/tmp/large-partition.snapshot")]
    snapshot: PathBuf,
    /// Takes over once, in this process.
    #[arg(long)]
    once: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if arguments.once {
        return tokio::runtime::Runtime::new()?.block_on(once(&arguments));
    }
    if arguments.snapshot.exists() {
        bail!("{} is in the way", arguments.snapshot.display());
    }
    for name in ["by the whole history", "from the snapshot"] {
        println!("{name}:");
        let status = std::process::Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg("--once")
            .status()?;
        if !status.success() {
            bail!("{status}");
        }
    }
    Ok(std::fs::remove_file(&arguments.snapshot)?)
}

async fn once(arguments: &Arguments) -> anyhow::Result<()> {
    let log = MadeUp(Arc::new(arguments.clone()));
    let with_snapshot = arguments.snapshot.exists();
    let settings = Settings {
        finished_tasks_in_memory: arguments.keep,
        // Beyond the first, which is measured, none is of interest.
        snapshot_every_events: usize::from(!with_snapshot),
        ..Settings::default()
    };
    let (events, tasks) = (log.end_offset().0, arguments.finished + arguments.live + arguments.planned);
    // A mistake here would look like a log that is away.
    for task in [0, arguments.finished, arguments.finished + arguments.live] {
        for offset in task * 2..(task * 3 + 6).min(events) {
            log.event(offset)?;
        }
    }
    let before = resident("VmRSS")?;
    let started = Instant::now();
    let options = Options { settings, probe: Arc::new(TrustEverything), ..Options::default() };
    let shutdown = Shutdown::new();
    let service = CommandService::start(Arc::new(log), options, &shutdown);
    while !service.is_recovered() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    let after = resident("VmRSS")?;
    println!("  {events} events, {tasks} tasks: taken over in {seconds:.2} s");
    println!("  {after} bytes resident, {} for each task", (after - before) / u64::try_from(tasks.max(1))?);
    if !with_snapshot {
        let size_bytes = kept(&arguments.snapshot).await?;
        println!("  snapshot of {size_bytes} bytes after {:.2} s", started.elapsed().as_secs_f64() - seconds);
    }
    println!("  {} bytes resident at most", resident("VmHWM")?);
    shutdown.drain(Duration::from_secs(5)).await;
    Ok(())
}

/// Waits until the snapshot is there; its size.
async fn kept(path: &Path) -> anyhow::Result<u64> {
    for _ in 0..60_000 {
        if let Ok(file) = std::fs::metadata(path) {
            return Ok(file.len());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("no snapshot was taken")
}

/// A line of this process's status, in bytes.
fn resident(name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("the system does not tell")?;
    let kilobytes = line.trim_start_matches(':').split_whitespace().next().context("the line is empty")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// A log of one project that is made up as it is read.
struct MadeUp(Arc<Arguments>);

const FINISHED: [&str; 3] = ["task.created", "task.dispatched", "task.status_changed"];
const LIVE: [&str; 2] = ["task.created", "task.dispatched"];
const PLANNED: [&str; 6] =
    ["task.created", "task.dispatched", "run.queued", "plan.ready", "run.complete", "task.status_changed"];

impl MadeUp {
    fn end_offset(&self) -> LogOffset {
        let Arguments { finished, live, planned, .. } = *self.0;
        LogOffset(1 + finished * 3 + live * 2 + planned * 6)
    }

    fn event(&self, offset: i64) -> anyhow::Result<Event> {
        if offset == 0 {
            let settings = json!({ "max_concurrent_runs": 4 });
            let project = json!({
                "name": "Demo", "repository_path": "/repo", "default_branch": "main", "owner": "ada", "settings": settings,
            });
            return event(offset, None, 0, "project.created", project);
        }
        let mut rest = offset - 1;
        let mut first_task = 0;
        let sections = [
            (self.0.finished, FINISHED.as_slice(), "cancelled"),
            (self.0.live, LIVE.as_slice(), ""),
            (self.0.planned, PLANNED.as_slice(), "plan_review"),
        ];
        for (count, types, status) in sections {
            let length = i64::try_from(types.len())?;
            if rest < count * length {
                let (task, index) = (first_task + rest / length, usize::try_from(rest % length)?);
                return event(offset, Some(task), index, types[index], data(task, types[index], status));
            }
            rest -= count * length;
            first_task += count;
        }
        bail!("there is no event at {offset}")
    }
}

fn id(kind: u64, n: i64) -> Uuid {
    // As version 7 gives them: first the time, which here is the number.
    Uuid::from_u64_pair(0x0190_0000_0000_7000 | (n.cast_unsigned() << 16), 0x8000_0000_0000_0000 | (kind << 48))
}

fn data(task: i64, event_type: &str, status: &str) -> Value {
    match event_type {
        "task.created" => json!({
            "title": format!("Card {task} with a title of ordinary length"),
            "description": "Three sentences say what is wanted. They are as long as people write them on such a card. \
                            None of them is of any use here.",
            "acceptance_criteria": [{ "text": "The tests pass" }, { "text": "The page says so" }],
            "priority": "medium", "complexity": "m", "blocked_by": [], "created_by": "ada", "interactive": false,
        }),
        "task.dispatched" => json!({}),
        "run.queued" => json!({ "run_id": id(3, task), "role": "planner", "attempt": 1 }),
        "plan.ready" => {
            let chunk = |n: u64| {
                json!({
                    "subtask_id": id(4 + n, task), "title": "A chunk of the plan", "description": "What is to be done in it",
                })
            };
            json!({
                "run_id": id(3, task), "digest": "0".repeat(64), "chunks": [chunk(0), chunk(1), chunk(2)],
                "plan": "# Plan\n\nFirst the one thing, then the other, then a look at both of them.\n",
            })
        }
        "run.complete" => {
            json!({ "run_id": id(3, task), "result": "succeeded", "total_iterations": 1, "duration_ms": 5 })
        }
        _ => json!({ "old_status": "inbox", "new_status": status }),
    }
}

fn event(offset: i64, task: Option<i64>, index: usize, event_type: &str, data: Value) -> anyhow::Result<Event> {
    let command = task.unwrap_or(-1) * 2 + i64::from(index >= 2);
    Ok(Event {
        id: EventId(id(1, offset)),
        timestamp: Timestamp::from_micros(1_700_000_000_000_000 + offset),
        project_id: ProjectId(id(2, 0)),
        task_id: task.map(|task| TaskId(id(0, task))),
        sequence: if task.is_some() { index as u64 + 1 } else { 0 },
        position: offset.cast_unsigned() + 1,
        source: Source::Web,
        actor: "ada".to_owned(),
        command_id: CommandId(id(7, command + 2)),
        command_digest: Some(format!("{command:064x}")),
        causation_id: None,
        correlation_id: Uuid::nil(),
        data: EventData::from_json(event_type, data)?,
    })
}

#[async_trait]
impl EventLog for MadeUp {
    fn partition_count(&self) -> u32 {
        1
    }

    async fn open_writer(&self, _: u32) -> Result<Box<dyn PartitionWriter>, Error> {
        Ok(Box::new(NoWriter(self.end_offset())))
    }

    async fn end(&self, _: u32) -> Result<LogOffset, Error> {
        Ok(self.end_offset())
    }

    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error> {
        let offsets = from.0..self.end_offset().0;
        let record = |offset| {
            let event = self.event(offset).map_err(|error| Error::Unavailable { reason: error.to_string() })?;
            Ok(LogRecord { partition, offset: LogOffset(offset), payload: Ok(Arc::new(event)) })
        };
        offsets.take(max).map(record).collect()
    }

    async fn subscribe(&self, _: u32, _: LogOffset) -> Result<BoxStream<'static, Result<LogRecord, Error>>, Error> {
        Err(nothing())
    }

    async fn append_output(&self, _: Vec<AgentOutput>) -> Result<(), Error> {
        Err(nothing())
    }

    async fn subscribe_output(
        &self,
        _: Vec<(u32, LogOffset)>,
    ) -> Result<BoxStream<'static, Result<OutputRecord, Error>>, Error> {
        Err(nothing())
    }

    async fn dead_letter(&self, _: DeadLetter) -> Result<(), Error> {
        Err(nothing())
    }

    async fn put_snapshot(&self, _: u32, snapshot: Bytes) -> Result<(), Error> {
        let path = &self.0.snapshot;
        let unfinished = path.with_extension("unfinished");
        let written = std::fs::write(&unfinished, &snapshot).and_then(|()| std::fs::rename(&unfinished, path));
        written.map_err(|error| Error::Unavailable { reason: error.to_string() })
    }

    async fn snapshot(&self, _: u32) -> Result<Option<Bytes>, Error> {
        Ok(std::fs::read(&self.0.snapshot).ok().map(Bytes::from))
    }
}

fn nothing() -> Error {
    Error::Unavailable { reason: "it is made up".to_owned() }
}

struct NoWriter(LogOffset);

#[async_trait]
impl PartitionWriter for NoWriter {
    fn partition(&self) -> u32 {
        0
    }

    fn end(&self) -> LogOffset {
        self.0
    }

    async fn append(&mut self, _: LogOffset, _: &[Arc<Event>]) -> Result<Appended, Error> {
        Err(nothing())
    }
}
