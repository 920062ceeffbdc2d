//! Mistakes that the services make on purpose, each of which the checkers must notice: a check that cannot fail shows
//! nothing. The programs must be built with the feature `mutants`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::options::{Kind, LogKind, Options, Patience};
use super::report::Report;
use super::run::Interrupted;
use crate::Machine;
use crate::checks::Finding;

/// A mistake must be noticed so many seconds after the load began, checkers included.
pub const NOTICED_WITHIN_S: f64 = 60.0;

/// A mistake, and the campaign in which it shows.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// What `MUSTER_MUTANT` is set to.
    pub name: &'static str,
    /// What goes wrong.
    pub mistake: &'static str,
    log: LogKind,
    kinds: &'static [Kind],
    faults: usize,
    each: Option<usize>,
    commands: u64,
    /// Under load at most: one that is broken for good never acknowledges them.
    seconds_max: u64,
    instances: usize,
}

/// How often a campaign is tried that does not come to its end.
const TRIES: usize = 2;

/// Faults that end processes and appends, for mistakes that show in nothing else.
const HARD: &[Kind] = &[Kind::Kill, Kind::PostgresKill, Kind::Freeze];
/// The same and what else mistakes are tried out under: it must be clean where there is no mistake.
const HARD_ON_POSTGRES: &[Kind] = &[Kind::Kill, Kind::PostgresKill, Kind::Freeze, Kind::Poison];
const HARD_ON_KAFKA: &[Kind] = &[Kind::Kill, Kind::PostgresKill, Kind::Freeze, Kind::Zombie];
/// What happens to every request now and then.
const SOFT: &[Kind] = &[Kind::Delay, Kind::Reset];

const fn on(log: LogKind, kinds: &'static [Kind], name: &'static str, mistake: &'static str) -> Mutant {
    Mutant { name, mistake, log, kinds, faults: 6, each: None, commands: 1_500, seconds_max: 15, instances: 2 }
}

const fn soft(name: &'static str, mistake: &'static str) -> Mutant {
    on(LogKind::Postgres, SOFT, name, mistake)
}

const fn hard(name: &'static str, mistake: &'static str) -> Mutant {
    on(LogKind::Postgres, HARD, name, mistake)
}

/// Every mistake there is.
pub const ALL: &[Mutant] = &[
    hard("acknowledge_before_commit", "commands are acknowledged before they are durable"),
    soft("apply_twice", "a key that was used is not looked for"),
    hard("forget_idempotency_at_takeover", "what is read at a takeover leaves no keys behind"),
    soft("repeat_answer_differs", "a repeated command is told another position"),
    Mutant {
        // It fails by itself, and more faults would only keep it from coming so far.
        faults: 3,
        commands: 600,
        ..soft("skip_rollback", "what was decided stays after its append failed, which one in 32 does")
    },
    hard(
        "answer_lost_as_refused",
        "a command in doubt, as one append in 32 leaves it, is refused without a look at the log",
    ),
    hard(
        "hide_doubt",
        "a command in doubt, as one append in 32 leaves it, is told that nothing happened; sent again, the truth",
    ),
    soft("tell_longer_lease", "a heartbeat is told a later end than its lease has"),
    soft("ignore_expected_sequence", "commands are accepted on another state than they expect"),
    soft("split_command", "a command's events are written in two appends"),
    soft("double_claim", "one claimant in four is given what another was given last"),
    soft("accept_stale_token", "what comes under an old token counts for the live lease"),
    Mutant {
        faults: 8,
        ..on(
            LogKind::Postgres,
            &[Kind::Kill],
            "stale_snapshot",
            "a snapshot says a newer end than that of the tasks and keys in it",
        )
    },
    soft("offset_outside_transaction", "the offset is stored before the rows"),
    soft("drop_row", "an event in fifty gets no row in the history"),
    soft("stale_row", "some events do not change the rows they are about"),
    soft("audit_unchained", "the audit hash leaves out the one before"),
    on(LogKind::Postgres, &[Kind::Poison], "forget_dead_letter", "a record that holds no event is passed over"),
    soft("resume_skips", "a subscriber goes on one event too far"),
    soft("resume_repeats", "a subscriber goes on one event too early"),
    soft("leak_to_strangers", "who is no member sees projects"),
    soft("orphan", "a process outlives the service that started it"),
    Mutant {
        // Whoever was put out works on under full load while others take over: no need to wait for luck. One is always
        // left to take over.
        faults: 2,
        commands: 500,
        seconds_max: 8,
        instances: 3,
        ..on(
            LogKind::Kafka,
            &[Kind::Zombie],
            "skip_fencing",
            "each writer of a partition has a transactional id of its own",
        )
    },
];

