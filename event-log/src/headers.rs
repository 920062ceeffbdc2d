//! The headers of an event's record: CloudEvents in binary mode, and W3C trace context.
//!
//! All are derived from the event, so that they are the same whoever writes it. They must never be needed to read it.

use muster_domain::event::Event;

/// The trace an event belongs to is its correlation; its own span is the end of its id.
pub(crate) fn traceparent(event: &Event) -> Option<String> {
    let trace = event.correlation_id.simple().to_string();
    let id = event.id.0.simple().to_string();
    let span = &id[16..];
    let valid = |text: &str| text.bytes().any(|byte| byte != b'0');
    (valid(&trace) && valid(span)).then(|| format!("00-{trace}-{span}-01"))
}

/// Every header of `event`'s record, as name and value.
///
/// `ce_sequence` is the position in the project, padded so that text order is number order.
pub fn headers(event: &Event) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", event.id.to_string()),
        ("ce_type", event.event_type().to_owned()),
        ("ce_source", format!("urn:muster:project:{}", event.project_id)),
        ("ce_time", event.timestamp.to_string()),
        ("ce_partitionkey", event.project_id.to_string()),
        ("ce_sequence", format!("{:020}", event.position)),
        ("content-type", "application/avro".to_owned()),
    ];
    headers.extend(event.task_id.map(|task| ("ce_subject", task.to_string())));
    headers.extend(traceparent(event).map(|value| ("traceparent", value)));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_event_has_every_header() {
        let event = muster_schemas::samples::sample_events().into_iter().find(|e| e.task_id.is_some()).unwrap();
        let headers = headers(&event);
        assert_eq!(headers.len(), 10);
        let (_, trace) = headers.iter().find(|(name, _)| *name == "traceparent").unwrap();
        assert_eq!(trace.len(), 55);
        assert!(trace.contains(&event.correlation_id.simple().to_string()));
    }
}
