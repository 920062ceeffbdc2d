//! Who owns what, as the group says, and the watch over the instance's own client.
//!
//! It must never ask the group more often than is useful: callers that come at once share one answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};

use super::super::{KafkaConfig, clients};
use super::group::{Describe, Group};
use super::place::Place;
use crate::{Error, Owners, stalls};

/// Shortest time between two questions.
const EVERY: Duration = Duration::from_millis(50);

/// How much longer than it may take an answer is waited for, before whoever was asked is given up.
const MARGIN: Duration = Duration::from_secs(1);

/// How soon the group is asked again while a partition has no owner; doubled each time, up to [`AGAIN_MAX`].
const AGAIN: Duration = Duration::from_millis(20);
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Who owns what.
pub(super) struct Directory {
    describer: Arc<dyn Describe>,
    asked: Mutex<Option<Instant>>,
    owners: watch::Sender<Arc<Owners>>,
    place: Arc<Place>,
    url: Arc<str>,
    client_id: String,
    partitions: u32,
    stall_timeout: Duration,
    /// Since when the group and the client say different things of what this instance has.
    differing: parking_lot::Mutex<Option<Instant>>,
}

impl Directory {
    pub(super) fn new(
        describer: impl Describe + 'static,
        place: Arc<Place>,
        url: &str,
        client_id: String,
        config: &KafkaConfig,
    ) -> Self {
        Self {
            describer: Arc::new(describer),
            asked: Mutex::new(None),
            owners: watch::Sender::new(Arc::default()),
            place,
            url: url.into(),
            client_id,
            partitions: config.partitions,
            stall_timeout: config.stall_timeout(),
            differing: parking_lot::Mutex::new(None),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Owners>> {
        self.owners.subscribe()
    }

    /// What the group answers to a question that is asked after this call, by whomever.
    pub(super) async fn refresh(&self) -> Result<Arc<Owners>, Error> {
        let called = Instant::now();
        let mut asked = self.asked.lock().await;
        if asked.is_none_or(|at| at < called) {
            if let Some(at) = *asked {
                tokio::time::sleep_until((at + EVERY).into()).await;
            }
            let now = Instant::now();
            let group = self.describe().await?;
            self.note_difference(&group);
            let (held, giving) = self.place.stands();
            let me = Me { url: &self.url, client_id: &self.client_id, held: &held, giving: &giving };
            let next = Arc::new(combine(&group, &self.owners.borrow(), &me));
            self.owners.send_if_modified(|owners| {
                let changed = *owners != next;
                *owners = next;
                changed
            });
            *asked = Some(now);
        }
        Ok(Arc::clone(&self.owners.borrow()))
    }

    /// Whether the group has another member, settled or not.
    pub(super) async fn others_are_there(&self) -> Result<bool, Error> {
        let group = self.describe().await?;
        Ok(group.members.iter().any(|member| member.url != *self.url))
    }

    /// What the group answers, unless no answer comes at all: then another client is asked the next time.
    async fn describe(&self) -> Result<Group, Error> {
        let describer = Arc::clone(&self.describer);
        let within = describer.timeout() + MARGIN;
        let Some(answer) = clients::blocking_within(within, move || describer.describe()).await else {
            stalls::count("membership", "the group does not say in time who owns what; another client asks it");
            self.describer.renew();
            return Err(Error::Unavailable { reason: "the group does not say in time who owns what".to_owned() });
        };
        answer
    }

    fn note_difference(&self, group: &Group) {
        let mine = group.members.iter().find(|member| member.client_id == self.client_id);
        let said: Option<BTreeSet<u32>> = mine.map(|member| member.partitions.iter().copied().collect());
        let agrees = !group.settled || self.place.is_busy() || said.is_some_and(|said| said == self.place.held());
        let mut differing = self.differing.lock();
        *differing = if agrees { None } else { Some(differing.unwrap_or_else(Instant::now)) };
    }

    /// Asks after each rebalance until every partition has an owner, and now and then. Has the client replaced by
    /// `restart` when it does not notice what the group says for as long as is configured.
    pub(super) async fn watch(self: Arc<Self>, restart: impl Fn(&Arc<Place>) -> Result<(), Error> + Send) {
        let mut pause = AGAIN;
        loop {
            let idle =
                if self.owners.borrow().len() < self.partitions as usize { pause } else { self.stall_timeout / 3 };
            tokio::select! {
                () = self.place.rebalanced.notified() => pause = AGAIN,
                () = tokio::time::sleep(idle) => pause = (pause * 2).min(AGAIN_MAX),
            }
            if let Err(error) = self.refresh().await {
                tracing::debug!(%error, "the owners of partitions are not known anew");
                continue;
            }
            let stalled = self.differing.lock().is_some_and(|since| since.elapsed() >= self.stall_timeout);
            if stalled {
                stalls::count("membership", "the group's client does not notice what the group says; it is replaced");
                *self.differing.lock() = None;
                if let Err(error) = restart(&self.place) {
                    tracing::error!(%error, "the group's client could not be replaced");
                }
            }
        }
    }
}

/// This instance, as it sees itself.
struct Me<'a> {
    url: &'a str,
    client_id: &'a str,
    held: &'a BTreeSet<u32>,
    giving: &'a BTreeSet<u32>,
}

/// Who owns what, by what the group says. While it is not settled it says who is there, not what they have: who is still
/// there is then taken to have what it had `before`. What this instance is giving back is nobody's.
fn combine(group: &Group, before: &Owners, me: &Me<'_>) -> Owners {
    let mut owners = Owners::new();
    if group.settled {
        for member in &group.members {
            let url: Arc<str> = member.url.as_str().into();
            owners.extend(member.partitions.iter().map(|partition| (*partition, Arc::clone(&url))));
        }
    } else {
        let there: BTreeSet<&str> = group.members.iter().map(|member| member.url.as_str()).collect();
        owners.clone_from(before);
        owners.retain(|partition, url| there.contains(&**url) && (**url != *me.url || me.held.contains(partition)));
        // An instance that the group has expelled may not know it yet.
        if group.members.iter().any(|member| member.client_id == me.client_id) {
            owners.extend(me.held.iter().map(|partition| (*partition, Arc::from(me.url))));
        } else {
            owners.retain(|_, url| **url != *me.url);
        }
    }
    owners.retain(|partition, url| **url != *me.url || !me.giving.contains(partition));
    owners
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::group::Seen;
    use super::*;

    /// Does not come back with an answer until it is renewed.
    #[derive(Default)]
    struct Stuck(AtomicBool);

    impl Describe for Arc<Stuck> {
        fn describe(&self) -> Result<Group, Error> {
            let begun_before = !self.0.load(Ordering::SeqCst);
            while begun_before && Arc::strong_count(self) > 1 {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(Group { settled: true, members: vec![seen("other", &[2])] })
        }

        fn timeout(&self) -> Duration {
            Duration::from_millis(10)
        }

        fn renew(&self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_question_that_is_never_answered_is_given_up_and_another_client_asked() {
        let stuck = Arc::new(Stuck::default());
        let (place, _changes) = Place::new(Duration::from_secs(1));
        let config = KafkaConfig::new("nowhere:1", "http://nowhere");
        let directory = Directory::new(Arc::clone(&stuck), place, "me", "id of me".to_owned(), &config);
        let first = tokio::time::timeout(Duration::from_mins(1), directory.refresh()).await;
        assert!(matches!(first, Ok(Err(Error::Unavailable { .. }))), "{first:?}");
        let owners = directory.refresh().await.unwrap();
        assert_eq!(*owners, owners_of(&[(2, "other")]));
        // Lets the thread go that was left behind.
        drop(stuck);
    }

    fn seen(name: &str, partitions: &[u32]) -> Seen {
        Seen { client_id: format!("id of {name}"), url: name.to_owned(), partitions: partitions.to_vec() }
    }

    fn owners_of(of: &[(u32, &str)]) -> Owners {
        of.iter().map(|(partition, url)| (*partition, Arc::from(*url))).collect()
    }

    fn seen_by_me(group: &Group, before: &[(u32, &str)], held: &[u32], giving: &[u32]) -> Owners {
        let (held, giving) = (held.iter().copied().collect(), giving.iter().copied().collect());
        combine(group, &owners_of(before), &Me { url: "me", client_id: "id of me", held: &held, giving: &giving })
    }

    #[test]
    fn a_settled_group_is_believed_also_against_oneself() {
        let group = Group { settled: true, members: vec![seen("me", &[0, 1]), seen("other", &[2])] };
        assert_eq!(seen_by_me(&group, &[], &[1, 2], &[]), owners_of(&[(0, "me"), (1, "me"), (2, "other")]));
        assert_eq!(seen_by_me(&group, &[], &[1], &[0]), owners_of(&[(1, "me"), (2, "other")]), "what is given back");
    }

    #[test]
    fn in_a_rebalance_those_who_are_there_keep_what_they_had() {
        let before = [(0, "me"), (1, "me"), (2, "other"), (3, "gone")];
        let group = Group { settled: false, members: vec![seen("me", &[]), seen("other", &[])] };
        assert_eq!(seen_by_me(&group, &before, &[1], &[]), owners_of(&[(1, "me"), (2, "other")]));
        let group = Group { settled: false, members: vec![seen("other", &[])] };
        assert_eq!(
            seen_by_me(&group, &before, &[0, 1], &[]),
            owners_of(&[(2, "other")]),
            "expelled, and not aware of it"
        );
    }
}
