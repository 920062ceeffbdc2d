//! What a campaign came to, as a table for people and as JSON for tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use super::faults::Done;
use super::history::{Answer, Call, End, Entry};
use super::options::{Kind, LogKind};
use crate::Machine;
use crate::checks::Finding;

/// Faults of a kind whose evidence is written out.
const EVIDENCE_SHOWN: usize = 5;

/// A whole campaign.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// From which it followed.
    pub seed: u64,
    /// Which log.
    pub log: LogKind,
    /// The mutant, if one was let in.
    pub mutant: Option<String>,
    /// Instances of the command service.
    pub instances: usize,
    /// Partitions of the log.
    pub partitions: u32,
    /// Clients that sent commands.
    pub clients: usize,
    /// Where it ran.
    pub machine: Machine,
    /// Seconds under faults.
    pub seconds: f64,
    /// Seconds from the first command under faults until every checker had looked at everything.
    pub noticed_seconds: f64,
    /// Faults by kind.
    pub faults: BTreeMap<Kind, FaultCount>,
    /// Connections and requests that faults disturbed, by link.
    pub disturbed: BTreeMap<String, u64>,
    /// Kinds of faults that could not be had, and why.
    pub not_run: BTreeMap<Kind, String>,
    /// Faults that were planned and not begun before the time was over, by kind.
    pub not_begun: BTreeMap<Kind, u64>,
    /// Times a service ended by itself and was started again.
    pub exits: u64,
    /// Transactions of dead writers that hung in the broker and that the next writer ended.
    pub hanging_transactions_ended: u64,
    /// Commands by what became of them.
    pub commands: Commands,
    /// From the begin of each takeover until the partition was served, as the instances measured it.
    pub takeovers: Option<Takeovers>,
    /// What each checker looked at and found.
    pub checks: Vec<Finding>,
    /// What must not be, checker by checker.
    pub violations: Vec<Found>,
    /// Where history, logs and data were left.
    pub kept: Option<String>,
}

/// How often a kind came.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FaultCount {
    /// Faults carried out.
    pub done: u64,
    /// Of those, faults that something shows to have bitten.
    pub shown: u64,
    /// What showed the first of them.
    pub evidence: Vec<String>,
    /// Targets of those that nothing shows to have bitten.
    pub not_shown: Vec<String>,
    /// Faults that could not be.
    pub failed: u64,
    /// Why they could not.
    pub failures: Vec<String>,
    /// By target.
    pub targets: BTreeMap<String, u64>,
}

/// What became of commands. Each counts once, however often it was sent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Commands {
    /// Acknowledged.
    pub acknowledged: u64,
    /// Acknowledged each second under faults.
    pub acknowledged_per_s: f64,
    /// Claims that found no work.
    pub nothing: u64,
    /// Refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Of those above: some attempt had no answer, or one in doubt, and asking again told.
    pub resolved: u64,
    /// Nobody ever learned.
    pub unknown: u64,
    /// Attempts.
    pub attempts: u64,
    /// Attempts without an answer, or with one in doubt.
    pub lost_answers: u64,
    /// Attempts under a key that had been answered before: duplicates and late repeats.
    pub repeats: u64,
    /// Keys that were sent to two instances at once.
    pub duplicates: Duplicates,
    /// Pairs of one client about one card of which the one sent later stands earlier in the log.
    pub overtaken: u64,
    /// Events that reached subscribers.
    pub delivered: u64,
    /// Connections of subscribers.
    pub connections: u64,
}

/// Keys that were sent to two instances at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// How many.
    pub sent: u64,
    /// Of those, acknowledged twice, each time with events.
    pub acknowledged_twice: u64,
    /// Of those, acknowledged with the same words.
    pub alike: u64,
}

/// What instances measured of takeovers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Takeovers {
    /// How many.
    pub count: u64,
    /// Median, in milliseconds.
    pub p50_ms: u64,
    /// The 99th of a hundred, in milliseconds.
    pub p99_ms: u64,
    /// The longest, in milliseconds.
    pub max_ms: u64,
}

/// One violation.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The invariant.
    pub invariant: String,
    /// The checker.
    pub checker: String,
    /// What was seen: ids and offsets.
    pub evidence: String,
}

impl Found {
    /// By the campaign itself.
    pub fn new(invariant: &str, evidence: impl Into<String>) -> Self {
        Self { invariant: invariant.to_owned(), checker: "campaign".to_owned(), evidence: evidence.into() }
    }

