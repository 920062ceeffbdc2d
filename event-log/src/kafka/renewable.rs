//! A client that is asked and never polled, replaced by a new one when it does not answer.
//!
//! A connection can hang without either side noticing; librdkafka gives it up only after its own, longer time-outs. It
//! must never be used for anything that a new client could not go on with.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use super::clients::{DropElsewhere, Quiet};
use super::errors;
use crate::Error;

type Shared = Arc<DropElsewhere<BaseConsumer<Quiet>>>;

pub(super) struct Renewable {
    settings: ClientConfig,
    current: Mutex<Shared>,
}

impl Renewable {
    pub(super) fn new(settings: ClientConfig) -> Result<Self, Error> {
        let current = Mutex::new(make(&settings).map_err(|error| errors::configuration(&error))?);
        Ok(Self { settings, current })
    }

    /// What the client answers. One that does not answer in time is not asked again.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&BaseConsumer<Quiet>) -> KafkaResult<T>) -> KafkaResult<T> {
        let client = Arc::clone(&self.current.lock());
        let answer = question(&client);
        // The client's own log lines and errors wait in its queue until they are asked for.
        drop(client.poll(Duration::ZERO));
        if let Err(error) = &answer
            && error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut)
        {
            let mut current = self.current.lock();
            if Arc::ptr_eq(&current, &client) {
                *current = make(&self.settings)?;
            }
        }
        answer
    }

    /// Leaves the client there is to whoever still asks it.
    pub(super) fn renew(&self) -> KafkaResult<()> {
        let new = make(&self.settings)?;
        *self.current.lock() = new;
        Ok(())
    }
}

fn make(settings: &ClientConfig) -> Result<Shared, KafkaError> {
    Ok(Arc::new(DropElsewhere::new(settings.create_with_context(Quiet)?)))
}
