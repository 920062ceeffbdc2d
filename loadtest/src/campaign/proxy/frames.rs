//! Messages of Kafka's protocol, as far as a link must tell them apart: a length, then of requests the API key, its version
//! and a number that the answer repeats.

/// The request by which a member of a group shows that it is there.
const HEARTBEAT: u16 = 12;
/// From this version on answers hold a time to wait.
const HEARTBEAT_THROTTLES: u16 = 1;
/// From this version on messages end in fields with tags.
const HEARTBEAT_FLEXIBLE: u16 = 4;
/// The request that commits or aborts a transaction.
const END_TXN: u16 = 26;
const LENGTH_BYTES: usize = 4;

/// Bytes that came and are not passed on yet.
#[derive(Debug, Default)]
pub struct Frames(Vec<u8>);

/// A whole message, with its length in front.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

impl Frames {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub fn next(&mut self) -> Option<Frame> {
        let (length, rest) = self.0.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        (rest.len() >= length).then(|| Frame(self.0.drain(..LENGTH_BYTES + length).collect()))
    }
}

impl Frame {
    /// Two bytes of a request, `at` bytes behind its length.
    fn number(&self, at: usize) -> Option<u16> {
        self.0.get(LENGTH_BYTES + at..)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// Whether this request ends a transaction.
    pub fn ends_transaction(&self) -> bool {
        self.number(0) == Some(END_TXN)
    }

    /// The answer to this request that all is well; none when it is no heartbeat.
    pub fn heartbeat_answer(&self) -> Option<Vec<u8>> {
        let version = self.number(2).filter(|_| self.number(0) == Some(HEARTBEAT))?;
        let correlation_id: [u8; 4] = *self.0.get(LENGTH_BYTES + 4..)?.first_chunk()?;
        let mut body = correlation_id.to_vec();
        let no_tags: &[u8] = if version >= HEARTBEAT_FLEXIBLE { &[0] } else { &[] };
        body.extend(no_tags);
        if version >= HEARTBEAT_THROTTLES {
            body.extend(0_u32.to_be_bytes());
        }
        let no_error = 0_u16;
        body.extend(no_error.to_be_bytes());
        body.extend(no_tags);
        let length = u32::try_from(body.len()).ok()?;
        Some([length.to_be_bytes().to_vec(), body].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_however_they_were_cut() {
        let bytes = [0, 0, 0, 3, 0, 26, 7, 0, 0, 0, 2, 0, 3];
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for byte in bytes {
            frames.push(&[byte]);
            seen.extend(std::iter::from_fn(|| frames.next()));
        }
        let ends: Vec<_> = seen.iter().map(|frame| (frame.0.len(), frame.ends_transaction())).collect();
        assert_eq!(ends, [(7, true), (6, false)]);
    }

    #[test]
    fn heartbeats_are_answered_in_their_own_version() {
        let request = |key: u8, version: u8| Frame(vec![0, 0, 0, 8, 0, key, 0, version, 1, 2, 3, 4]);
        let answer = |version| request(12, version).heartbeat_answer().unwrap();
        assert_eq!(answer(0), [0, 0, 0, 6, 1, 2, 3, 4, 0, 0]);
        assert_eq!(answer(1), [0, 0, 0, 10, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(answer(4), [0, 0, 0, 12, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(request(11, 1).heartbeat_answer(), None);
        assert_eq!(Frame(vec![0, 0, 0, 2, 0, 12]).heartbeat_answer(), None);
    }
}
