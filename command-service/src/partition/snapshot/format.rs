//! A snapshot as bytes: a head that says what it is, then compressed sections, then nothing. It must never be believed
//! before its checksum was compared.
//!
//! The head is magic, format, fingerprint of the build, partition, idempotency window, place in the log and id of the
//! event before it, length and SHA-256 of all else. Sections are written in a stream and can be read side by side.

use std::io::{self, BufWriter, Read};

use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use muster_domain::id::EventId;
use muster_event_log::LogOffset;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::super::memory::Window;

/// Format of the bytes. What else may change between builds is in the fingerprint.
const FORMAT: u32 = 3;
const MAGIC: &[u8; 8] = b"MUSTERSN";
/// Of the sources the state's meaning depends on; see `build.rs`.
const FINGERPRINT: &str = env!("MUSTER_STATE_FINGERPRINT");

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It is not whole, or something else. Left out.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Another build wrote it. Left out.
    #[error("it has format {format}, fingerprint {fingerprint}; this build has {FORMAT}, {FINGERPRINT}")]
    OtherBuild {
        /// Its format.
        format: u32,
        /// Its fingerprint.
        fingerprint: u64,
    },
    /// It fits this process's configuration or the log as little as another partition's. Left out.
    #[error("{0}")]
    Unfit(String),
    /// Its content cannot be written or read. Left out.
    #[error("its content cannot be read: {0}")]
    Content(#[from] io::Error),
}

/// What stands before the sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub partition: u32,
    pub idempotency_window: Window,
    /// Where to read on.
    pub next: LogOffset,
    /// The event before that.
    pub last: EventId,
}

/// Length of the head with its checksum, in bytes.
const HEAD_BYTES: usize = 8 + 4 + 8 + 4 + 8 + 8 + 8 + 16 + 8 + 32;
const CHECKSUM_AT: usize = HEAD_BYTES - 32;

/// Values are written in small pieces, each of which would cost the compressor a call.
const BUFFER_BYTES: usize = 64 * 1024;

/// What a section is written into.
pub(super) type Section<'a> = BufWriter<FrameEncoder<&'a mut Vec<u8>>>;

/// Writes a snapshot, section by section.
pub(super) struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(head: &Head) -> Self {
        let mut bytes = Vec::with_capacity(1 << 20);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&fingerprint().to_le_bytes());
        bytes.extend_from_slice(&head.partition.to_le_bytes());
        for count in [head.idempotency_window.project, head.idempotency_window.partition] {
            bytes.extend_from_slice(&(count as u64).to_le_bytes());
        }
        bytes.extend_from_slice(&head.next.0.to_le_bytes());
        bytes.extend_from_slice(head.last.0.as_bytes());
        bytes.resize(HEAD_BYTES, 0);
        Self { bytes }
    }

    /// Adds a section: what `write` writes.
    pub(super) fn section(&mut self, write: impl FnOnce(&mut Section<'_>) -> io::Result<()>) -> io::Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 8]);
        let mut section = BufWriter::with_capacity(BUFFER_BYTES, FrameEncoder::new(&mut self.bytes));
        write(&mut section)?;
        section.into_inner()?.finish().map_err(io::Error::other)?;
        let length = (self.bytes.len() - start - 8) as u64;
        self.bytes[start..start + 8].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// The snapshot, sealed.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = (self.bytes.len() - HEAD_BYTES) as u64;
        self.bytes[CHECKSUM_AT - 8..CHECKSUM_AT].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(&self.bytes);
        self.bytes[CHECKSUM_AT..HEAD_BYTES].copy_from_slice(&checksum);
        self.bytes
    }
}

/// Checks that `bytes` are a whole snapshot of this build. Its head, and its sections as they were written.
pub(super) fn open(bytes: &[u8]) -> Result<(Head, Vec<&[u8]>), Error> {
    let mut rest = bytes;
    if &take::<8>(&mut rest)? != MAGIC {
        return Err(Error::Damaged("it does not begin as one"));
    }
    let format = u32::from_le_bytes(take(&mut rest)?);
    let fingerprint = u64::from_le_bytes(take(&mut rest)?);
    if (format, fingerprint) != (FORMAT, self::fingerprint()) {
        return Err(Error::OtherBuild { format, fingerprint });
    }
    let partition = u32::from_le_bytes(take(&mut rest)?);
    let mut count =
        || -> Result<usize, Error> { Ok(usize::try_from(u64::from_le_bytes(take(&mut rest)?)).unwrap_or(usize::MAX)) };
    let idempotency_window = Window { project: count()?, partition: count()? };
    let next = LogOffset(i64::from_le_bytes(take(&mut rest)?));
    let last = EventId(Uuid::from_bytes(take(&mut rest)?));
    let length = u64::from_le_bytes(take(&mut rest)?);
    let sealed = take::<32>(&mut rest)?;
    if rest.len() as u64 != length {
        return Err(Error::Damaged("its length is another than it says"));
    }
    if checksum(bytes) != sealed {
        return Err(Error::Damaged("its checksum is another"));
    }
    let mut sections = Vec::new();
    while !rest.is_empty() {
        let length = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).unwrap_or(usize::MAX);
        let section = rest.split_at_checked(length).ok_or(Error::Damaged("a section ends early"))?;
        sections.push(section.0);
        rest = section.1;
    }
    Ok((Head { partition, idempotency_window, next, last }, sections))
}

/// Reads what was written into a section.
pub(super) fn reader(section: &[u8]) -> impl Read {
    FrameDecoder::new(section)
}

fn fingerprint() -> u64 {
    FINGERPRINT.parse().unwrap_or_default()
}

fn checksum(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(&bytes[..CHECKSUM_AT]);
    hash.update(&bytes[HEAD_BYTES..]);
    hash.finalize().into()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Error> {
    let (first, others) = rest.split_first_chunk().ok_or(Error::Damaged("it ends early"))?;
    *rest = others;
    Ok(*first)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const HEAD: Head = Head {
        partition: 3,
        idempotency_window: Window { project: 9, partition: 90 },
        next: LogOffset(42),
        last: EventId(Uuid::max()),
    };

    fn sample() -> Vec<u8> {
        let mut encoder = Encoder::new(&HEAD);
        encoder.section(|out| out.write_all(b"one")).unwrap();
        encoder.section(|out| out.write_all(&vec![7; 200_000])).unwrap();
        encoder.finish()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = sample();
        assert!(bytes.len() < 5000, "{} bytes are not compressed", bytes.len());
        let (head, sections) = open(&bytes).unwrap();
        assert_eq!(head, HEAD);
        let read = |index: usize| {
            let mut content = Vec::new();
            reader(sections[index]).read_to_end(&mut content).unwrap();
            content
        };
        assert_eq!((read(0), read(1)), (b"one".to_vec(), vec![7; 200_000]));
    }

    #[test]
    fn any_flipped_byte_and_any_end_too_early_is_found() {
        let bytes = sample();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x20;
            assert!(open(&flipped).is_err(), "byte {at}");
            assert!(open(&bytes[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn another_builds_is_named_as_such() {
        let mut bytes = sample();
        bytes[8] = 4;
        let error = open(&bytes).unwrap_err();
        assert!(matches!(error, Error::OtherBuild { format: 4, .. }), "{error}");
        let mut bytes = sample();
        bytes[12] ^= 1;
        assert!(matches!(open(&bytes).unwrap_err(), Error::OtherBuild { format: FORMAT, .. }));
    }
}
