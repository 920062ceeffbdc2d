//! Health from the first moment, routes later; servers that come late, never, or refuse.

use std::cell::Cell;
use std::time::Duration;

use axum::Router;
use axum::routing::get as on_get;
use muster_service_kit::{Config, Deferred, Readiness, Shutdown, Startup, health};

use crate::support::get;

fn startup(patience_ms: u64) -> (Startup, Readiness, Shutdown) {
    let (readiness, shutdown) = (Readiness::new(), Shutdown::new());
    let mut config = Config::default();
    config.startup.patience_ms = patience_ms;
    (Startup::new(&config, &readiness, &shutdown), readiness, shutdown)
}

#[tokio::test]
async fn routes_come_later_and_health_does_not() {
    let (startup, readiness, _shutdown) = startup(0);
    let deferred = Deferred::default();
    let router = deferred.router(readiness.clone());
    assert_eq!(get(&router, "/healthz").await.status, 200);
    get(&router, "/readyz").await.problem("unavailable");
    let early = get(&router, "/here").await;
    assert_eq!((early.status.as_u16(), early.header("retry-after")), (503, "1"));
    early.problem("unavailable");

    deferred.set(Router::new().route("/here", on_get(|| async { "here" })).merge(health::router(readiness)));
    startup.finished();

    assert_eq!(get(&router, "/here").await.text(), "here");
    assert_eq!(get(&router, "/elsewhere").await.status, 404);
    assert_eq!(get(&router, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let (startup, readiness, _shutdown) = startup(0);
    let tries = Cell::new(0);
    let connect = async || {
        let reason = if tries.get() == 0 { "connecting to it" } else { "waiting for it: away" };
        assert_eq!(readiness.failing().await, [("startup".to_owned(), reason.to_owned())]);
        tries.set(tries.get() + 1);
        if tries.get() < 3 { Err("away") } else { Ok(7) }
    };
    assert_eq!(startup.obtain("it", connect, |_| true).await, Ok(Some(7)));
    assert_eq!(tries.get(), 3);
}

#[tokio::test]
async fn what_does_not_pass_ends_the_start_and_so_does_a_patience_that_is_over() {
    let (unbounded, _, _shutdown) = startup(0);
    let tries = Cell::new(0);
    let wrong = async || {
        tries.set(tries.get() + 1);
        Err::<(), _>("wrong password")
    };
    assert_eq!(unbounded.obtain("it", wrong, |_| false).await, Err("wrong password"));
    assert_eq!(tries.get(), 1);

    let (bounded, _, _shutdown) = startup(1000);
    tries.set(0);
    assert_eq!(bounded.obtain("it", wrong, |_| true).await, Err("wrong password"));
    assert!(tries.get() > 1);
}

#[tokio::test]
async fn a_stop_is_not_held_up_by_a_server_that_says_nothing() {
    let (startup, _, shutdown) = startup(0);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        shutdown.trigger();
    };
    let silent = async || std::future::pending::<Result<(), &str>>().await;
    let (obtained, ()) = tokio::join!(startup.obtain("it", silent, |_| true), stopping);
    assert_eq!(obtained, Ok(None));
}
