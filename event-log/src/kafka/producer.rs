//! One partition's transactional producer and the thread it lives on: its calls block, and it must die on its thread.
//!
//! It must never call an outcome known after a commit was begun and not acknowledged.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::patience::{NoAnswer, Stage};
use super::watermarks::Watermarks;
use super::{KafkaConfig, clients, errors, number};
use crate::{Error, LogOffset, stalls};

/// A record, ready to be sent.
pub(super) struct Encoded {
    pub key: String,
    pub value: Vec<u8>,
    pub headers: OwnedHeaders,
}

/// What the thread is asked: append these, all or none, and say at which offsets.
struct Request {
    records: Vec<Encoded>,
    reply: oneshot::Sender<Result<Vec<LogOffset>, Error>>,
}

/// Index of a record in its append, and where it went.
type Report = (usize, Result<LogOffset, KafkaError>);

struct Context(mpsc::Sender<Report>);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let report = match result {
            Ok(message) => Ok(LogOffset(message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        // Nobody listens any more when the thread has given the append up.
        drop(self.0.send((index, report)));
    }
}

/// Starts the thread. On return its producer has fenced every other of the partition, and what they left is decided.
pub(super) async fn start(
    config: KafkaConfig,
    topic: String,
    partition: u32,
    watermarks: Arc<Watermarks>,
) -> Result<(Requests, LogOffset), Error> {
    let (requests, inbox) = mpsc::channel();
    let (opened, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("muster-log-{partition}"));
    let (stage, margin) = (Arc::new(Stage::new()), config.stall_timeout());
    let watched = Arc::clone(&stage);
    let run = move || match Transactions::open(&config, topic, partition, watermarks, watched) {
        Ok((transactions, end)) => {
            if opened.send(Ok(end)).is_ok() {
                transactions.serve(&inbox);
            }
        }
        Err(error) => drop(opened.send(Err(error))),
    };
    thread.spawn(run).map_err(|error| Error::unavailable("a thread for a producer", error))?;
    let end = stage.answer(result, margin).await.map_err(|no| Error::unavailable("a new producer", no.reason()))??;
    Ok((Requests { queue: requests, stage, margin }, end))
}

/// Where appends are asked for.
pub(super) struct Requests {
    queue: mpsc::Sender<Request>,
    stage: Arc<Stage>,
    margin: Duration,
}

impl Requests {
    /// Appends all or none. The outer error says why there is no answer: the outcome is open then.
    pub(super) async fn append(&self, records: Vec<Encoded>) -> Result<Result<Vec<LogOffset>, Error>, &'static str> {
        let (reply, answer) = oneshot::channel();
        self.stage.begin(Duration::ZERO);
        self.queue.send(Request { records, reply }).map_err(|_| "the producer was lost")?;
        self.stage.answer(answer, self.margin).await.map_err(NoAnswer::reason)
    }
}

impl NoAnswer {
    /// In words. A stuck producer is counted.
    fn reason(self) -> &'static str {
        match self {
            Self::Ended => "the producer's thread ended",
            Self::Stuck => {
                stalls::count("producer", "a call of a producer does not return; it is left behind");
                "a call of the producer does not return"
            }
        }
    }
}

struct Transactions {
    producer: ThreadedProducer<Context>,
    reports: mpsc::Receiver<Report>,
    topic: String,
    partition: u32,
    transaction_timeout: Duration,
    request_timeout: Duration,
    watermarks: Arc<Watermarks>,
    stage: Arc<Stage>,
}

/// Says how long a step of a transaction took.
fn took(step: &'static str, begun: Instant) {
    metrics::histogram!("muster_log_transaction_seconds", "step" => step).record(begun.elapsed().as_secs_f64());
}

/// What an append left behind.
enum Outcome {
    /// The producer is good for the next.
    Usable,
    /// The producer must not be used again.
    Spent,
}

impl Transactions {
    fn open(
        config: &KafkaConfig,
        topic: String,
        partition: u32,
        watermarks: Arc<Watermarks>,
        stage: Arc<Stage>,
    ) -> Result<(Self, LogOffset), Error> {
        stage.begin(config.request_timeout());
        let (reporter, reports) = mpsc::channel();
        let producer: ThreadedProducer<Context> = clients::transactional(config, partition)
            .create_with_context(Context(reporter))
            .map_err(|error| errors::configuration(&error))?;
        producer
            .init_transactions(config.request_timeout())
            .map_err(|error| errors::unavailable(&topic, partition, &error))?;
        let transaction_timeout = Duration::from_millis(config.transaction_timeout_ms);
        let request_timeout = config.request_timeout();
        let this =
            Self { producer, reports, topic, partition, transaction_timeout, request_timeout, watermarks, stage };
        let end = this.settle()?;
        Ok((this, end))
    }

    /// Waits until everything in the partition is decided. The end of it.
    ///
    /// Whoever has initialised its transactions has been told that all earlier ones of its id are done. One that is still
    /// undecided was forgotten: a broker that died after deciding it lost the mark (see [`Self::readable`]), and nobody
    /// will ever write it. The next mark of the same producer decides it too, so an empty transaction is aborted, and
    /// what was forgotten with it. Nothing in it was acknowledged, and no reader has seen it.
    fn settle(&self) -> Result<LogOffset, Error> {
        // Two questions each time.
        self.stage.begin(self.request_timeout * 2);
        if let Some(from) = self.watermarks.undecided(&self.topic, self.partition)? {
            let (topic, partition) = (&self.topic, self.partition);
            tracing::warn!(topic, partition, %from, "a transaction was left undecided: one of the same producer is aborted, which ends it");
            self.abort_one().map_err(|error| errors::unavailable(&self.topic, self.partition, &error))?;
        }
        self.stage.begin(self.request_timeout * 2);
        self.watermarks.await_decided(&self.topic, self.partition)
    }

