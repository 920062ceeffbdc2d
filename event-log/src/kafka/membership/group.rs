//! What the group says of itself: its members, where they are reached, and which partitions each has.
//!
//! A member's address travels as its client id, the one thing of a member's own that the group shows everybody at any
//! time: a member's metadata is made by the client library. It must never decide who owns what.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::groups::GroupMemberInfo;

use super::super::renewable::Renewable;
use super::super::{KafkaConfig, clients};
use crate::Error;

/// What a client id of a member begins with; its address and a token of its own follow.
const MARK: &str = "muster-member";

/// The client id of a member that is reached at `url`. `token` tells two at the same address apart.
pub(super) fn client_id(url: &str, token: &str) -> String {
    format!("{MARK} {url} {token}")
}

/// The address in a client id; none when it is no member of ours.
fn url(client_id: &str) -> Option<&str> {
    let (url, _) = client_id.strip_prefix(MARK)?.strip_prefix(' ')?.rsplit_once(' ')?;
    Some(url)
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub client_id: String,
    pub url: String,
    /// Empty while the group is not settled.
    pub partitions: Vec<u32>,
}

/// The group at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Whether every member knows what it has. Only then does the group say it.
    pub settled: bool,
    pub members: Vec<Seen>,
}

/// Says what the group says of itself.
pub(super) trait Describe: Send + Sync {
    /// The group now. Blocks.
    fn describe(&self) -> Result<Group, Error>;

    /// How long that may take.
    fn timeout(&self) -> Duration;

    /// Asks through another client from now on: the one there is does not come back.
    fn renew(&self);
}

/// Asks the group's coordinator.
pub(super) struct Describer {
    client: Renewable,
    group: String,
    topic: String,
    timeout: Duration,
}

impl Describer {
    pub(super) fn new(config: &KafkaConfig, group: String, topic: String) -> Result<Self, Error> {
        Ok(Self {
            client: Renewable::new(clients::base(config))?,
            group,
            topic,
            timeout: config.request_timeout().min(config.stall_timeout()),
        })
    }

    fn seen(&self, member: &GroupMemberInfo) -> Option<Seen> {
        let url = url(member.client_id())?.to_owned();
        let partitions = member.assignment().and_then(|bytes| assigned(bytes, &self.topic)).unwrap_or_default();
        Some(Seen { client_id: member.client_id().to_owned(), url, partitions })
    }
}

impl Describe for Describer {
    fn describe(&self) -> Result<Group, Error> {
        let found = self.client.ask(|client| client.fetch_group_list(Some(&self.group), self.timeout));
        let found = found.map_err(|error| Error::unavailable(&format!("group {}", self.group), error))?;
        let Some(group) = found.groups().first() else { return Ok(Group { settled: false, members: Vec::new() }) };
        let members = group.members().iter().filter_map(|member| self.seen(member)).collect();
        Ok(Group { settled: group.state() == "Stable", members })
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn renew(&self) {
        if let Err(error) = self.client.renew() {
            tracing::error!(%error, "there is no new client to ask the group with");
        }
    }
}

/// The partitions of `topic` in an assignment of the consumer protocol: version, then topics, each with its partitions.
fn assigned(bytes: &[u8], topic: &str) -> Option<Vec<u32>> {
    let mut cursor = Cursor(bytes);
    cursor.take::<2>()?;
    let mut partitions = Vec::new();
    for _ in 0..cursor.count()? {
        let length = u16::from_be_bytes(cursor.take()?);
        let (name, rest) = cursor.0.split_at_checked(usize::from(length))?;
        cursor.0 = rest;
        for _ in 0..cursor.count()? {
            let partition = u32::from_be_bytes(cursor.take()?);
            if name == topic.as_bytes() {
                partitions.push(partition);
            }
        }
    }
    Some(partitions)
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn count(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_returns_from_its_client_id() {
        assert_eq!(url(&client_id("http://[::1]:80/a b", "f00")), Some("http://[::1]:80/a b"));
        assert_eq!(url("rdkafka"), None);
    }

    #[test]
    fn an_assignment_is_read_and_a_broken_one_is_none() {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        for (topic, partitions) in [("other", [9, 8]), ("mine", [3, 1])] {
            bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.extend(2u32.to_be_bytes());
            bytes.extend(partitions.into_iter().flat_map(u32::to_be_bytes));
        }
        let end = bytes.len();
        bytes.extend([0xff; 4]);
        assert_eq!(assigned(&bytes, "mine"), Some(vec![3, 1]));
        assert_eq!(assigned(&bytes[..end - 1], "mine"), None);
        assert_eq!(assigned(&[0, 1, 0xff, 0xff, 0xff, 0xff], "mine"), None);
    }
}
