//! What a campaign came to, as a table for people and as JSON for tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use super::faults::Done;
use super::history::{Call, End, Entry};
use super::options::{Kind, LogKind};
use crate::Machine;
use crate::checks::Finding;

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
    /// Events that reached subscribers.
    pub delivered: u64,
    /// Connections of subscribers.
    pub connections: u64,
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
            *count.targets.entry(fault.planned.target.clone()).or_default() += 1;
        }
    }
    counts
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
        self.resolved += u64::from(lost > 0 && definite.clone().next().is_some());
    }
}

impl Report {
    /// As tables in Markdown.
    pub fn table(&self) -> String {
        let mut table = format!(
            "Seed {}, log in {:?}, {} instances, {} partitions, {} clients, {:.0} seconds under faults.\n\n| fault | times | targets |\n|---|--:|---|\n",
            self.seed, self.log, self.instances, self.partitions, self.clients, self.seconds
        );
        for (kind, count) in &self.faults {
            let targets: Vec<_> = count.targets.iter().map(|(target, times)| format!("{target} {times}")).collect();
            let failed = if count.failed > 0 { format!(" ({} failed)", count.failed) } else { String::new() };
            let _ = writeln!(table, "| {} | {}{failed} | {} |", name(*kind), count.done, targets.join(", "));
        }
        for (kind, count) in &self.faults {
            for failure in &count.failures {
                let _ =
                    writeln!(table, "| {} | failed | {} |", name(*kind), failure.lines().next().unwrap_or_default());
            }
        }
        let disturbed = self.disturbed.iter().filter(|(_, times)| **times > 0);
        let disturbed: Vec<_> = disturbed.map(|(link, times)| format!("{link} {times}")).collect();
        let _ = writeln!(table, "| connections and messages disturbed | | {} |", disturbed.join(", "));
        for (kind, why) in &self.not_run {
            let _ = writeln!(table, "| {} | not run | {why} |", name(*kind));
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
        let Commands { attempts, lost_answers, repeats, delivered, connections, .. } = &self.commands;
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
             | events delivered to subscribers | {delivered} |\n| connections of subscribers | {connections} |"
        );
    }
}

fn name(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
