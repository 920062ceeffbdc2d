//! The registry's wire format: a zero byte, the schema's id in four bytes, the Avro datum.

use bytes::Bytes;

/// Length of what precedes the datum, in bytes.
pub(crate) const PREFIX_BYTES: usize = 5;

/// `datum`, written with the schema `schema_id`.
pub(crate) fn frame(schema_id: u32, datum: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(PREFIX_BYTES + datum.len());
    value.push(0);
    value.extend_from_slice(&schema_id.to_be_bytes());
    value.extend_from_slice(datum);
    value
}

/// The schema's id and the datum; none when `value` is not in the format.
pub(crate) fn unframe(value: &[u8]) -> Option<(u32, &[u8])> {
    match value {
        [0, a, b, c, d, datum @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        _ => None,
    }
}

/// As [`unframe`], for the id alone.
pub(crate) fn schema_id(value: &Bytes) -> Option<u32> {
    unframe(value).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_opens_again() {
        let value = frame(0x0102_0304, b"datum");
        assert_eq!(value, b"\x00\x01\x02\x03\x04datum");
        assert_eq!(unframe(&value), Some((0x0102_0304, &b"datum"[..])));
        assert_eq!(unframe(b"\x01\x00\x00\x00\x01x"), None);
        assert_eq!(unframe(b"\x00\x00"), None);
    }
}
