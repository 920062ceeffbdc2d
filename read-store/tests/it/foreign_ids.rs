//! Ids are chosen by clients, so one project can use another's. Whatever it tells under them, and in whatever order the
//! two are projected: the rows of each are those it would have alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_domain::event::{Event, EventData};
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use muster_read_store::query::{HistoryOf, InProject, Page, RunsOf};
use muster_read_store::{OutputLine, ReadStore};
use serde_json::json;
use uuid::Uuid;

use crate::support::{TABLES, fresh_store};
use crate::tale::{id, whole_tale};

type Records = Vec<(i64, Arc<Event>)>;

const MALLORY: ProjectId = ProjectId(Uuid::from_u128(0xbad));

/// What another project tells under the ids of `events`: each event again, later and in its own words.
fn under_the_same_ids(events: &[Arc<Event>]) -> Vec<Arc<Event>> {
    let twin = |event: &Arc<Event>| {
        let words = event.data.to_json().to_string().replace("alice", "mallory").replace("Größe", "Mine");
        let data = EventData::from_json(event.event_type(), serde_json::from_str(&words).unwrap()).unwrap();
        let timestamp = Timestamp::from_micros(event.timestamp.as_micros() + 777);
        Arc::new(Event { project_id: MALLORY, timestamp, actor: "mallory".to_owned(), data, ..event.as_ref().clone() })
    };
    events.iter().map(twin).collect()
}

fn records(events: &[Arc<Event>]) -> Records {
    (0..).zip(events.iter().cloned()).collect()
}

/// Every row that a project has, by table.
async fn rows_of(store: &ReadStore, project_id: ProjectId) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::new();
    for table in TABLES {
        let sql = format!("select to_jsonb(t)::text from {table} t where project_id = $1 order by 1");
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(project_id.0).fetch_all(store.pool()).await;
        all.insert(*table, rows.unwrap());
    }
    all
}

async fn alone(events: &[Arc<Event>]) -> BTreeMap<&'static str, Vec<String>> {
    let store = fresh_store().await;
    store.apply_batch(0, &records(events), 1000).await.unwrap();
    rows_of(&store, events[0].project_id).await
}

#[tokio::test]
async fn in_whatever_order_each_project_has_the_rows_it_would_have_alone() {
    let tale = whole_tale("victim");
    let theirs = under_the_same_ids(&tale.events);
    let expected = [alone(&tale.events).await, alone(&theirs).await];
    for (table, rows) in &expected[0] {
        assert!(!rows.is_empty(), "nothing in {table} is attacked");
        assert_ne!(rows, &expected[1][table], "{table} would look the same, overwritten or not");
    }
    let mixed: Vec<_> = tale.events.iter().zip(&theirs).flat_map(|(ours, theirs)| [ours, theirs]).cloned().collect();
    let batches: [(&str, Vec<(u32, Records)>); 5] = [
        ("one batch", vec![(0, records(&mixed))]),
        ("event by event", records(&mixed).chunks(1).map(|record| (0, record.to_vec())).collect()),
        ("the other first", vec![(0, records(&theirs)), (1, records(&tale.events))]),
        ("the other last", vec![(1, records(&tale.events)), (0, records(&theirs))]),
        (
            "two partitions in turn",
            (0..)
                .zip(tale.events.iter().zip(&theirs))
                .flat_map(|(at, (ours, theirs))| {
                    [(7, vec![(at, Arc::clone(theirs))]), (2, vec![(at, Arc::clone(ours))])]
                })
                .collect(),
        ),
    ];
    for (order, batches) in batches {
        let store = fresh_store().await;
        for (partition, records) in batches {
            let next_offset = records.last().unwrap().0 + 1;
            let applied = store.apply_batch(partition, &records, next_offset).await.unwrap();
            assert_eq!(applied.events, records.len(), "{order}");
        }
        assert_eq!(rows_of(&store, tale.project_id).await, expected[0], "{order}");
        assert_eq!(rows_of(&store, MALLORY).await, expected[1], "{order}");
        assert_eq!(store.verify_audit_chain(tale.project_id).await.unwrap().fault, None);
    }
}

#[tokio::test]
async fn a_single_event_about_anothers_rows_leaves_them_alone() {
    let tale = whole_tale("victim");
    let expected = alone(&tale.events).await;
    let store = fresh_store().await;
    store.apply_batch(0, &records(&tale.events), 1000).await.unwrap();
    for (number, event) in under_the_same_ids(&tale.events).iter().enumerate() {
        // A project of its own for each, so that nothing of the attacker's is there before it.
        let project_id = ProjectId(Uuid::from_u128(1 + number as u128));
        let event = Arc::new(Event { project_id, position: 1, ..event.as_ref().clone() });
        let offset = 1000 + i64::try_from(number).unwrap();
        let kind = event.event_type().to_owned();
        store.apply_batch(0, &[(offset, event)], offset + 1).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(rows_of(&store, tale.project_id).await, expected, "{kind}");
    }
}

#[tokio::test]
async fn every_unique_key_names_the_project() {
    let store = fresh_store().await;
    let keys: Vec<(String, String)> = sqlx::query_as(
        "select indexrelid::regclass::text, string_agg(attname, ',' order by attname)
         from pg_index join pg_class on pg_class.oid = indrelid join pg_attribute on attrelid = indrelid
         where indisunique and relnamespace = 'muster_read'::regnamespace and attnum = any(indkey)
             and relname not in ('_sqlx_migrations', 'projection_offsets', 'output_offsets', 'dead_letters')
         group by 1",
    )
    .fetch_all(store.pool())
    .await
    .unwrap();
    assert!(keys.len() > TABLES.len(), "{keys:?}");
    for (index, columns) in keys {
        assert!(columns.split(',').any(|column| column == "project_id"), "{index} is on {columns}");
    }
}

