//! Requests of Kafka's protocol, as far as a link must tell them apart: a length, then the API key.

/// The request that commits or aborts a transaction.
const END_TXN: i16 = 26;
const LENGTH_BYTES: usize = 4;

/// Bytes that came and are not passed on yet.
#[derive(Debug, Default)]
pub struct Frames(Vec<u8>);

/// A whole request.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// With its length in front.
    pub bytes: Vec<u8>,
    /// Whether it ends a transaction.
    pub ends_transaction: bool,
}

impl Frames {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole request.
    pub fn next(&mut self) -> Option<Frame> {
        let (length, rest) = self.0.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        if rest.len() < length {
            return None;
        }
        let ends_transaction = length >= 2 && rest.first_chunk().copied().map(i16::from_be_bytes) == Some(END_TXN);
        let bytes = self.0.drain(..LENGTH_BYTES + length).collect();
        Some(Frame { bytes, ends_transaction })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_whole_however_they_were_cut() {
        let bytes = [0, 0, 0, 3, 0, 26, 7, 0, 0, 0, 2, 0, 3];
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for byte in bytes {
            frames.push(&[byte]);
            seen.extend(std::iter::from_fn(|| frames.next()));
        }
        let ends: Vec<_> = seen.iter().map(|frame| (frame.bytes.len(), frame.ends_transaction)).collect();
        assert_eq!(ends, [(7, true), (6, false)]);
    }
}