/// What became of a mistake.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// Its name.
    pub mutant: &'static str,
    /// What goes wrong.
    pub mistake: &'static str,
    /// Which log.
    pub log: LogKind,
    /// Kinds of faults beside.
    pub kinds: &'static [Kind],
    /// Seconds under load.
    pub load_seconds: f64,
    /// Seconds from the first command under load until every checker had looked: load, healing, a rebuild, checks.
    pub noticed_seconds: f64,
    /// Seconds in all: the servers' and services' start too.
    pub seconds: f64,
    /// Commands acknowledged meanwhile.
    pub acknowledged: u64,
    /// Who noticed, with the first thing each saw.
    pub noticed_by: Vec<Noticed>,
    /// Why campaigns did not come to their end, if so: those show nothing.
    pub failures: Vec<String>,
}

impl Trial {
    fn came_to_its_end(&self) -> bool {
        self.failures.len() < TRIES
    }
}

/// A checker that noticed.
#[derive(Debug, Clone, Serialize)]
pub struct Noticed {
    /// The invariant.
    pub number: &'static str,
    /// The checker.
    pub checker: &'static str,
    /// How often.
    pub violations: u64,
    /// The first thing it saw.
    pub evidence: String,
}

/// All trials.
#[derive(Debug, Clone, Serialize)]
pub struct Trials {
    /// From which faults and load follow.
    pub seed: u64,
    /// Where they ran.
    pub machine: Machine,
    /// The same without any mistake, once for each log: nothing must be noticed.
    pub unchanged: Vec<Trial>,
    /// Each mistake.
    pub mutants: Vec<Trial>,
}

impl Trials {
    /// Tries the mutants of these names, all when empty, after programs without a mistake. `options` say the rest; `ended`
    /// is told what there is each time one has ended.
    pub async fn run(
        options: &Options,
        only: &[String],
        mut ended: impl FnMut(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        for name in only {
            anyhow::ensure!(ALL.iter().any(|mutant| mutant.name == name), "there is no mutant {name}");
        }
        let chosen: Vec<&Mutant> =
            ALL.iter().filter(|mutant| only.is_empty() || only.iter().any(|name| name == mutant.name)).collect();
        let mut trials =
            Self { seed: options.seed, machine: Machine::here(), unchanged: Vec::new(), mutants: Vec::new() };
        for log in [LogKind::Postgres, LogKind::Kafka] {
            if chosen.iter().any(|mutant| mutant.log == log) {
                let kinds = if log == LogKind::Kafka { HARD_ON_KAFKA } else { HARD_ON_POSTGRES };
                (options.tell)(&format!("no mistake, {log:?}"));
                let unchanged =
                    Mutant { each: Some(2), seconds_max: 40, instances: 3, ..on(log, kinds, "none", "no mistake") };
                trials.unchanged.push(unchanged.try_out(options).await?);
                ended(&trials)?;
            }
        }
        for mutant in chosen {
            (options.tell)(&format!("{}: {}", mutant.name, mutant.mistake));
            trials.mutants.push(mutant.try_out(options).await?);
            ended(&trials)?;
        }
        trials.machine.end();
        Ok(trials)
    }

    /// Whether each mistake was noticed in time, and nothing where there was none.
    pub fn is_proof(&self) -> bool {
        let in_time = |trial: &Trial| !trial.noticed_by.is_empty() && trial.noticed_seconds <= NOTICED_WITHIN_S;
        let clean = |trial: &Trial| trial.noticed_by.is_empty() && trial.came_to_its_end();
        self.unchanged.iter().all(clean) && self.mutants.iter().all(in_time)
    }

    /// As a table in Markdown.
    pub fn table(&self) -> String {
        let mut table = format!(
            "Seed {}.\n\n| mutant | log | noticed by | violations | seconds under load | seconds until noticed | seconds in all | acknowledged |\n|---|---|---|--:|--:|--:|--:|--:|\n",
            self.seed
        );
        for trial in self.unchanged.iter().chain(&self.mutants) {
            let names: Vec<_> = trial.noticed_by.iter().map(|it| format!("{} {}", it.number, it.checker)).collect();
            let violations: u64 = trial.noticed_by.iter().map(|it| it.violations).sum();
            let nobody = if trial.came_to_its_end() { "nobody" } else { "it did not come to its end" }.to_owned();
            let (names, log) = (if names.is_empty() { nobody } else { names.join(", ") }, trial.log);
            let Trial { mutant, load_seconds, noticed_seconds, seconds, acknowledged, .. } = trial;
            let _ = writeln!(
                table,
                "| {mutant} | {log:?} | {names} | {violations} | {load_seconds:.0} | {noticed_seconds:.0} | {seconds:.0} | {acknowledged} |"
            );
        }
        table
    }
}

impl Mutant {
    async fn try_out(&self, options: &Options) -> anyhow::Result<Trial> {
        let mutant = (self.name != "none").then(|| self.name.to_owned());
        // Only of one that makes a mistake nothing good is expected.
        let patience = if mutant.is_some() { Patience::SHORT } else { Patience::LONG };
        let Self { log, faults, each, commands, seconds_max, instances, .. } = *self;
        let options = Options {
            log,
            faults,
            each,
            commands,
            seconds_max,
            instances,
            kinds: self.kinds.to_vec(),
            mutant,
            patience,
            ..options.clone()
        };
        let mut failures = Vec::new();
        let (report, seconds) = loop {
            let started = Instant::now();
            match super::run(&options).await {
                Ok(report) => break (report, started.elapsed().as_secs_f64()),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => failures.push(format!("{error:#}")),
            }
            if failures.len() == TRIES {
                return Ok(self.failed(failures));
            }
        };
        let trial = Trial { failures, ..self.trial(&report, seconds) };
        if let Some(kept) = report.kept.filter(|_| options.keep.is_none() && options.mutant.is_some()) {
            // What a mistake led to is in the report already.
            drop(std::fs::remove_dir_all(Path::new(&kept)));
        }
        Ok(trial)
    }

