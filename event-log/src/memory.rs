//! The log in memory, for tests. It keeps the same promises as the others, and loses everything when it is dropped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};
use muster_domain::event::Event;
use muster_domain::id::RunId;
use parking_lot::Mutex;

use crate::tail::{Wakers, tail};
use crate::{
    AgentOutput, Appended, DEFAULT_MAX_VALUE_BYTES, DeadLetter, Error, EventLog, LogOffset, LogRecord, OutputRecord,
    PartitionWriter, Poison, partition_of,
};

/// Readers are always woken; this only bounds a mistake.
const POLL: Duration = Duration::from_secs(5);

/// A log that lives as long as its last handle. Cloning gives another handle to the same log.
#[derive(Clone)]
pub struct MemoryLog(Arc<Inner>);

struct Inner {
    partitions: Vec<Mutex<Partition>>,
    output: Vec<Mutex<Output>>,
    dead_letters: Mutex<Vec<DeadLetter>>,
    snapshots: Mutex<HashMap<u32, Bytes>>,
    event_wakers: Wakers,
    output_wakers: Wakers,
}

#[derive(Default)]
struct Partition {
    epoch: u64,
    records: Vec<LogRecord>,
}

#[derive(Default)]
struct Output {
    records: Vec<OutputRecord>,
    seen: HashSet<(RunId, u64)>,
}

/// The offset of the record at `index`.
fn offset_at(index: usize) -> LogOffset {
    LogOffset(i64::try_from(index).expect("memory ends before i64 does"))
}

/// At most `max` of `records`, whose offsets are their indexes, from `from` on.
fn slice<R: Clone>(records: &[R], from: LogOffset, max: usize) -> Vec<R> {
    let start = usize::try_from(from.0).unwrap_or(0).min(records.len());
    records[start..].iter().take(max).cloned().collect()
}

impl MemoryLog {
    /// An empty log.
    pub fn new(partitions: u32) -> Self {
        Self(Arc::new(Inner {
            partitions: (0..partitions).map(|_| Mutex::default()).collect(),
            output: (0..partitions).map(|_| Mutex::default()).collect(),
            dead_letters: Mutex::default(),
            snapshots: Mutex::default(),
            event_wakers: Wakers::new(partitions),
            output_wakers: Wakers::new(partitions),
        }))
    }

    /// Puts a record into the log without a writer, for tests of what a reader makes of it.
    pub fn inject(&self, partition: u32, payload: Result<Arc<Event>, Poison>) -> Result<LogOffset, Error> {
        let offset = {
            let mut partition_state = self.partition(partition)?.lock();
            let offset = offset_at(partition_state.records.len());
            partition_state.records.push(LogRecord { partition, offset, payload: payload.map_err(Arc::new) });
            offset
        };
        self.0.event_wakers.wake(partition);
        Ok(offset)
    }