    /// By checkers.
    pub fn all(findings: &[Finding]) -> Vec<Self> {
        let each = |finding: &Finding| {
            let evidence = if finding.evidence.is_empty() {
                vec![format!("{} times", finding.violations)]
            } else {
                finding.evidence.clone()
            };
            let (invariant, checker) = (finding.number.to_owned(), finding.checker.to_owned());
            evidence.into_iter().map(move |evidence| Self {
                invariant: invariant.clone(),
                checker: checker.clone(),
                evidence,
            })
        };
        findings.iter().filter(|finding| finding.violations > 0).flat_map(each).collect()
    }
}

/// Counts faults.
pub fn count_faults(done: &[Done]) -> BTreeMap<Kind, FaultCount> {
    let mut counts: BTreeMap<Kind, FaultCount> = BTreeMap::new();
    for fault in done {
        let count = counts.entry(fault.planned.kind).or_default();
        if let Some(failure) = &fault.failure {
            count.failed += 1;
            count.failures.push(failure.clone());
        } else {
            count.done += 1;
            match &fault.shown {
                Some(shown) => {
                    count.shown += 1;
                    if count.evidence.len() < EVIDENCE_SHOWN {
                        count.evidence.push(shown.clone());
                    }
                }
                None => count.not_shown.push(fault.planned.target.clone()),
            }
            *count.targets.entry(fault.planned.target.clone()).or_default() += 1;
        }
    }
    counts
}

/// Counts what was planned and never begun. What was begun is done or failed.
pub fn not_begun(planned: &BTreeMap<Kind, u64>, done: &[Done]) -> BTreeMap<Kind, u64> {
    let begun = |kind: Kind| done.iter().filter(|fault| fault.planned.kind == kind).count() as u64;
    let missing = planned.iter().map(|(kind, times)| (*kind, times.saturating_sub(begun(*kind))));
    missing.filter(|(_, times)| *times > 0).collect()
}

/// Counts commands by what became of them.
pub fn count_commands(history: &[Entry], seconds: f64) -> Commands {
    let mut counts = Commands::default();
    let mut by_key: BTreeMap<(Uuid, &str), Vec<&Call>> = BTreeMap::new();
    for entry in history {
        match entry {
            Entry::Call(call) => by_key.entry((call.key, &call.caller)).or_default().push(call),
            Entry::Delivered(_) => counts.delivered += 1,
            Entry::Connected(_) => counts.connections += 1,
            Entry::Offset(_) | Entry::Peek(_) => {}
        }
    }
    for calls in by_key.values() {
        counts.add(calls);
    }
    counts.overtaken = overtaken(history);
    #[expect(clippy::cast_precision_loss, reason = "counts of a campaign are far below 2^52")]
    let acknowledged = counts.acknowledged as f64;
    counts.acknowledged_per_s = acknowledged / seconds.max(0.001);
    counts
}

impl Commands {
    fn add(&mut self, calls: &[&Call]) {
        let open = |call: &&&Call| match &call.end {
            End::Unknown { .. } => true,
            End::Refused { in_doubt, .. } => *in_doubt,
            End::Ok(_) | End::Nothing => false,
        };
        let lost = calls.iter().filter(open).count() as u64;
        let definite = calls.iter().filter(|call| !open(call));
        let is_ok = |call: &&&Call| matches!(call.end, End::Ok(_));
        let acknowledged = definite.clone().filter(is_ok).count() as u64;
        self.attempts += calls.len() as u64;
        self.lost_answers += lost;
        self.repeats += acknowledged.saturating_sub(1);
        if acknowledged > 0 {
            self.acknowledged += 1;
        } else if let Some(last) = definite.clone().next_back() {
            match &last.end {
                End::Refused { code, .. } => *self.refused.entry(code.clone()).or_default() += 1,
                _ => self.nothing += 1,
            }
        } else {
            self.unknown += 1;
        }
        self.duplicates.add(calls);
        self.resolved += u64::from(lost > 0 && definite.clone().next().is_some());
    }
}

impl Duplicates {
    fn add(&mut self, calls: &[&Call]) {
        let together = |pair: &&[&Call]| pair[1].started_at_ns < pair[0].ended_at_ns;
        for pair in calls.windows(2).filter(together) {
            self.sent += 1;
            if let (End::Ok(one), End::Ok(other)) = (&pair[0].end, &pair[1].end) {
                // What changed nothing is not remembered, and is decided anew each time.
                if [one, other].iter().any(|answer| answer.event_ids.as_ref().is_some_and(Vec::is_empty)) {
                    continue;
                }
                self.acknowledged_twice += 1;
                let alike = Answer { repeated: false, ..one.clone() } == Answer { repeated: false, ..other.clone() };
                self.alike += u64::from(alike);
            }
        }
    }
}

