//! What a snapshot holds: everything the ledger has folded, as values to write and to read. It must never hold what is
//! not committed.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use imbl::{OrdMap, Vector};
use muster_domain::id::{EventId, ProjectId, TaskId};
use muster_domain::state::ProjectState;
use muster_event_log::LogOffset;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::super::index::{Entries, Place};
use super::super::memory::{Recent, Window};
use super::format::{self, Encoder, Error, Head};

/// The committed state of a partition at one place in its log. Shares everything with the ledger it was taken from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Image {
    pub partition: u32,
    pub idempotency_window: Window,
    /// Where to read on.
    pub next: LogOffset,
    /// The event before that.
    pub last: EventId,
    pub projects: HashMap<ProjectId, ProjectState>,
    /// Projects whose history cannot be read in whole, from which record on, and why.
    pub unreadable: Unreadable,
    pub recent: Recent,
    pub entries: Entries,
}

type Unreadable = HashMap<ProjectId, (LogOffset, String)>;

/// Bytes of a task's place.
const PLACE_BYTES: usize = 16 + 4 + 8 + 4 + 4;

impl Image {
    /// How many things it holds: what it costs to write it grows with them.
    pub(crate) fn size(&self) -> usize {
        let tasks: usize = self.projects.values().map(|state| state.tasks.len()).sum();
        tasks + self.entries.places.len() + self.recent.len()
    }

    /// As bytes, written in one stream. Blocks for as long as that takes.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut encoder = Encoder::new(&Head {
            partition: self.partition,
            idempotency_window: self.idempotency_window,
            next: self.next,
            last: self.last,
        });
        encoder.section(|out| {
            write(out, &self.projects.len())?;
            self.projects.iter().try_for_each(|project| write(out, &project))
        })?;
        encoder.section(|out| {
            write(out, &self.entries.projects)?;
            write(out, &self.entries.places.len())?;
            self.entries.places.iter().try_for_each(|(task, place)| out.write_all(&place_bytes(*task, *place)))
        })?;
        encoder.section(|out| {
            write(out, &self.unreadable)?;
            write(out, &self.recent)
        })?;
        Ok(encoder.finish())
    }

    /// From bytes, if they are a whole snapshot of this build. Blocks for as long as that takes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (head, sections) = format::open(bytes)?;
        let [projects, places, rest] = sections[..] else { return Err(Error::Damaged("sections are missing")) };
        // Tasks take about as long as all else.
        let (projects, others) = std::thread::scope(|scope| {
            let projects = scope.spawn(|| read_projects(projects));
            let others = read_entries(places).and_then(|entries| Ok((entries, read_rest(rest)?)));
            (projects.join(), others)
        });
        let projects = projects.map_err(|_| Error::Damaged("its projects cannot be read"))??;
        let (entries, (unreadable, recent)) = others?;
        Ok(Self {
            partition: head.partition,
            idempotency_window: head.idempotency_window,
            next: head.next,
            last: head.last,
            projects,
            unreadable,
            recent,
            entries,
        })
    }
}

fn read_projects(section: &[u8]) -> io::Result<HashMap<ProjectId, ProjectState>> {
    let mut input = format::reader(section);
    let count: usize = read(&mut input)?;
    (0..count).map(|_| read(&mut input)).collect()
}

fn read_entries(section: &[u8]) -> io::Result<Entries> {
    let mut input = format::reader(section);
    let projects: Vector<ProjectId> = read(&mut input)?;
    let count: usize = read(&mut input)?;
    let mut places = OrdMap::new();
    for _ in 0..count {
        let mut bytes = [0; PLACE_BYTES];
        input.read_exact(&mut bytes)?;
        let (task, place) = place_of(&bytes);
        places.insert(task, place);
    }
    Ok(Entries { places, projects })
}

fn read_rest(section: &[u8]) -> io::Result<(Unreadable, Recent)> {
    let mut input = format::reader(section);
    Ok((read(&mut input)?, read(&mut input)?))
}

fn write(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    rmp_serde::encode::write(out, value).map_err(io::Error::other)
}

fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    rmp_serde::from_read(input).map_err(io::Error::other)
}

fn place_bytes((task_id, project): (TaskId, u32), place: Place) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    bytes[..16].copy_from_slice(task_id.0.as_bytes());
    bytes[16..20].copy_from_slice(&project.to_le_bytes());
    bytes[20..28].copy_from_slice(&place.first.0.to_le_bytes());
    bytes[28..32].copy_from_slice(&place.span.to_le_bytes());
    bytes[32..].copy_from_slice(&place.events.to_le_bytes());
    bytes
}

fn place_of(bytes: &[u8; PLACE_BYTES]) -> ((TaskId, u32), Place) {
    let part = |range: std::ops::Range<usize>| {
        let mut word = [0; 8];
        word[..range.len()].copy_from_slice(&bytes[range]);
        i64::from_le_bytes(word)
    };
    let small = |range| u32::try_from(part(range)).unwrap_or_default();
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[..16]);
    let place = Place { first: LogOffset(part(20..28)), span: small(28..32), events: small(32..36) };
    ((TaskId(Uuid::from_bytes(id)), small(16..20)), place)
}
