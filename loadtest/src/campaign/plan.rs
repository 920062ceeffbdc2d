//! Which faults come when: all of it follows from the seed. It must never know what runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::chance::Chance;
use super::options::{Kind, LogKind, Options};
use super::stage::{REGISTRY_LINK, SUBSCRIBER_LINK, client_link, instance_name};

/// One fault, as it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// What.
    pub kind: Kind,
    /// To whom: a service, a link or a server.
    pub target: String,
    /// How long after the one before it.
    pub wait_ms: u64,
    /// How long it lasts; how long a killed one stays away.
    pub duration_ms: u64,
    /// A further choice, whose meaning the kind knows.
    pub choice: u64,
}

/// How often each kind comes, where kinds are not counted one by one. Kills and freezes are most of it.
const WEIGHTS: [(u64, Kind); 17] = [
    (36, Kind::Kill),
    (34, Kind::Freeze),
    (5, Kind::Cut),
    (4, Kind::Partition),
    (4, Kind::Delay),
    (5, Kind::Reset),
    (4, Kind::ExecutedButTimedOut),
    (3, Kind::DelayedEndTxn),
    (1, Kind::BrokerKill),
    (1, Kind::BrokerFreeze),
    (1, Kind::PostgresKill),
    (1, Kind::RebalanceStorm),
    (1, Kind::DiskFull),
    (1, Kind::ClockJump),
    (3, Kind::Zombie),
    (3, Kind::Reorder),
    (1, Kind::Poison),
];

/// Whether `kind` can happen to this log at all.
pub fn applies(kind: Kind, log: LogKind) -> bool {
    const OF_KAFKA: [Kind; 4] = [Kind::DelayedEndTxn, Kind::BrokerKill, Kind::BrokerFreeze, Kind::Zombie];
    log == LogKind::Kafka || !OF_KAFKA.contains(&kind)
}

/// The plan of a campaign. `able` says which kinds this machine can do.
pub fn plan(options: &Options, able: impl Fn(Kind) -> bool) -> Vec<Planned> {
    let wanted = |kind: Kind| {
        (options.kinds.is_empty() || options.kinds.contains(&kind)) && applies(kind, options.log) && able(kind)
    };
    let weights: Vec<_> = WEIGHTS.into_iter().filter(|(_, kind)| wanted(*kind)).collect();
    let mut chance = Chance::of(options.seed, "faults");
    let kinds: Vec<Kind> = match options.each {
        Some(each) => {
            let mut kinds: Vec<_> = weights.iter().flat_map(|(_, kind)| std::iter::repeat_n(*kind, each)).collect();
            chance.shuffle(&mut kinds);
            kinds
        }
        None => (0..options.faults).filter_map(|_| chance.weighted(&weights).copied()).collect(),
    };
    kinds.into_iter().map(|kind| planned(kind, options, &mut chance)).collect()
}

/// How many there are of each kind.
pub fn by_kind(plan: &[Planned]) -> BTreeMap<Kind, u64> {
    let mut counts = BTreeMap::new();
    for planned in plan {
        *counts.entry(planned.kind).or_default() += 1;
    }
    counts
}

fn planned(kind: Kind, options: &Options, chance: &mut Chance) -> Planned {
    let target = match kind {
        Kind::Kill | Kind::Freeze => service(options, chance),
        Kind::RebalanceStorm => instance_name(chance.below(options.instances)),
        Kind::ClockJump => format!("clock of {}", instance_name(clock_instance(options))),
        Kind::Cut | Kind::Partition | Kind::Delay | Kind::Reset => link(options, chance),
        Kind::ExecutedButTimedOut => command_link(options, chance),
        Kind::DelayedEndTxn | Kind::Zombie => format!("{} to log", instance_name(chance.below(options.instances))),
        Kind::BrokerKill | Kind::BrokerFreeze => "broker".to_owned(),
        Kind::PostgresKill => "postgres".to_owned(),
        Kind::DiskFull => "disk".to_owned(),
        Kind::Poison => "log".to_owned(),
        Kind::Reorder => "clients".to_owned(),
    };
    let session = Options::SESSION_TIMEOUT_MS;
    let duration_ms = match kind {
        Kind::Kill => chance.between(0, 400),
        // Two in three are given up for dead.
        Kind::Freeze if chance.percent(66) => chance.between(session + 200, session + 900),
        Kind::Freeze => chance.between(50, session / 2),
        Kind::Partition => chance.between(session / 2, session * 2),
        Kind::Cut | Kind::Delay | Kind::ExecutedButTimedOut | Kind::DelayedEndTxn | Kind::Reorder => {
            chance.between(200, 1_500)
        }
        Kind::BrokerFreeze => chance.between(500, 3_000),
        Kind::DiskFull => chance.between(500, 1_500),
        Kind::ClockJump => chance.between(1_500, 3_000),
        // Long enough that others take over what it goes on with.
        Kind::Zombie => chance.between(session + 1_500, session + 3_000),
        Kind::BrokerKill | Kind::PostgresKill | Kind::Reset | Kind::RebalanceStorm | Kind::Poison => {
            chance.between(0, 200)
        }
    };
    Planned { kind, target, wait_ms: chance.between(50, 1_200), duration_ms, choice: chance.next() }
}

/// The instance whose clock jumps. The others keep the system's own.
pub fn clock_instance(options: &Options) -> usize {
    options.instances.saturating_sub(1)
}

/// Instances most of the time; now and then the read side.
fn service(options: &Options, chance: &mut Chance) -> String {
    match chance.between(1, 100) {
        1..=10 => "projector".to_owned(),
        11..=18 => "query".to_owned(),
        _ => instance_name(chance.below(options.instances)),
    }
}

fn command_link(options: &Options, chance: &mut Chance) -> String {
    let index = chance.below(options.instances);
    match chance.below(3) {
        0 => client_link(index),
        1 => format!("peer to {}", instance_name(index)),
        _ => format!("{} to log", instance_name(index)),
    }
}

fn link(options: &Options, chance: &mut Chance) -> String {
    const OF_THE_READ_SIDE: [&str; 5] =
        ["projector to log", "projector to read model", "query to log", "query to read model", SUBSCRIBER_LINK];
    if options.log == LogKind::Kafka && chance.percent(10) {
        REGISTRY_LINK.to_owned()
    } else if chance.percent(35) {
        chance.pick(&OF_THE_READ_SIDE).map_or_else(String::new, |name| (*name).to_owned())
    } else {
        command_link(options, chance)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::campaign::Patience;

    fn options(seed: u64, each: Option<usize>, log: LogKind) -> Options {
        Options {
            seed,
            log,
            faults: 400,
            commands: 1,
            seconds_max: 1,
            kinds: Vec::new(),
            each,
            instances: 3,
            clients: 1,
            partitions: 12,
            bin_dir: PathBuf::new(),
            mutant: None,
            keep: None,
            short_lived: true,
            patience: Patience::LONG,
            tell: |_| {},
        }
    }

    #[test]
    fn a_seed_gives_the_same_plan() {
        let plan = |seed| super::plan(&options(seed, None, LogKind::Kafka), |_| true);
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
        assert_eq!(plan(1).len(), 400);
    }

    #[test]
    fn each_kind_comes_as_often_as_asked_where_it_applies() {
        let plan = plan(&options(1, Some(2), LogKind::Postgres), |kind| kind != Kind::ClockJump);
        let count = |kind| plan.iter().filter(|fault| fault.kind == kind).count();
        assert_eq!((count(Kind::Kill), count(Kind::ClockJump), count(Kind::BrokerKill)), (2, 0, 0));
        assert_eq!(plan.len(), 24);
    }
}
