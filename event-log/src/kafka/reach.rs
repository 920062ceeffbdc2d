//! Whether the brokers answer, asked before anything is asked of them: a client that is refused for good says so only
//! aside, and every other call would wait for its time-out. It must never take silence for a refusal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::clients::{self, DropElsewhere};
use super::{KafkaConfig, errors};
use crate::Error;

/// Longest wait of one look, and so for how long a stop may go unnoticed.
const LOOK: Duration = Duration::from_millis(250);

/// The client's errors: the last one, and one that will not pass.
#[derive(Default)]
struct Told {
    last: Mutex<Option<String>>,
    refusal: Mutex<Option<String>>,
}

struct Listening(Arc<Told>);

impl ClientContext for Listening {
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        tracing::debug!(target: "librdkafka", %error, "{reason}");
        if code.is_some_and(errors::says_refused) {
            *self.0.refusal.lock() = Some(reason.to_owned());
        }
        // It follows each broker's own error, and says less.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.0.last.lock() = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Listening {}

/// Waits until a broker answers, for as long as a request may take.
pub(super) async fn brokers(config: &KafkaConfig) -> Result<(), Error> {
    let told = Arc::new(Told::default());
    let client: BaseConsumer<Listening> = clients::base(config)
        .create_with_context(Listening(Arc::clone(&told)))
        .map_err(|error| errors::configuration(&error))?;
    let client = Arc::new(DropElsewhere::new(client));
    let deadline = Instant::now() + config.request_timeout();
    loop {
        let asked = Arc::clone(&client);
        let answered = clients::blocking(move || {
            let cluster = asked.client().fetch_cluster_id(LOOK);
            // Errors wait until the client is polled.
            drop(asked.poll(Duration::ZERO));
            drop(asked.poll(Duration::ZERO));
            Ok(cluster.is_some())
        });
        if answered.await? {
            return Ok(());
        }
        if let Some(reason) = told.refusal.lock().take() {
            return Err(Error::Config { reason: format!("the brokers at {} refuse: {reason}", config.bootstrap) });
        }
        if Instant::now() >= deadline {
            let reason = told.last.lock().take().unwrap_or_else(|| "no answer".to_owned());
            return Err(Error::unavailable(&format!("the brokers at {}", config.bootstrap), reason));
        }
    }
}
