//! What shows that a fault did what it should: that a process stood still, that an append was refused, that a clock was wrong.
//!
//! It must never take it that a fault bit because it was carried out. What shows nothing says so in the report.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_event_log::raw::{RawLog, View};
use muster_test_kit::wait;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::backing::{DISK_ERROR, NO_ROOM};
use super::proxy::Link;
use super::stage::{Shared, token};
use crate::checks::Log;

/// What shows that a fault bit; none where nothing does.
pub type Shown = Option<String>;

/// How long what a fault did may take to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(1);
/// How long an instance may take to say who owns what.
const OWNERS_WITHIN: Duration = Duration::from_millis(500);
const OWNERS_EVERY: Duration = Duration::from_millis(40);
/// A date in an answer knows nothing smaller.
const WHOLE_SECOND_US: i64 = 1_000_000;
/// Two right clocks, and what lies between a decision and a look at it, differ by less.
const CLOCKS_DIFFER_US: i64 = 2_000_000;

/// That process `id` stands still, as the kernel has it.
pub async fn stands_still(id: u32) -> Shown {
    let stopped = wait::until(SHOWS_WITHIN, || async { (state(id)? == "T").then_some(()) });
    stopped.await.map(|()| format!("process {id} stood still"))
}

fn state(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().next().map(str::to_owned)
}

/// What a link disturbed.
pub struct Disturbed<'a> {
    link: &'a Link,
    before: u64,
}

impl<'a> Disturbed<'a> {
    /// From now on.
    pub fn of(link: &'a Link) -> Self {
        Self { link, before: link.touched() }
    }

    /// How often it did by now, or in a moment.
    pub async fn shown(&self) -> Shown {
        let disturbed = wait::until(SHOWS_WITHIN, || async {
            let times = self.link.touched() - self.before;
            (times > 0).then_some(times)
        });
        disturbed.await.map(|times| format!("{times} connections or messages were disturbed"))
    }
}

/// Watches who owns what, as several instances see it.
pub struct OwnersWatch {
    /// Of each instance: owners as it last saw them, and how often one followed another.
    views: Arc<Mutex<Vec<SeenBy>>>,
    _watching: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct SeenBy {
    owners: BTreeMap<u64, String>,
    changes: u64,
}

impl OwnersWatch {
    /// Begins. `instances` may come and go.
    pub fn begin(instances: Vec<Shared>) -> Self {
        let views: Arc<Mutex<Vec<SeenBy>>> = Arc::default();
        views.try_lock().into_iter().for_each(|mut views| views.resize_with(instances.len(), SeenBy::default));
        let seen = Arc::clone(&views);
        let watching = async move {
            loop {
                for (index, instance) in instances.iter().enumerate() {
                    // Whoever is being started or ended sees nothing.
                    let Some(url) = instance.try_lock().ok().map(|instance| instance.url()) else { continue };
                    let owners = tokio::time::timeout(OWNERS_WITHIN, owners(&url)).await;
                    if let (Ok(Some(owners)), Some(view)) = (owners, seen.lock().await.get_mut(index)) {
                        view.take(owners);
                    }
                }
                tokio::time::sleep(OWNERS_EVERY).await;
            }
        };
        Self { views, _watching: AbortOnDropHandle::new(tokio::spawn(watching)) }
    }

