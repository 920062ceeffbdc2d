//! Kafka messages to raw records and back.

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

use crate::LogOffset;
use crate::decode::RawRecord;

/// A record as it was consumed.
pub(super) fn raw(message: &BorrowedMessage<'_>) -> (LogOffset, RawRecord) {
    let headers: Vec<(String, String)> =
        message.headers().map(|headers| headers.iter().map(|header| text(&header)).collect()).unwrap_or_default();
    let find = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
    let record = RawRecord {
        value: message.payload().map(Bytes::copy_from_slice).unwrap_or_default(),
        event_type: find("ce_type").map(str::to_owned),
        project_id: key.and_then(|key| key.parse().ok()),
        position: find("ce_sequence").and_then(|sequence| sequence.parse().ok()),
        headers,
    };
    (LogOffset(message.offset()), record)
}

/// A header as text; hexadecimal where it is none.
fn text(header: &Header<'_, &[u8]>) -> (String, String) {
    let value = header.value.unwrap_or_default();
    let value = match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => hex::encode(value),
    };
    (header.key.to_owned(), value)
}

/// `headers` for a record to be produced.
pub(super) fn headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> OwnedHeaders {
    headers.into_iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }))
}
