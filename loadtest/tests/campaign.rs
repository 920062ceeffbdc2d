//! A short campaign on each log: two faults of each kind that this machine can have, and nothing may be violated.
//!
//! In a program of its own, so that it has the machine to itself. Never how fast anything was.

use muster_loadtest::campaign::{self, Kind, LogKind, Options, Patience, Report};
use tokio::sync::Mutex;

/// Seed of both. A failure names it, and `loadtest campaign --seed` runs it again.
const SEED: u64 = 20_261_121;
const EACH: usize = 2;

/// One campaign at a time.
static TURN: Mutex<()> = Mutex::const_new(());

async fn slice(log: LogKind) -> Report {
    let _turn = TURN.lock().await;
    let options = Options {
        seed: SEED,
        log,
        faults: 0,
        each: Some(EACH),
        commands: 250,
        // Reached only on a machine that is very busy; otherwise it ends when the plan is carried out.
        seconds_max: 180,
        kinds: Vec::new(),
        instances: 2,
        clients: 10,
        partitions: 12,
        bin_dir: campaign::programs_beside_this().expect("this program has a path"),
        mutant: None,
        keep: None,
        short_lived: true,
        patience: Patience::LONG,
        tell: |_| {},
    };
    let report = campaign::run(&options).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.violations.is_empty(), "{}", report.table());
    assert!(report.checks.len() == 12 && report.checks.iter().all(|check| check.examined > 0), "{}", report.table());
    assert!(report.commands.acknowledged > 0 && report.commands.unknown == 0, "{}", report.table());
    for kind in report.faults.keys() {
        assert!(!report.not_run.contains_key(kind));
    }
    for (kind, count) in &report.faults {
        assert!(count.failed == 0 && (1..=EACH as u64).contains(&count.done), "{kind:?}: {}", report.table());
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_on_postgres() {
    let report = slice(LogKind::Postgres).await;
    assert!(report.faults.contains_key(&Kind::Kill) && report.faults.contains_key(&Kind::Freeze), "{}", report.table());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_on_kafka() {
    let report = slice(LogKind::Kafka).await;
    assert!(report.faults.contains_key(&Kind::BrokerKill), "{}", report.table());
}
