//! Commands over HTTP, through the real programs.

use muster_loadtest::scenario::commands::{batch, http, latency};
use muster_loadtest::scenario::takeover;
use muster_loadtest::{Bounds, Figure, Programs};
use muster_test_kit::shared_kafka;

const BOUNDS: Bounds =
    Bounds { rounds: 1, events_per_turn: 1, batches_per_turn_max: 1, seconds_max: 60, warm_up_seconds: 0 };

/// The programs, which are built beside the tests.
fn programs() -> Programs {
    let tests = std::env::current_exe().expect("this program has a path");
    let folder = tests.parent().and_then(|folder| folder.parent()).expect("tests lie in a folder of the target");
    let programs = Programs::within(folder);
    for program in [&programs.command_service, &programs.empty_handler] {
        assert!(
            program.exists(),
            "{} is missing: `cargo build -p muster-command-service -p muster-loadtest`",
            program.display()
        );
    }
    programs
}

fn check(figures: &[Figure], limit: &str, batch: usize) {
    let [figure] = figures else { panic!("{figures:?}") };
    assert_eq!((figure.muster.name.as_str(), figure.limit.name.as_str()), ("Muster", limit));
    assert_eq!((figure.muster.events, figure.limit.events), (batch as u64, batch as u64));
    assert!(figure.ratio > 0.0 && figure.muster.events_per_s > 0.0, "{figure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_stand_beside_what_is_under_them() {
    let (programs, kafka) = (programs(), shared_kafka().await);
    check(&http::run(&programs, kafka, (4, 2, 2), 8, &BOUNDS).await.unwrap(), "empty handler", 8);
    check(&batch::run(&programs, kafka, 2, 400, &BOUNDS).await.unwrap(), "bare producer", 400);
    check(&latency::run(&programs, kafka, &BOUNDS).await.unwrap(), "bare transaction", 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_is_timed() {
    let (programs, kafka) = (programs(), shared_kafka().await);
    let figures = takeover::run(&programs.command_service, kafka, (50, 100), 1).await.unwrap();
    let [figure] = &figures[..] else { panic!("{figures:?}") };
    assert_eq!((figure.muster.batches, figure.limit.batches), (1, 1));
    assert!(figure.muster.p50_ms > 0.0 && figure.limit.p50_ms > 0.0, "{figure:?}");
}