    /// How often partitions went from one owner to another by now, in the eyes of whoever saw most of it; waits for the
    /// first time, at most `within`.
    pub async fn shown(&self, within: Duration) -> Shown {
        let changes = wait::until(within, || async {
            let most = self.views.lock().await.iter().map(|view| view.changes).max();
            most.filter(|changes| *changes > 0)
        });
        changes.await.map(|times| format!("partitions went from one owner to another {times} times"))
    }
}

impl SeenBy {
    fn take(&mut self, owners: BTreeMap<u64, String>) {
        for (partition, owner) in owners {
            if let Some(before) = self.owners.insert(partition, owner.clone()) {
                self.changes += u64::from(before != owner);
            }
        }
    }
}

/// Of partitions that have an owner.
async fn owners(url: &str) -> Option<BTreeMap<u64, String>> {
    let request = reqwest::Client::new().get(format!("{url}/api/partitions")).bearer_auth(token("ada"));
    let partitions: Vec<Value> = request.send().await.ok()?.json().await.ok()?;
    let owned = |partition: &Value| Some((partition["partition"].as_u64()?, partition["owner"].as_str()?.to_owned()));
    Some(partitions.iter().filter_map(owned).collect())
}

/// What an instance with a wrong clock says and writes from some moment on: dates in its answers, events, lines of its own.
pub struct Times {
    instance: Shared,
    /// An old date may stand in answers until the clock has come up to it.
    date_was_right: bool,
    log: RawLog,
    from: BTreeMap<u32, i64>,
    lines: Lines,
    began_us: i64,
}

impl Times {
    /// From now on.
    pub async fn of(log: RawLog, instance: &Shared) -> Self {
        let from = log.ends(View::Committed).await.unwrap_or_default();
        let lines = Lines::of([instance.lock().await.log()]);
        let instance = Arc::clone(instance);
        let date_was_right = wrong_date(&instance).await == Some(0);
        Self { instance, date_was_right, log, from, lines, began_us: now_us() }
    }

    /// A time that was not then: later than now, or before it could have been. Waits for one, at most `within`.
    pub async fn shown(&self, within: Duration) -> Shown {
        wait::until(within, || async {
            if self.date_was_right
                && let Some(off_us) = wrong_date(&self.instance).await.filter(|off_us| *off_us != 0)
            {
                return Some(format!("the date in an answer is {} s off", off_us / 1_000_000));
            }
            if let Some(shown) = self.lines.wrong_time(self.began_us) {
                return Some(shown);
            }
            self.wrong().await.ok().flatten()
        })
        .await
    }

    async fn wrong(&self) -> anyhow::Result<Shown> {
        let mut records = Vec::new();
        for (partition, end) in self.log.ends(View::Committed).await? {
            // Of a partition whose end was not known then, nothing is known to be new.
            let from = self.from.get(&partition).copied().unwrap_or(end);
            if from < end {
                records.extend(self.log.partition(View::Committed, partition, from, end).await?);
            }
        }
        let schemas = self.log.schemas(&Log::schema_ids(&records)).await?;
        let log = Log::decode(records, &schemas)?;
        let until_us = now_us();
        let wrong = log.events.iter().find_map(|event| {
            let off_us = off_us(event.at_micros, self.began_us, until_us);
            (off_us != 0).then(|| format!("{} has a time that is {} s off", event.place(), off_us / 1_000_000))
        });
        Ok(wrong)
    }
}

/// By how much the date is off that an instance gives its answers; 0 where it is not. Each of its threads has its own.
async fn wrong_date(instance: &Shared) -> Option<i64> {
    const ANSWERS: usize = 4;
    let url = instance.try_lock().ok()?.url();
    for _ in 0..ANSWERS {
        let http = reqwest::Client::builder().timeout(OWNERS_WITHIN).no_proxy().build().ok()?;
        let answer = http.get(format!("{url}/healthz")).send().await.ok()?;
        let date = chrono::DateTime::parse_from_rfc2822(answer.headers().get("date")?.to_str().ok()?).ok()?;
        let now = now_us();
        let off = off_us(date.timestamp_micros(), now - WHOLE_SECOND_US, now);
        if off != 0 {
            return Some(off);
        }
    }
    Some(0)
}

/// By how much a time lies outside of what it can be; 0 where it does not, or by no more than right clocks differ.
fn off_us(at_us: i64, began_us: i64, until_us: i64) -> i64 {
    let off_us = at_us - at_us.clamp(began_us, until_us);
    if off_us.abs() > CLOCKS_DIFFER_US { off_us } else { 0 }
}

fn now_us() -> i64 {
    chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp_micros()
}

/// What services wrote into their logs from some moment on.
pub struct Lines(Vec<(PathBuf, u64)>);

impl Lines {
    /// From now on.
    pub fn of(logs: impl IntoIterator<Item = PathBuf>) -> Self {
        let length = |log: PathBuf| {
            let length = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
            (log, length)
        };
        Self(logs.into_iter().map(length).collect())
    }

