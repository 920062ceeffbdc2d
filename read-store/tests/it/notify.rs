//! A wake-up comes after the commit, and the rows are there when it does.

use std::time::Duration;

use muster_read_store::{Listener, ReadStore, Wakeup};
use muster_test_kit::fresh_database;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::support::fresh_store;
use crate::tale::whole_tale;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_position_is_heard_once_its_rows_are_there() {
    let store = fresh_store().await;
    let tale = whole_tale("heard");
    let records = tale.records();
    let mut listener = Listener::connect(&store).await.unwrap();

    store.apply_batch(0, &records[..8], records[7].0 + 1).await.unwrap();

    let wakeup = timeout(SOON, listener.next()).await.unwrap();
    assert_eq!(wakeup, Wakeup::Position { project_id: tale.project_id, position: 8 });
    assert_eq!(store.project_position(tale.project_id).await.unwrap(), 8);
}

#[tokio::test]
async fn nothing_is_heard_of_a_batch_that_fails() {
    let store = fresh_store().await;
    let tale = whole_tale("unheard");
    let records = tale.records();
    let mut listener = Listener::connect(&store).await.unwrap();

    store.apply_batch(0, &[records[0].clone(), records[2].clone()], 100).await.unwrap_err();
    store.apply_batch(0, &records[..3], 100).await.unwrap();

    let wakeup = timeout(SOON, listener.next()).await.unwrap();
    assert_eq!(wakeup, Wakeup::Position { project_id: tale.project_id, position: 3 });
}

#[tokio::test]
async fn a_lost_connection_is_said_and_mended() {
    let store = fresh_store().await;
    let tale = whole_tale("lost");
    let mut listener = Listener::connect(&store).await.unwrap();
    cut(&store).await;

    assert_eq!(timeout(SOON, listener.next()).await.unwrap(), Wakeup::Reconnected);
    store.apply_batch(0, &tale.records()[..1], 1).await.unwrap();

    let wakeup = timeout(SOON, listener.next()).await.unwrap();
    assert_eq!(wakeup, Wakeup::Position { project_id: tale.project_id, position: 1 });
}

#[tokio::test]
async fn who_asks_without_patience_hears_too() {
    let store = fresh_store().await;
    let tale = whole_tale("impatient");
    let mut listener = Listener::connect(&store).await.unwrap();
    cut(&store).await;

    // No wait is long enough for the pause before a new connection, let alone for the connection.
    let wakeup = timeout(SOON, again_and_again(&mut listener)).await.unwrap();
    assert_eq!(wakeup, Wakeup::Reconnected);
    store.apply_batch(0, &tale.records()[..1], 1).await.unwrap();

    let wakeup = timeout(SOON, again_and_again(&mut listener)).await.unwrap();
    assert_eq!(wakeup, Wakeup::Position { project_id: tale.project_id, position: 1 });
}

#[tokio::test]
async fn a_connection_that_fell_silent_is_replaced() {
    let url = fresh_database("read-store").await;
    let link = Link::to(&url).await;
    let (store, behind_link) =
        (ReadStore::connect(&url, 4).await.unwrap(), ReadStore::connect(&link.url, 4).await.unwrap());
    let tale = whole_tale("silent");
    let mut listener = Listener::connect_asking(&behind_link, Duration::from_secs(1)).await.unwrap();
    link.freeze();

    assert_eq!(timeout(SOON, listener.next()).await.unwrap(), Wakeup::Reconnected);
    store.apply_batch(0, &tale.records()[..1], 1).await.unwrap();

    let wakeup = timeout(SOON, listener.next()).await.unwrap();
    let heard = Wakeup::Position { project_id: tale.project_id, position: 1 };
    // A machine that is very busy may be taken for dead once more.
    assert!([heard, Wakeup::Reconnected].contains(&wakeup), "{wakeup:?}");
}

/// Asks, gives up soon, and asks anew.
async fn again_and_again(listener: &mut Listener) -> Wakeup {
    loop {
        if let Ok(wakeup) = timeout(Duration::from_millis(1), listener.next()).await {
            return wakeup;
        }
    }
}

/// Ends the one connection that listens.
async fn cut(store: &ReadStore) {
    let killed: i64 = sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and query ilike 'listen%'",
    )
    .fetch_one(store.pool())
    .await
    .unwrap();
    assert_eq!(killed, 1);
}

/// A way to Postgres that can fall silent, as when a host vanishes: nothing is closed, and nothing comes.
struct Link {
    url: String,
    frozen: watch::Sender<u64>,
}

impl Link {
    async fn to(url: &str) -> Self {
        let (server, database) = url.rsplit_once('/').unwrap();
        let (user, server) = server.rsplit_once('@').unwrap();
        let server = server.to_owned();
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{user}@{}/{database}", door.local_addr().unwrap());
        let frozen = watch::Sender::new(0);
        let freezes = frozen.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = door.accept().await {
                let (mut far, mut freezes) = (TcpStream::connect(&server).await.unwrap(), freezes.clone());
                freezes.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = freezes.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url, frozen }
    }

    /// Silences every connection there is; later ones work.
    fn freeze(&self) {
        self.frozen.send_modify(|times| *times += 1);
    }
}
