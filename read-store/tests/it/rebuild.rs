//! However the log is cut into batches, and in whichever schema: the read model is the same, byte by byte (I5).

use muster_read_store::{Error, ReadStore};
use muster_test_kit::fresh_database;

use crate::support::dump;
use crate::tale::whole_tale;

#[tokio::test]
async fn another_schema_and_other_batches_give_the_same_bytes() {
    let url = fresh_database("rebuild").await;
    let live = ReadStore::connect(&url, 2).await.unwrap();
    let beside = ReadStore::connect_schema(&url, 2, "muster_read_next").await.unwrap();
    let records = whole_tale("bytes").records();

    live.apply_batch(0, &records, 1000).await.unwrap();
    for record in &records {
        beside.apply_batch(0, std::slice::from_ref(record), record.0 + 1).await.unwrap();
    }

    assert_eq!(dump(&live).await, dump(&beside).await);
}

#[tokio::test]
async fn a_schema_name_is_checked() {
    let url = fresh_database("names").await;
    for name in ["Muster", "a-b", "", "1a", "a; drop schema public"] {
        let error = ReadStore::connect_schema(&url, 1, name).await.unwrap_err();
        assert!(matches!(error, Error::SchemaName(_)), "{name:?}: {error}");
    }
}

#[tokio::test]
async fn services_that_start_together_migrate_once() {
    let url = fresh_database("together").await;
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { ReadStore::connect(&url, 1).await.map(|_| ()) })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
}