    /// A transaction of one empty record that is aborted.
    fn abort_one(&self) -> Result<(), KafkaError> {
        let nothing = Encoded { key: String::new(), value: Vec::new(), headers: OwnedHeaders::new() };
        self.stage.begin(self.transaction_timeout * 2);
        self.producer.begin_transaction()?;
        self.deliver(vec![nothing], Instant::now() + self.transaction_timeout)?;
        self.producer.abort_transaction(self.transaction_timeout)
    }

    fn serve(self, inbox: &mpsc::Receiver<Request>) {
        while let Ok(Request { records, reply }) = inbox.recv() {
            let (result, outcome) = self.append(records);
            // Whoever asked may have gone; the next writer reads what became of it.
            drop(reply.send(result));
            if matches!(outcome, Outcome::Spent) {
                return;
            }
        }
    }

    fn append(&self, records: Vec<Encoded>) -> (Result<Vec<LogOffset>, Error>, Outcome) {
        let begun = Instant::now();
        let deadline = begun + self.transaction_timeout;
        self.stage.begin(self.transaction_timeout);
        let delivered = self.producer.begin_transaction().and_then(|()| self.deliver(records, deadline));
        match delivered {
            Ok(offsets) => {
                took("deliver", begun);
                self.commit(offsets)
            }
            Err(error) => self.give_up(&error),
        }
    }

    fn commit(&self, offsets: Vec<LogOffset>) -> (Result<Vec<LogOffset>, Error>, Outcome) {
        self.stage.begin(self.transaction_timeout * 2);
        let begun = Instant::now();
        if let Err(error) = self.producer.commit_transaction(self.transaction_timeout * 2) {
            return (Err(self.indeterminate(&error, offsets.first())), Outcome::Spent);
        }
        took("commit", begun);
        let begun = Instant::now();
        let end = self.readable(offsets);
        took("readable", begun);
        end
    }

    /// Nothing was committed, because no commit was begun. Aborts, so that the next append can begin.
    fn give_up(&self, error: &KafkaError) -> (Result<Vec<LogOffset>, Error>, Outcome) {
        self.stage.begin(self.transaction_timeout);
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        let aborted = if fatal.is_none() { self.producer.abort_transaction(self.transaction_timeout) } else { Ok(()) };
        let fatal = self.producer.client().fatal_error().map(|(code, _)| code);
        let fenced = fatal.is_some_and(errors::says_fenced)
            || errors::is_fenced(error)
            || aborted.as_ref().is_err_and(errors::is_fenced);
        if fenced {
            return (Err(Error::Fenced { partition: self.partition }), Outcome::Spent);
        }
        let outcome = if fatal.is_none() && aborted.is_ok() { Outcome::Usable } else { Outcome::Spent };
        (Err(errors::unavailable(&self.topic, self.partition, error)), outcome)
    }

    /// Kafka answers a commit when it is decided, and marks the records as committed after that. A broker that dies in
    /// between can lose the mark (seen with one broker, Kafka 4.3.1: the coordinator was done, the partition had none),
    /// so nothing is acknowledged before it can be read. Marks are written within milliseconds; where one does not come,
    /// the next writer knows what to do.
    fn readable(&self, offsets: Vec<LogOffset>) -> (Result<Vec<LogOffset>, Error>, Outcome) {
        let wanted = offsets.last().copied().unwrap_or_default().next();
        let deadline = Instant::now() + self.transaction_timeout / 4;
        self.stage.begin(self.transaction_timeout / 4);
        match self.watermarks.await_end(&self.topic, self.partition, wanted, deadline) {
            Ok(_) => (Ok(offsets), Outcome::Usable),
            Err(error) => (Err(self.indeterminate(&error, offsets.first())), Outcome::Spent),
        }
    }

    fn indeterminate(&self, error: &dyn std::error::Error, first: Option<&LogOffset>) -> Error {
        let at = first.map(|offset| format!(", from offset {offset}")).unwrap_or_default();
        let reason = format!("topic {}, partition {}{at}: commit: {error}", self.topic, self.partition);
        Error::Indeterminate { partition: self.partition, reason }
    }

    /// Sends all and waits for each to be acknowledged. Only then is a commit worth asking for, and only then does the
    /// client's own commit not wait for its next poll.
    fn deliver(&self, records: Vec<Encoded>, deadline: Instant) -> Result<Vec<LogOffset>, KafkaError> {
        // Reports of an append that was given up half-way.
        while self.reports.try_recv().is_ok() {}
        let count = records.len();
        for (index, record) in records.into_iter().enumerate() {
            self.send(index, record, deadline)?;
        }
        let timed_out = || KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        let mut offsets = vec![LogOffset::START; count];
        for _ in 0..count {
            let left = deadline.saturating_duration_since(Instant::now());
            let (index, report) = self.reports.recv_timeout(left).map_err(|_| timed_out())?;
            offsets[index] = report?;
        }
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        Ok(offsets)
    }

    fn send(&self, index: usize, record: Encoded, deadline: Instant) -> Result<(), KafkaError> {
        let mut message = BaseRecord::with_opaque_to(&self.topic, index)
            .partition(number(self.partition))
            .key(&record.key)
            .payload(&record.value)
            .headers(record.headers);
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    message = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}
