//! The one live writer of a partition: encodes, hands over to the producer's thread, keeps count of the end.

use std::sync::Arc;

use async_trait::async_trait;
use muster_domain::event::Event;

use super::producer::{self, Encoded, Requests};
use super::{KafkaLog, records};
use crate::headers::headers;
use crate::{Appended, Error, LogOffset, PartitionWriter, framing};

/// Whether the writer may go on.
#[derive(Clone, Copy)]
enum Standing {
    Good,
    Fenced,
    /// An append was begun and its outcome was never learnt, or the producer was lost.
    InDoubt,
}

pub(super) struct Writer {
    log: KafkaLog,
    partition: u32,
    requests: Requests,
    end: LogOffset,
    standing: Standing,
}

impl Writer {
    pub(super) async fn open(log: KafkaLog, partition: u32) -> Result<Self, Error> {
        let (config, topic) = (log.0.config.clone(), log.0.topics.events.clone());
        let (requests, end) = producer::start(config, topic, partition, Arc::clone(&log.0.watermarks)).await?;
        Ok(Self { log, partition, requests, end, standing: Standing::Good })
    }

    fn encode(&self, event: &Event) -> Result<Encoded, Error> {
        let datum = muster_schemas::encode(event)?;
        let schema_id = self.log.0.schema_ids.events.get(event.event_type()).copied().ok_or_else(|| Error::Schema {
            subject: event.event_type().to_owned(),
            reason: "it was not registered when this process connected".to_owned(),
        })?;
        let value = framing::frame(schema_id, &datum);
        let limit_bytes = self.log.0.config.max_value_bytes;
        if value.len() > limit_bytes {
            return Err(Error::TooLarge { size_bytes: value.len(), limit_bytes });
        }
        let headers = records::headers(headers(event).iter().map(|(name, value)| (*name, value.as_str())));
        Ok(Encoded { key: event.project_id.to_string(), value, headers })
    }

    fn in_doubt(&self, reason: &str) -> Error {
        Error::Indeterminate { partition: self.partition, reason: reason.to_owned() }
    }
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
        match self.standing {
            Standing::Good => {}
            Standing::Fenced => return Err(Error::Fenced { partition }),
            Standing::InDoubt => return Err(self.in_doubt("an earlier append had no answer, or lost the producer")),
        }
        if expected_end != self.end {
            return Err(Error::WrongExpectedEnd { partition, expected: expected_end, actual: self.end });
        }
        if events.is_empty() {
            return Ok(Appended { end: self.end, offsets: Vec::new() });
        }
        let records = events.iter().map(|event| self.encode(event)).collect::<Result<Vec<_>, _>>()?;
        // From here to the answer the outcome is open, also when this future is dropped.
        self.standing = Standing::InDoubt;
        let result = self.requests.append(records).await.unwrap_or_else(|reason| Err(self.in_doubt(reason)));
        self.standing = match &result {
            Err(Error::Fenced { .. }) => Standing::Fenced,
            Err(Error::Indeterminate { .. }) => Standing::InDoubt,
            _ => Standing::Good,
        };
        let offsets = result?;
        self.end = offsets.last().map_or(self.end, |last| last.next());
        Ok(Appended { end: self.end, offsets })
    }
}