/// Counts calls that the next one of the same client, sent while they were under way, overtook on the way to the log.
fn overtaken(history: &[Entry]) -> u64 {
    let mut by_client: BTreeMap<u32, Vec<&Call>> = BTreeMap::new();
    for entry in history {
        if let Entry::Call(call) = entry {
            by_client.entry(call.client).or_default().push(call);
        }
    }
    let position = |call: &Call| if let End::Ok(answer) = &call.end { answer.position } else { None };
    let mut count = 0;
    for calls in by_client.values_mut() {
        calls.sort_by_key(|call| call.seq);
        for pair in calls.windows(2) {
            let (one, next) = (pair[0], pair[1]);
            let about_the_same = one.task_id.is_some() && one.task_id == next.task_id && one.key != next.key;
            let under_way = one.started_at_ns < next.started_at_ns && next.started_at_ns < one.ended_at_ns;
            let (Some(first), Some(second)) = (position(one), position(next)) else { continue };
            count += u64::from(about_the_same && under_way && second < first);
        }
    }
    count
}

impl Report {
    /// As tables in Markdown.
    pub fn table(&self) -> String {
        let mut table = format!(
            "Seed {}, log in {:?}, {} instances, {} partitions, {} clients, {:.0} seconds under faults.\n\n| fault | times | shown | targets |\n|---|--:|--:|---|\n",
            self.seed, self.log, self.instances, self.partitions, self.clients, self.seconds
        );
        write_faults(&self.faults, &mut table);
        write_not_begun(&self.not_begun, &mut table);
        let disturbed = self.disturbed.iter().filter(|(_, times)| **times > 0);
        let disturbed: Vec<_> = disturbed.map(|(link, times)| format!("{link} {times}")).collect();
        let _ = writeln!(table, "| connections and messages disturbed | | | {} |", disturbed.join(", "));
        for (kind, why) in &self.not_run {
            let _ = writeln!(table, "| {} | not run | | {why} |", name(*kind));
        }
        self.write_commands(&mut table);
        if let Some(Takeovers { count, p50_ms, p99_ms, max_ms }) = self.takeovers {
            let _ = writeln!(table, "\n{count} takeovers: p50 {p50_ms} ms, p99 {p99_ms} ms, longest {max_ms} ms.");
        }
        let _ = writeln!(
            table,
            "\nServices ended by themselves {} times. Hanging transactions ended by the next writer: {}.\n\n\
             | invariant | checker | looked at | violations |\n|---|---|--:|--:|",
            self.exits, self.hanging_transactions_ended,
        );
        for Finding { number, checker, examined, violations, .. } in &self.checks {
            let _ = writeln!(table, "| {number} | {checker} | {examined} | {violations} |");
        }
        table.push('\n');
        if self.violations.is_empty() {
            table += "No violation.\n";
        }
        for found in &self.violations {
            let _ = writeln!(table, "VIOLATION {} ({}): {}", found.invariant, found.checker, found.evidence);
        }
        if let Some(kept) = &self.kept {
            let _ = writeln!(table, "Everything is kept in {}.", Path::new(kept).display());
        }
        table
    }

    fn write_commands(&self, table: &mut String) {
        let Commands { acknowledged, acknowledged_per_s, nothing, refused, resolved, unknown, .. } = &self.commands;
        let Commands { attempts, lost_answers, repeats, overtaken, delivered, connections, .. } = &self.commands;
        let Duplicates { sent, acknowledged_twice, alike } = self.commands.duplicates;
        let _ = writeln!(table, "\n| commands | |\n|---|--:|\n| acknowledged | {acknowledged} |");
        let _ = writeln!(
            table,
            "| acknowledged per second | {acknowledged_per_s:.0} |\n| claims without work | {nothing} |"
        );
        for (code, times) in refused {
            let _ = writeln!(table, "| refused: {code} | {times} |");
        }
        let _ = writeln!(
            table,
            "| unknown at first, then told | {resolved} |\n| never learned | {unknown} |\n| attempts | {attempts} |\n\
             | attempts without a sure answer | {lost_answers} |\n| repeats of what was answered | {repeats} |\n\
             | sent to two instances at once | {sent} |\n| of these acknowledged twice | {acknowledged_twice} |\n\
             | of these with the same answer | {alike} |\n| overtaken by a later one about the same card | {overtaken} |\n\
             | events delivered to subscribers | {delivered} |\n| connections of subscribers | {connections} |"
        );
    }
}