    /// What `look` makes of the first new line of which it makes anything, after the name of who wrote it.
    fn find(&self, look: impl Fn(&str) -> Shown) -> Shown {
        self.0.iter().find_map(|(log, from)| {
            let text = std::fs::read(log).ok()?;
            let text = String::from_utf8_lossy(text.get(usize::try_from(*from).ok()?..)?).into_owned();
            let found = text.lines().find_map(&look)?;
            Some(format!("{}{found}", log.file_stem()?.to_string_lossy()))
        })
    }

    /// The first that says that a disk is full.
    pub fn no_room(&self) -> Shown {
        self.find(|line| {
            let is_about_it = line.contains(NO_ROOM) || line.contains(DISK_ERROR);
            let said: Value = serde_json::from_str(line).ok().filter(|_| is_about_it)?;
            let what = said["error"].as_str().or_else(|| said["message"].as_str())?;
            Some(format!(" was refused: {what}"))
        })
    }

    /// The first with a time that was not between `began_us` and now.
    fn wrong_time(&self, began_us: i64) -> Shown {
        let until_us = now_us();
        self.find(|line| {
            let said: Value = serde_json::from_str(line).ok()?;
            let at = chrono::DateTime::parse_from_rfc3339(said["timestamp"].as_str()?).ok()?;
            let off_us = off_us(at.timestamp_micros(), began_us, until_us);
            (off_us != 0).then(|| format!(" wrote a line whose time is {} s off", off_us / 1_000_000))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_goes_from_one_to_another_counts_and_one_without_an_owner_does_not() {
        let mut view = SeenBy::default();
        let owners =
            |of: &[(u64, &str)]| of.iter().map(|(partition, owner)| (*partition, (*owner).to_owned())).collect();
        for seen in [&[(0, "one"), (1, "two")][..], &[(1, "two")], &[(0, "two"), (1, "two")], &[(0, "one"), (1, "two")]]
        {
            view.take(owners(seen));
        }
        assert_eq!(view.changes, 2);
    }

    #[test]
    fn a_time_is_wrong_when_no_right_clock_said_it() {
        let (began, until) = (100_000_000, 103_000_000);
        for right in [98_500_000, 101_000_000, 104_500_000] {
            assert_eq!(off_us(right, began, until), 0);
        }
        assert_eq!(off_us(95_000_000, began, until), -5_000_000);
        assert_eq!(off_us(193_000_000, began, until), 90_000_000);
    }

    #[tokio::test]
    async fn a_process_stands_still_only_when_it_was_stopped() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        assert_eq!(stands_still(child.id()).await, None);
        muster_test_kit::process::signal(child.id(), 19).unwrap();
        assert!(stands_still(child.id()).await.is_some());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_line_tells_of_a_wrong_clock() {
        let log = std::env::temp_dir().join(format!("times-{}.log", uuid::Uuid::now_v7()));
        let line = |at_us: i64| {
            let at = chrono::DateTime::from_timestamp_micros(at_us).unwrap();
            format!("{{\"timestamp\":\"{}\",\"message\":\"it is\"}}\n", at.to_rfc3339())
        };
        let lines = Lines::of([log.clone()]);
        let began_us = now_us();
        let seen = |text: String| {
            std::fs::write(&log, text).unwrap();
            lines.wrong_time(began_us)
        };
        let (right, wrong) = (seen(line(began_us)), seen(line(began_us) + &line(began_us - 40_000_000)));
        std::fs::remove_file(&log).unwrap();
        assert_eq!(right, None);
        assert!(wrong.unwrap().ends_with("is -40 s off"));
    }

    #[test]
    fn only_what_is_new_in_a_log_tells_of_a_full_disk() {
        let log = std::env::temp_dir().join(format!("lines-{}.log", uuid::Uuid::now_v7()));
        let line = format!("{{\"message\":\"it failed\",\"error\":\"could not extend: {NO_ROOM}\"}}\n");
        std::fs::write(&log, &line).unwrap();
        let lines = Lines::of([log.clone()]);
        assert_eq!(lines.no_room(), None);
        std::fs::write(&log, line.repeat(2)).unwrap();
        let shown = lines.no_room();
        std::fs::remove_file(&log).unwrap();
        assert!(shown.unwrap().ends_with(&format!(" was refused: could not extend: {NO_ROOM}")));
    }
}