#[tokio::test]
async fn lines_under_anothers_run_are_lines_of_ones_own() {
    let store = fresh_store().await;
    let (run_id, task_id, ours) =
        (RunId(Uuid::from_u128(1)), TaskId(Uuid::from_u128(2)), ProjectId(Uuid::from_u128(3)));
    let line = |project_id, line_number, content: &str| OutputLine {
        project_id,
        task_id,
        run_id,
        line_number,
        written_at: Timestamp::default(),
        stream: "stdout".to_owned(),
        content: content.to_owned(),
    };
    let theirs: Vec<_> = (1..4).map(|number| line(MALLORY, number, "theirs")).collect();
    let ours_lines = [line(ours, 1, "ours"), line(ours, 2, "ours")];
    assert_eq!(store.append_output(&theirs, &BTreeMap::new()).await.unwrap(), 3);
    assert_eq!(store.append_output(&ours_lines, &BTreeMap::new()).await.unwrap(), 2);
    for (project_id, count, content) in [(ours, 2, "ours"), (MALLORY, 3, "theirs")] {
        let rows = store.output(project_id, run_id, 0, 10).await.unwrap().rows;
        assert_eq!((rows.len(), rows.iter().all(|row| row.content == content)), (count, true));
        let place = InProject::of(project_id, run_id.0);
        assert_eq!(store.output_ends(&[place]).await.unwrap(), [(place, count as u64)]);
    }
}

#[tokio::test]
async fn what_is_read_of_a_project_is_its_own() {
    let tale = whole_tale("victim");
    let theirs = under_the_same_ids(&tale.events);
    let store = fresh_store().await;
    store.apply_batch(0, &records(&theirs), 1000).await.unwrap();
    store.apply_batch(1, &records(&tale.events), 1000).await.unwrap();
    let of = |name: &str| id(tale.project_id, name);
    let (task_id, ours) = (TaskId(of("task")), tale.project_id);
    let (task, run) = (InProject::of(ours, of("task")), InProject::of(ours, of("code")));

    let projects = |rows: Vec<Uuid>| {
        assert!(!rows.is_empty() && rows.iter().all(|project| *project == ours.0), "{rows:?}");
        rows.len()
    };
    projects(store.tasks_in(&[task]).await.unwrap().iter().map(|row| row.project_id).collect());
    projects(store.blockers_of(&[task]).await.unwrap().iter().map(|row| row.project_id).collect());
    let first = InProject::of(ours, of("first"));
    projects(store.blocked_by(&[first]).await.unwrap().iter().map(|row| row.project_id).collect());
    projects(store.subtasks_of(&[task]).await.unwrap().iter().map(|row| row.project_id).collect());
    let one = InProject::of(ours, of("one"));
    assert_eq!(projects(store.subtasks_in(&[one]).await.unwrap().iter().map(|row| row.project_id).collect()), 1);
    projects(store.artifacts_of(&[task]).await.unwrap().iter().map(|row| row.project_id).collect());
    projects(store.questions_of(&[task]).await.unwrap().iter().map(|row| row.project_id).collect());
    projects(store.runs_of(&[task]).await.unwrap().iter().map(|row| row.project_id).collect());
    projects(store.runs_in(&[run]).await.unwrap().iter().map(|row| row.project_id).collect());
    projects(store.iterations_of(&[run]).await.unwrap().iter().map(|row| row.project_id).collect());
    let session = InProject::of(ours, of("session"));
    projects(store.sessions_in(&[session]).await.unwrap().iter().map(|row| row.project_id).collect());
    let runs = store.run_list(RunsOf::Task(ours, task_id), None, &Page::first(100)).await.unwrap().rows;
    projects(runs.iter().map(|row| row.project_id).collect());
    for of in [
        HistoryOf::Task { project_id: ours, task_id, after: 0 },
        HistoryOf::TaskBehind { project_id: ours, task_id, position: 0 },
        HistoryOf::Project { project_id: ours, after: 0 },
    ] {
        projects(store.history(of, 1000).await.unwrap().rows.iter().map(|row| row.project_id).collect());
    }
    let begun = store.task_at(ours, task_id, 1).await.unwrap().unwrap();
    assert_eq!(json!([begun.project_id, begun.title]), json!([ours, "Größe"]));
}

#[tokio::test]
async fn an_id_of_several_projects_is_that_of_the_readers() {
    let tale = whole_tale("victim");
    let theirs = under_the_same_ids(&tale.events);
    let store = fresh_store().await;
    store.apply_batch(0, &records(&theirs), 1000).await.unwrap();
    store.apply_batch(1, &records(&tale.events), 1000).await.unwrap();
    let (task_id, run_id) = (TaskId(id(tale.project_id, "task")), RunId(id(tale.project_id, "code")));
    for (user, project_id) in
        [(Some("alice"), Some(tale.project_id)), (Some("mallory"), Some(MALLORY)), (Some("eve"), None)]
    {
        let task = store.task_seen_by(user, task_id).await.unwrap();
        assert_eq!(task.map(|task| ProjectId(task.project_id)), project_id, "{user:?}");
        let run = store.run_seen_by(user, run_id).await.unwrap();
        assert_eq!(run.map(|run| ProjectId(run.project_id)), project_id, "{user:?}");
    }
    // Who sees both is shown the older one, however the two were projected: bob is a member of both, an admin sees all.
    for user in [Some("bob"), None] {
        let task = store.task_seen_by(user, task_id).await.unwrap().unwrap();
        assert_eq!(ProjectId(task.project_id), tale.project_id, "{user:?}");
    }
}
