//! The audit chain verifies (I9), and a row that was tampered with is found.

use muster_read_store::ReadStore;

use crate::support::fresh_store;
use crate::tale::{Tale, whole_tale};

async fn told(name: &str) -> (ReadStore, Tale) {
    let store = fresh_store().await;
    let tale = whole_tale(name);
    for chunk in tale.records().chunks(13) {
        store.apply_batch(0, chunk, chunk.last().unwrap().0 + 1).await.unwrap();
    }
    (store, tale)
}

async fn first_fault_after(tampering: &'static str) -> Option<u64> {
    let (store, tale) = told(tampering).await;
    let before = store.verify_audit_chain(tale.project_id).await.unwrap();
    assert_eq!((before.checked, before.fault), (tale.events.len() as u64, None));

    let done = sqlx::query(tampering).execute(store.pool()).await.unwrap();
    assert_eq!(done.rows_affected(), 1);

    store.verify_audit_chain(tale.project_id).await.unwrap().fault.map(|fault| fault.position)
}

#[tokio::test]
async fn changed_data_is_found() {
    let changed =
        "update event_history set data = jsonb_set(data, '{title}', '\"Smaller\"') where event_type = 'task.updated'";
    assert_eq!(first_fault_after(changed).await, Some(9));
}

#[tokio::test]
async fn a_changed_envelope_is_found() {
    assert_eq!(first_fault_after("update event_history set actor = 'mallory' where position = 12").await, Some(12));
    let later = "update event_history set event_at = event_at + interval '1 microsecond' where position = 12";
    assert_eq!(first_fault_after(later).await, Some(12));
}

#[tokio::test]
async fn a_missing_row_is_found() {
    assert_eq!(first_fault_after("delete from event_history where position = 7").await, Some(8));
}

#[tokio::test]
async fn a_missing_end_is_found() {
    let end = whole_tale("end").events.len() as u64;
    let delete = "delete from event_history where position = (select max(position) from event_history)";
    assert_eq!(first_fault_after(delete).await, Some(end));
}

#[tokio::test]
async fn an_unknown_project_verifies_as_empty() {
    let store = fresh_store().await;
    let report = store.verify_audit_chain(Tale::new("nobody").project_id).await.unwrap();
    assert_eq!((report.checked, report.fault), (0, None));
}
