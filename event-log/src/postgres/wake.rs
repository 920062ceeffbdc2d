//! Wake-up calls: within the process at once, to other processes by `NOTIFY`.
//!
//! `NOTIFY` is sent after the append, in a transaction of its own and for many appends at once: inside it, Postgres
//! would let only one appending transaction of the whole database commit at a time. It must never carry data.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::Error;
use crate::tail::Wakers;

const CHANNEL: &str = "muster_log";

/// Which log, and which partition of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Written {
    Events(u32),
    Output(u32),
    Members,
}

pub(super) struct Wake {
    pub events: Arc<Wakers>,
    pub output: Arc<Wakers>,
    /// One, for all members of the log.
    pub members: Arc<Wakers>,
    written: mpsc::Sender<Written>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Wake {
    pub(super) async fn start(pool: PgPool, partitions: u32) -> Result<Self, Error> {
        let events = Arc::new(Wakers::new(partitions));
        let output = Arc::new(Wakers::new(partitions));
        let members = Arc::new(Wakers::new(1));
        let failed = |error| Error::unavailable("LISTEN muster_log", error);
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed)?;
        listener.listen(CHANNEL).await.map_err(failed)?;
        let me = Uuid::new_v4().simple().to_string();
        let (written, queue) = mpsc::channel(1024);
        let listening = tokio::spawn(listen(
            listener,
            me.clone(),
            [Arc::clone(&events), Arc::clone(&output), Arc::clone(&members)],
        ));
        let notifying = tokio::spawn(notify(pool, me, queue));
        let tasks = [AbortOnDropHandle::new(listening), AbortOnDropHandle::new(notifying)];
        Ok(Self { events, output, members, written, _tasks: tasks })
    }

    pub(super) fn events_written(&self, partition: u32) {
        self.events.wake(partition);
        self.tell(Written::Events(partition));
    }

    pub(super) fn output_written(&self, partition: u32) {
        self.output.wake(partition);
        self.tell(Written::Output(partition));
    }

    /// A full queue loses the call; the readers' own polling stands behind it.
    fn tell(&self, written: Written) {
        if self.written.try_send(written).is_err() {
            tracing::trace!(?written, "a wake-up call for other processes was lost");
        }
    }
}

async fn notify(pool: PgPool, me: String, mut queue: mpsc::Receiver<Written>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, 1024).await > 0 {
        let distinct: BTreeSet<_> = batch.drain(..).collect();
        let payloads: Vec<_> = distinct.iter().map(|written| payload(&me, *written)).collect();
        let sent = sqlx::query("SELECT pg_notify($1, payload) FROM UNNEST($2::text[]) AS payload")
            .bind(CHANNEL)
            .bind(payloads)
            .execute(&pool)
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "readers in other processes are not woken and will poll");
        }
    }
}

/// Wakes every member when the transaction is committed, this process's own included.
pub(super) async fn members_changed(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(payload("everyone", Written::Members))
        .execute(connection)
        .await
        .map(drop)
}

async fn listen(mut listener: PgListener, me: String, wakers: [Arc<Wakers>; 3]) {
    let [events, output, members] = &wakers;
    loop {
        match listener.try_recv().await {
            Ok(Some(notification)) => match parse(notification.payload()) {
                Some((sender, _)) if sender == me => {}
                Some((_, Written::Events(partition))) => events.wake(partition),
                Some((_, Written::Output(partition))) => output.wake(partition),
                Some((_, Written::Members)) => members.wake(0),
                None => {}
            },
            // The connection was lost, and calls may have been with it; the next call connects anew.
            Ok(None) => wakers.iter().for_each(|wakers| wakers.wake_all()),
            Err(error) => {
                tracing::warn!(%error, "no notifications from the log's database; subscriptions poll");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
}

fn payload(sender: &str, written: Written) -> String {
    match written {
        Written::Events(partition) => format!("{sender} e {partition}"),
        Written::Output(partition) => format!("{sender} o {partition}"),
        Written::Members => format!("{sender} m 0"),
    }
}

fn parse(payload: &str) -> Option<(&str, Written)> {
    let mut parts = payload.split(' ');
    let (sender, kind, partition) = (parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    match kind {
        "e" => Some((sender, Written::Events(partition))),
        "o" => Some((sender, Written::Output(partition))),
        "m" => Some((sender, Written::Members)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_returns_from_its_text() {
        for written in [Written::Events(3), Written::Output(11), Written::Members] {
            assert_eq!(parse(&payload("me", written)), Some(("me", written)));
        }
        assert_eq!(parse("something else"), None);
    }
}