    /// Every dead letter so far.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.dead_letters.lock().clone()
    }

    fn no_partition(&self, partition: u32) -> Error {
        Error::NoPartition { partition, count: self.partition_count() }
    }

    fn partition(&self, partition: u32) -> Result<&Mutex<Partition>, Error> {
        self.0.partitions.get(partition as usize).ok_or_else(|| self.no_partition(partition))
    }

    fn output(&self, partition: u32) -> Result<&Mutex<Output>, Error> {
        self.0.output.get(partition as usize).ok_or_else(|| self.no_partition(partition))
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    fn partition_count(&self) -> u32 {
        u32::try_from(self.0.partitions.len()).expect("it was made from a u32")
    }

    async fn open_writer(&self, partition: u32) -> Result<Box<dyn PartitionWriter>, Error> {
        let mut state = self.partition(partition)?.lock();
        state.epoch += 1;
        let end = offset_at(state.records.len());
        Ok(Box::new(Writer { log: self.clone(), partition, epoch: state.epoch, end }))
    }

    async fn end(&self, partition: u32) -> Result<LogOffset, Error> {
        Ok(offset_at(self.partition(partition)?.lock().records.len()))
    }

    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error> {
        Ok(slice(&self.partition(partition)?.lock().records, from, max))
    }

    async fn subscribe(
        &self,
        partition: u32,
        from: LogOffset,
    ) -> Result<BoxStream<'static, Result<LogRecord, Error>>, Error> {
        self.partition(partition)?;
        let log = self.clone();
        let wake = log.0.event_wakers.listen(partition);
        let read = move |from, max| {
            let log = log.clone();
            async move { log.read(partition, from, max).await }.boxed()
        };
        Ok(tail(from, wake, POLL, |record: &LogRecord| record.offset, Box::new(read)))
    }

    async fn append_output(&self, lines: Vec<AgentOutput>) -> Result<(), Error> {
        for line in lines {
            let partition = partition_of(&line.run_id.to_string(), self.partition_count());
            let mut output = self.output(partition)?.lock();
            if !output.seen.insert((line.run_id, line.line_number)) {
                continue;
            }
            let offset = offset_at(output.records.len());
            output.records.push(OutputRecord { partition, offset, line });
            drop(output);
            self.0.output_wakers.wake(partition);
        }
        Ok(())
    }

    async fn subscribe_output(
        &self,
        from: Vec<(u32, LogOffset)>,
    ) -> Result<BoxStream<'static, Result<OutputRecord, Error>>, Error> {
        let mut streams = Vec::with_capacity(from.len());
        for (partition, from) in from {
            self.output(partition)?;
            let log = self.clone();
            let wake = log.0.output_wakers.listen(partition);
            let read = move |from, max| {
                let log = log.clone();
                async move { Ok(slice(&log.output(partition)?.lock().records, from, max)) }.boxed()
            };
            streams.push(tail(from, wake, POLL, |record: &OutputRecord| record.offset, Box::new(read)));
        }
        Ok(stream::select_all(streams).boxed())
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error> {
        self.0.dead_letters.lock().push(letter);
        Ok(())
    }

    async fn put_snapshot(&self, partition: u32, snapshot: Bytes) -> Result<(), Error> {
        self.partition(partition)?;
        self.0.snapshots.lock().insert(partition, snapshot);
        Ok(())
    }

    async fn snapshot(&self, partition: u32) -> Result<Option<Bytes>, Error> {
        self.partition(partition)?;
        Ok(self.0.snapshots.lock().get(&partition).cloned())
    }
}

struct Writer {
    log: MemoryLog,
    partition: u32,
    epoch: u64,
    end: LogOffset,
}

#[async_trait]
impl PartitionWriter for Writer {
    fn partition(&self) -> u32 {
        self.partition
    }

    fn end(&self) -> LogOffset {
        self.end
    }

    async fn append(&mut self, expected_end: LogOffset, events: &[Arc<Event>]) -> Result<Appended, Error> {
        let partition = self.partition;
        for event in events {
            // The bytes are of no use here; that they can be made, and how large they are, is a promise of every log.
            let size_bytes = muster_schemas::encode(event)?.len();
            if size_bytes > DEFAULT_MAX_VALUE_BYTES {
                return Err(Error::TooLarge { size_bytes, limit_bytes: DEFAULT_MAX_VALUE_BYTES });
            }
        }
        let mut offsets = Vec::with_capacity(events.len());
        {
            let mut state = self.log.partition(partition)?.lock();
            if state.epoch != self.epoch {
                return Err(Error::Fenced { partition });
            }
            let actual = offset_at(state.records.len());
            if actual != expected_end {
                return Err(Error::WrongExpectedEnd { partition, expected: expected_end, actual });
            }
            for event in events {
                let offset = offset_at(state.records.len());
                state.records.push(LogRecord { partition, offset, payload: Ok(Arc::clone(event)) });
                offsets.push(offset);
            }
            self.end = offset_at(state.records.len());
        }
        self.log.0.event_wakers.wake(partition);
        Ok(Appended { end: self.end, offsets })
    }
}