    fn failed(&self, failures: Vec<String>) -> Trial {
        Trial {
            mutant: self.name,
            mistake: self.mistake,
            log: self.log,
            kinds: self.kinds,
            load_seconds: 0.0,
            noticed_seconds: 0.0,
            seconds: 0.0,
            acknowledged: 0,
            noticed_by: Vec::new(),
            failures,
        }
    }

    fn trial(&self, report: &Report, seconds: f64) -> Trial {
        let noticed = |finding: &Finding| Noticed {
            number: finding.number,
            checker: finding.checker,
            violations: finding.violations,
            evidence: finding.evidence.first().cloned().unwrap_or_default(),
        };
        Trial {
            mutant: self.name,
            mistake: self.mistake,
            log: self.log,
            kinds: self.kinds,
            load_seconds: report.seconds,
            noticed_seconds: report.noticed_seconds,
            seconds,
            acknowledged: report.commands.acknowledged,
            noticed_by: report.checks.iter().filter(|finding| finding.violations > 0).map(noticed).collect(),
            failures: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn trial(noticed: bool) -> Trial {
        let noticed_by = Noticed { number: "I1", checker: "acknowledged-once", violations: 1, evidence: String::new() };
        Trial {
            mutant: "m",
            mistake: "",
            log: LogKind::Postgres,
            kinds: SOFT,
            load_seconds: 1.0,
            noticed_seconds: 1.5,
            seconds: 2.0,
            acknowledged: 1,
            noticed_by: noticed.then_some(noticed_by).into_iter().collect(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn it_is_a_proof_when_mistakes_alone_are_noticed() {
        let trials = |unchanged, mutant| Trials {
            seed: 1,
            machine: Machine::here(),
            unchanged: vec![trial(unchanged)],
            mutants: vec![trial(true), trial(mutant)],
        };
        assert!(trials(false, true).is_proof());
        assert!(!trials(false, false).is_proof());
        assert!(!trials(true, true).is_proof());
        assert!(trials(false, false).table().contains("| m | Postgres | nobody | 0 |"));
    }

    #[test]
    fn what_is_noticed_too_late_is_no_proof() {
        let late = Trial { noticed_seconds: NOTICED_WITHIN_S + 1.0, ..trial(true) };
        let trials = Trials { seed: 1, machine: Machine::here(), unchanged: Vec::new(), mutants: vec![late] };
        assert!(!trials.is_proof());
    }

    #[test]
    fn each_mutant_has_a_name_of_its_own() {
        assert_eq!(ALL.iter().map(|mutant| mutant.name).collect::<BTreeSet<_>>().len(), ALL.len());
    }
}
