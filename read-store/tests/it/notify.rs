//! A wake-up comes after the commit, and the rows are there when it does.

use std::time::Duration;

use muster_read_store::{Listener, Wakeup};
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
    let killed: i64 = sqlx::query_scalar(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity
         where datname = current_database() and query ilike 'listen%'",
    )
    .fetch_one(store.pool())
    .await
    .unwrap();
    assert_eq!(killed, 1);

    assert_eq!(timeout(SOON, listener.next()).await.unwrap(), Wakeup::Reconnected);
    store.apply_batch(0, &tale.records()[..1], 1).await.unwrap();

    let wakeup = timeout(SOON, listener.next()).await.unwrap();
    assert_eq!(wakeup, Wakeup::Position { project_id: tale.project_id, position: 1 });
}
