//! The interface of the log. It must never name an implementation.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use muster_domain::event::Event;
use muster_domain::id::ProjectId;

use crate::membership::{Alone, Member, Membership};
use crate::{AgentOutput, Appended, DeadLetter, Error, LogOffset, LogRecord, OutputRecord, partition_of};

/// A log of events in a fixed number of partitions, a second one of agent output, and a place for dead letters.
///
/// Only committed records are ever read. Records of one partition are read in the order they were written.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Number of partitions, fixed for the log's life. Agent output has as many.
    fn partition_count(&self) -> u32;

    /// The partition all events of `project` are in: the same on every implementation and for every Kafka client.
    fn partition_for(&self, project: ProjectId) -> u32 {
        partition_of(&project.to_string(), self.partition_count())
    }

    /// Takes `partition` over. From then on every earlier writer of it, in any process, gets [`Error::Fenced`].
    /// When this returns, everything they committed is readable and nothing of theirs is under way.
    async fn open_writer(&self, partition: u32) -> Result<Box<dyn PartitionWriter>, Error>;

    /// The end of what is committed now, exclusive: whatever was acknowledged before the call has a smaller offset.
    async fn end(&self, partition: u32) -> Result<LogOffset, Error>;

    /// At most `max` committed records with offsets of `from` and above. Offsets may have holes. Empty only at the end:
    /// whatever was acknowledged before the call has been read then.
    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error>;

    /// Every committed record with an offset of `from` or above, then each new one, without gap or repetition.
    /// After an error the stream ends: subscribe anew from [`LogOffset::next`] of the last record.
    async fn subscribe(
        &self,
        partition: u32,
        from: LogOffset,
    ) -> Result<BoxStream<'static, Result<LogRecord, Error>>, Error>;

    /// Appends lines of agent output. Not atomic; after an error some may be written, and appending them again is
    /// safe. Readers drop a line whose number they have seen: only Postgres and memory do it for them.
    async fn append_output(&self, lines: Vec<AgentOutput>) -> Result<(), Error>;

    /// As [`EventLog::subscribe`], for agent output and for several partitions at once; ordered within each.
    async fn subscribe_output(
        &self,
        from: Vec<(u32, LogOffset)>,
    ) -> Result<BoxStream<'static, Result<OutputRecord, Error>>, Error>;

    /// Puts a record that could not be applied where people and tools look for it. Durable on return.
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error>;

    /// Joins the instances that divide the partitions between each other. Without another, all belong to this one.
    async fn join(&self, member: Member) -> Result<Arc<dyn Membership>, Error> {
        Ok(Arc::new(Alone::new(&member, self.partition_count())))
    }

    /// Keeps `snapshot` as the newest of `partition`. An optimisation: it may be lost at any time.
    /// One before it is kept too, for when the newest is damaged. This default keeps none.
    async fn put_snapshot(&self, _partition: u32, _snapshot: Bytes) -> Result<(), Error> {
        Ok(())
    }

    /// The newest snapshot of `partition`, as it was put. None when there is none, or none that is whole: a damaged one is
    /// logged and left out.
    async fn snapshot(&self, _partition: u32) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }
}

/// The one live writer of a partition. Dropping it gives nothing up: the next [`EventLog::open_writer`] does.
#[async_trait]
pub trait PartitionWriter: Send {
    /// The partition.
    fn partition(&self) -> u32;

    /// Where the next append is expected. Compare it with nothing but offsets this writer has returned.
    fn end(&self) -> LogOffset;

    /// Appends all of `events` or none, at `expected_end`. After `Ok` they are durable, and every
    /// call that begins later sees them.
    ///
    /// An empty list is a no-op that still checks `expected_end`. After [`Error::Fenced`] or
    /// [`Error::Indeterminate`], also when the call was cancelled, the writer refuses further work: open a new one.
    async fn append(&mut self, expected_end: LogOffset, events: &[Arc<Event>]) -> Result<Appended, Error>;
}
