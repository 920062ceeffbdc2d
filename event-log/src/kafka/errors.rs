//! From Kafka errors to the log's. Each names topic and partition, and the offset where there is one.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{Error, LogOffset};

/// Whether the code says that another producer has taken the transactional id over.
pub(super) fn says_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    matches!(code, Fenced | InvalidProducerEpoch | ProducerFenced)
}

/// As [`says_fenced`], for any error.
pub(super) fn is_fenced(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(says_fenced)
}

/// Whether the code says that this client may not do what it asked, whenever it asks.
pub(super) fn says_refused(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::PolicyViolation
    )
}

/// An error of a call that may be repeated.
pub(super) fn unavailable(topic: &str, partition: u32, error: &KafkaError) -> Error {
    Error::Unavailable { reason: format!("topic {topic}, partition {partition}: {error}") }
}

/// As [`unavailable`], with the offset that was asked for.
pub(super) fn unavailable_at(topic: &str, partition: u32, offset: LogOffset, error: &KafkaError) -> Error {
    Error::Unavailable { reason: format!("topic {topic}, partition {partition}, offset {offset}: {error}") }
}

/// A client that could not be made: a property it does not take.
pub(super) fn configuration(error: &KafkaError) -> Error {
    Error::Config { reason: format!("Kafka client: {error}") }
}