fn write_faults(faults: &BTreeMap<Kind, FaultCount>, table: &mut String) {
    for (kind, count) in faults {
        let targets: Vec<_> = count.targets.iter().map(|(target, times)| format!("{target} {times}")).collect();
        let failed = if count.failed > 0 { format!(" ({} failed)", count.failed) } else { String::new() };
        let _ =
            writeln!(table, "| {} | {}{failed} | {} | {} |", name(*kind), count.done, count.shown, targets.join(", "));
    }
    for (kind, count) in faults {
        for failure in &count.failures {
            let _ = writeln!(table, "| {} | failed | | {} |", name(*kind), failure.lines().next().unwrap_or_default());
        }
        if !count.not_shown.is_empty() {
            let _ = writeln!(table, "| {} | nothing shows it | | {} |", name(*kind), count.not_shown.join(", "));
        }
    }
}

fn write_not_begun(not_begun: &BTreeMap<Kind, u64>, table: &mut String) {
    for (kind, times) in not_begun {
        let _ = writeln!(table, "| {} | {times} not begun | | time was over |", name(*kind));
    }
}

fn name(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::plan::Planned;
    use super::*;

    fn call(seq: u64, key: u128, started_at_ns: u64, position: u64) -> Call {
        let answer = Answer { position: Some(position), repeated: seq > 1, ..Answer::default() };
        Call {
            client: 1,
            seq,
            key: Uuid::from_u128(key),
            attempt: None,
            caller: "ada".into(),
            instance: "one".into(),
            command: "update_task".into(),
            body_digest: "d".into(),
            project_id: None,
            task_id: Some(Uuid::from_u128(7)),
            run_id: None,
            fencing_token: None,
            expected_sequence: None,
            started_at_ns,
            ended_at_ns: started_at_ns + 100,
            end: End::Ok(answer),
        }
    }

    #[test]
    fn what_was_sent_twice_at_once_or_overtaken_is_counted() {
        let calls =
            [call(0, 1, 10, 5), call(1, 1, 11, 5), call(2, 1, 500, 5), call(3, 2, 1_000, 7), call(4, 3, 1_010, 6)];
        let history: Vec<_> = calls.into_iter().map(Entry::Call).collect();
        let counts = count_commands(&history, 1.0);
        assert_eq!(counts.duplicates, Duplicates { sent: 1, acknowledged_twice: 1, alike: 1 });
        assert_eq!((counts.overtaken, counts.repeats), (1, 2));
        let mut unchanged = [call(0, 1, 10, 5), call(1, 1, 11, 6)];
        if let End::Ok(answer) = &mut unchanged[1].end {
            answer.event_ids = Some(Vec::new());
        }
        let counts = count_commands(&unchanged.map(Entry::Call), 1.0);
        assert_eq!(counts.duplicates, Duplicates { sent: 1, acknowledged_twice: 0, alike: 0 });
        let in_order = [call(0, 1, 10, 5), call(1, 2, 11, 6), call(2, 3, 500, 4)].map(Entry::Call);
        assert_eq!(count_commands(&in_order, 1.0).overtaken, 0);
    }

    fn done(shown: Option<&str>) -> Done {
        let planned =
            Planned { kind: Kind::ClockJump, target: "clock of one".into(), wait_ms: 0, duration_ms: 0, choice: 0 };
        Done { planned, began_at_ns: 0, ended_at_ns: 1, failure: None, shown: shown.map(str::to_owned) }
    }

    #[test]
    fn what_was_planned_and_never_begun_is_counted_and_stands_in_the_table() {
        let failed = Done { failure: Some("no clock".into()), ..done(None) };
        let planned = BTreeMap::from([(Kind::Kill, 2), (Kind::ClockJump, 3)]);
        let not_begun = not_begun(&planned, &[done(None), failed]);
        assert_eq!(not_begun, BTreeMap::from([(Kind::Kill, 2), (Kind::ClockJump, 1)]));
        let mut table = String::new();
        write_not_begun(&not_begun, &mut table);
        assert_eq!(table, "| kill | 2 not begun | | time was over |\n| clock_jump | 1 not begun | | time was over |\n");
        assert_eq!(super::not_begun(&BTreeMap::from([(Kind::ClockJump, 1)]), &[done(None)]), BTreeMap::new());
    }

    #[test]
    fn a_fault_that_nothing_shows_stands_in_the_table_as_such() {
        let faults = count_faults(&[done(Some("a time was off")), done(None)]);
        let count = &faults[&Kind::ClockJump];
        assert_eq!((count.done, count.shown, count.not_shown.len()), (2, 1, 1));
        assert_eq!(count.evidence, ["a time was off"]);
        let mut table = String::new();
        write_faults(&faults, &mut table);
        assert_eq!(
            table,
            "| clock_jump | 2 | 1 | clock of one 2 |\n| clock_jump | nothing shows it | | clock of one |\n"
        );
    }
}
