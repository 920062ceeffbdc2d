//! A log in memory whose appends can be made to fail, to hang, or to lose their answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use muster_domain::event::{Event, EventData};
use muster_event_log::memory::MemoryLog;
use muster_event_log::{
    AgentOutput, Appended, DeadLetter, Error, EventLog, LogOffset, LogRecord, OutputRecord, PartitionWriter,
};
use tokio::sync::{Mutex, Semaphore};

/// An append with a task of this title is refused for good.
pub const REFUSED_TITLE: &str = "Refused by the log";

/// What befalls the next append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is written, and nobody learns of it.
    WrittenButLost,
    /// It is not written, and nobody learns of it.
    LostUnwritten,
    /// The log says that it is away.
    Unavailable,
}

#[derive(Clone)]
pub struct FaultyLog {
    inner: MemoryLog,
    faults: Arc<Mutex<Vec<Fault>>>,
    /// Appends wait for a permit while there is a gate.
    gate: Arc<Mutex<Option<Arc<Semaphore>>>>,
    waiting: Arc<AtomicUsize>,
    sizes: Arc<Mutex<Vec<usize>>>,
    /// Whether nobody can take a partition over.
    refuse_writers: Arc<AtomicBool>,
    /// Whether reads wait, and how many do.
    hold_reads: Arc<tokio::sync::watch::Sender<bool>>,
    reads_held: Arc<AtomicUsize>,
    /// Of a hundred appends, how many fail by chance.
    percent: Arc<AtomicUsize>,
    chance: Arc<parking_lot::Mutex<Chance>>,
}

/// Numbers that look random and are the same in each run.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

impl FaultyLog {
    pub fn new(partitions: u32) -> Self {
        Self {
            inner: MemoryLog::new(partitions),
            faults: Arc::default(),
            gate: Arc::default(),
            waiting: Arc::default(),
            sizes: Arc::default(),
            refuse_writers: Arc::default(),
            hold_reads: Arc::new(tokio::sync::watch::Sender::new(false)),
            reads_held: Arc::default(),
            percent: Arc::default(),
            chance: Arc::new(parking_lot::Mutex::new(Chance(7))),
        }
    }

    /// From now on so many of a hundred appends fail, in any way.
    pub fn fail_by_chance(&self, percent: usize) {
        self.percent.store(percent, Ordering::SeqCst);
    }

    fn by_chance(&self) -> Option<Fault> {
        const FAULTS: [Fault; 3] = [Fault::WrittenButLost, Fault::LostUnwritten, Fault::Unavailable];
        let mut chance = self.chance.lock();
        (chance.below(100) < self.percent.load(Ordering::SeqCst)).then(|| FAULTS[chance.below(FAULTS.len())])
    }

    /// The next appends fail like this, in order.
    pub async fn fail_next(&self, faults: &[Fault]) {
        self.faults.lock().await.extend_from_slice(faults);
    }

    /// From now on appends wait.
    pub async fn close_gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().await = Some(Arc::clone(&gate));
        gate
    }

    /// From now on appends do not wait any more.
    pub async fn open_gate(&self, gate: &Semaphore) {
        *self.gate.lock().await = None;
        gate.add_permits(1000);
    }

    /// As [`FaultyLog::open_gate`], of whichever gate there is.
    pub async fn open_gates(&self) {
        if let Some(gate) = self.gate.lock().await.take() {
            gate.add_permits(1000);
        }
    }

    /// Whether the log is away for whoever takes a partition over.
    pub fn refuse_writers(&self, refuse: bool) {
        self.refuse_writers.store(refuse, Ordering::SeqCst);
    }

    /// Whether reads wait from now on.
    pub fn hold_reads(&self, hold: bool) {
        self.hold_reads.send_replace(hold);
    }

    /// How many reads wait.
    pub fn reads_held(&self) -> usize {
        self.reads_held.load(Ordering::SeqCst)
    }

    /// How many appends wait at the gate.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Number of events of each append so far.
    pub async fn append_sizes(&self) -> Vec<usize> {
        self.sizes.lock().await.clone()
    }
}

struct Writer {
    inner: Box<dyn PartitionWriter>,
    log: FaultyLog,
}

#[async_trait]
impl PartitionWriter for Writer {
    fn partition(&self) -> u32 {
        self.inner.partition()
    }

    fn end(&self) -> LogOffset {
        self.inner.end()
    }

    async fn append(&mut self, expected_end: LogOffset, events: &[Arc<Event>]) -> Result<Appended, Error> {
        let gate = self.log.gate.lock().await.clone();
        if let Some(gate) = gate {
            self.log.waiting.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.expect("it is never closed").forget();
            self.log.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        self.log.sizes.lock().await.push(events.len());
        let mut faults = self.log.faults.lock().await;
        let fault = if faults.is_empty() { self.log.by_chance() } else { Some(faults.remove(0)) };
        drop(faults);
        let partition = self.inner.partition();
        if events.iter().any(|event| matches!(&event.data, EventData::TaskCreated(task) if task.title == REFUSED_TITLE))
        {
            return Err(Error::Refused { partition, reason: "a test".to_owned() });
        }
        let lost = Error::Indeterminate { partition, reason: "a test".to_owned() };
        match fault {
            None => self.inner.append(expected_end, events).await,
            Some(Fault::WrittenButLost) => {
                self.inner.append(expected_end, events).await?;
                Err(lost)
            }
            Some(Fault::LostUnwritten) => Err(lost),
            Some(Fault::Unavailable) => Err(Error::Unavailable { reason: "a test".to_owned() }),
        }
    }
}

#[async_trait]
impl EventLog for FaultyLog {
    fn partition_count(&self) -> u32 {
        self.inner.partition_count()
    }

    async fn open_writer(&self, partition: u32) -> Result<Box<dyn PartitionWriter>, Error> {
        if self.refuse_writers.load(Ordering::SeqCst) {
            return Err(Error::Unavailable { reason: "a test".to_owned() });
        }
        Ok(Box::new(Writer { inner: self.inner.open_writer(partition).await?, log: self.clone() }))
    }

    async fn end(&self, partition: u32) -> Result<LogOffset, Error> {
        self.inner.end(partition).await
    }

    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error> {
        if *self.hold_reads.borrow() {
            self.reads_held.fetch_add(1, Ordering::SeqCst);
            let _ = self.hold_reads.subscribe().wait_for(|hold| !hold).await;
            self.reads_held.fetch_sub(1, Ordering::SeqCst);
        }
        self.inner.read(partition, from, max).await
    }

    async fn subscribe(
        &self,
        partition: u32,
        from: LogOffset,
    ) -> Result<BoxStream<'static, Result<LogRecord, Error>>, Error> {
        self.inner.subscribe(partition, from).await
    }

    async fn append_output(&self, lines: Vec<AgentOutput>) -> Result<(), Error> {
        self.inner.append_output(lines).await
    }

    async fn subscribe_output(
        &self,
        from: Vec<(u32, LogOffset)>,
    ) -> Result<BoxStream<'static, Result<OutputRecord, Error>>, Error> {
        self.inner.subscribe_output(from).await
    }

    async fn put_snapshot(&self, partition: u32, snapshot: Bytes) -> Result<(), Error> {
        self.inner.put_snapshot(partition, snapshot).await
    }

    async fn snapshot(&self, partition: u32) -> Result<Option<Bytes>, Error> {
        self.inner.snapshot(partition).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error> {
        self.inner.dead_letter(letter).await
    }
}
