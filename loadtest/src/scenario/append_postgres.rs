//! Appends to the log in Postgres, Avro included, against bare inserts of the same bytes.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use muster_client::domain::event::Event;
use muster_event_log::EventLog;
use muster_event_log::limits::Record;
use muster_event_log::limits::postgres::{BareInsert, Indexes};
use muster_event_log::postgres::{PostgresConfig, PostgresLog};

use super::append_kafka::Log;
use crate::measure::{Bounds, By, Contestant, compare};
use crate::{Figure, Mix};

/// Name of the scenario.
pub const NAME: &str = "append, Postgres";

/// Two figures for each of `batches`, in the database at `url`, which the limits reach by `limit_url`.
pub async fn run(url: &str, limit_url: &str, batches: &[usize], bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let log = PostgresLog::connect(&PostgresConfig { partitions: 1, ..PostgresConfig::new(url) }).await?;
    let bare = |name, indexes| async move {
        anyhow::Ok(
            Box::new(Bare { name, insert: BareInsert::connect(limit_url, indexes).await? }) as Box<dyn Contestant>
        )
    };
    let mut contestants: [Box<dyn Contestant>; 3] = [
        Box::new(Log { writer: log.open_writer(0).await? }),
        bare("bare INSERT, same indexes", Indexes::AsTheLog).await?,
        bare("bare INSERT, no index", Indexes::None).await?,
    ];
    let mut mix = Mix::new()?;
    let mut figures = Vec::new();
    for batch in batches {
        let compared = compare(&mut contestants, &mut mix, *batch, bounds, By::Total).await?;
        figures.extend(compared.into_iter().map(|comparison| Figure::new(NAME, *batch, comparison)));
    }
    Ok(figures)
}

struct Bare {
    name: &'static str,
    insert: BareInsert,
}

impl Contestant for Bare {
    fn name(&self) -> &str {
        self.name
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let records = Record::all(batch)?;
            Ok(self.insert.append(&records).await?)
        }
        .boxed()
    }
}
