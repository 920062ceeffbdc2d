//! A real Postgres: started, used, stopped, started again, and refused where it must be.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test itself does")]

use std::path::Path;
use std::time::Duration;

use muster_test_kit::postgres::{Error, Options, PostgresServer, Purpose};
use muster_test_kit::{eventually, fresh_database, shared, shared_postgres};

fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn sql(server: &PostgresServer, database: &str, sql: &str) -> String {
    server.binaries().psql(&server.url(database), sql).unwrap()
}

#[tokio::test]
async fn kept_data_is_there_after_a_restart_and_needs_the_password() {
    let folder = shared::new_folder("keep");
    let server = PostgresServer::start(Options::keep(&folder)).await.unwrap();
    server.ensure_database("muster").unwrap();
    sql(&server, "muster", "create table t as select 42 as n");
    let wrong = server.url("muster").replace(server.connection("muster").password.as_deref().unwrap(), "wrong");
    assert!(server.binaries().psql(&wrong, "select 1").is_err());
    let pid = server.id();
    server.stop();
    assert!(!runs(pid));

    let server = PostgresServer::start(Options::keep(&folder)).await.unwrap();
    server.ensure_database("muster").unwrap();
    assert_eq!(sql(&server, "muster", "select n from t"), "42");
    assert_eq!(sql(&server, "muster", "show fsync"), "on");
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

/// Set for the copy of this test program that owns a server and is killed.
const OWNED_FOLDER: &str = "MUSTER_TEST_OWNED_FOLDER";

#[tokio::test]
async fn data_is_there_after_the_owner_was_killed() {
    if let Some(folder) = std::env::var_os(OWNED_FOLDER) {
        return own_until_killed(Path::new(&folder)).await;
    }
    let folder = shared::new_folder("killed");
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "data_is_there_after_the_owner_was_killed"])
        .env(OWNED_FOLDER, &folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let written = folder.join("written");
    eventually(Duration::from_mins(1), || async { written.exists() }).await;
    owner.kill().unwrap();
    owner.wait().unwrap();

    // At once: the killed owner's server is still shutting down.
    let server = PostgresServer::start(Options::keep(&folder)).await.unwrap();
    assert_eq!(sql(&server, "postgres", "select n from t"), "42");
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

async fn own_until_killed(folder: &Path) {
    let server = PostgresServer::start(Options::keep(folder)).await.unwrap();
    sql(&server, "postgres", "create table t as select 42 as n");
    std::fs::write(folder.join("written"), "").unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_directory_serves_one_process_at_a_time() {
    let folder = shared::new_folder("held");
    let server = PostgresServer::start(Options::throw_away(&folder)).await.unwrap();
    let second = PostgresServer::start(Options::throw_away(&folder)).await;
    assert!(matches!(second, Err(Error::InUse(_))), "{second:?}");
    assert_eq!(sql(&server, "postgres", "select 1"), "1", "the first is left alone");
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_cluster_that_was_not_finished_is_made_again() {
    let folder = shared::new_folder("unfinished");
    std::fs::create_dir(folder.join("data.unfinished")).unwrap();
    std::fs::write(folder.join("data.unfinished/PG_VERSION"), "15\n").unwrap();
    let server = PostgresServer::start(Options::throw_away(&folder)).await.unwrap();
    assert_eq!(sql(&server, "postgres", "select 1"), "1");
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let folder = shared::new_folder("wrong");
    let mut options = Options::throw_away(&folder);
    options.settings.push(("no_such_setting".to_owned(), "1".to_owned()));
    let Err(Error::NotReady { log_tail, .. }) = PostgresServer::start(options).await else { panic!("it started") };
    assert!(log_tail.contains("no_such_setting"), "{log_tail}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_port_can_be_given_and_settings_reach_the_server() {
    let folder = shared::new_folder("port");
    let [port] = muster_test_kit::ports::free().unwrap();
    let options = Options {
        port: Some(port),
        purpose: Purpose::ThrowAway,
        settings: vec![("work_mem".to_owned(), "7MB".to_owned())],
        ..Options::keep(&folder)
    };
    let server = PostgresServer::start(options).await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(sql(&server, "postgres", "show work_mem"), "7MB");
    server.stop();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn fresh_databases_are_empty_and_apart() {
    let (one, two) = tokio::join!(fresh_database("apart"), fresh_database("apart"));
    assert_ne!(one, two);
    let binaries = muster_test_kit::postgres::Binaries::find().unwrap();
    binaries.psql(&one, "create table t (n int)").unwrap();
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    assert_eq!(binaries.psql(&one, tables).unwrap(), "1");
    assert_eq!(binaries.psql(&two, tables).unwrap(), "0");
    assert!(shared_postgres().await.url.starts_with("postgres://"));
}

#[test]
fn a_directory_under_a_private_one_has_a_lasting_stand_in() {
    let wanted = Path::new("/nowhere-yet/data");
    let usable = muster_test_kit::directory::usable(wanted).unwrap();
    assert_eq!(usable, muster_test_kit::directory::usable(wanted).unwrap());
}
