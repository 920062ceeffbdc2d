//! One command at a time over HTTP, against one bare transaction of the same record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt;
use futures::future::BoxFuture;
use muster_client::Client;
use muster_client::domain::event::Event;
use muster_event_log::limits::Record;
use muster_event_log::limits::kafka::{BareProducer, create_topic};
use muster_test_kit::Kafka;

use super::board::{Card, cards};
use crate::measure::{Bounds, By, Contestant, compare};
use crate::service::{LogPlace, Programs, Service};
use crate::{Figure, Mix};

/// Name of the scenario.
pub const NAME: &str = "a lone command";

/// One figure.
pub async fn run(programs: &Programs, kafka: &Kafka, bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let prefix = super::prefix();
    let log = LogPlace { kafka, prefix: &prefix, partitions: 1 };
    let muster = Service::commands(&programs.command_service, &log).await?;
    let mut card = cards(muster.client(), 1, 1).await?.remove(0);
    muster.client().execute(&card.change(), None).await?;
    let record = super::records(&log, 1).await?.remove(0);
    let topic = format!("{prefix}-limits");
    create_topic(&kafka.bootstrap, &topic).await?;
    let bootstrap = kafka.bootstrap.clone();
    let bare = tokio::task::spawn_blocking(move || BareProducer::connect(&bootstrap, &topic, &topic)).await??;
    let mut contestants: [Box<dyn Contestant>; 2] = [
        Box::new(Lone { process: muster.id(), client: muster.client().clone(), card }),
        Box::new(Bare { producer: bare, record }),
    ];
    let compared = compare(&mut contestants, &mut Mix::new()?, 1, bounds, By::Median).await;
    let compared =
        compared.with_context(|| format!("the command service's output ends with:\n{}", muster.log_tail()))?;
    Ok(compared.into_iter().map(|comparison| Figure::new(NAME, 1, comparison)).collect())
}

struct Lone {
    process: u32,
    client: Client,
    card: Card,
}

impl Contestant for Lone {
    fn name(&self) -> &'static str {
        "Muster"
    }

    fn process(&self) -> Option<u32> {
        Some(self.process)
    }

    fn work<'a>(&'a mut self, _batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let request = self.card.change();
            let start = Instant::now();
            self.client.execute(&request, None).await?;
            Ok(start.elapsed())
        }
        .boxed()
    }
}

struct Bare {
    producer: BareProducer,
    record: Record,
}

impl Contestant for Bare {
    fn name(&self) -> &'static str {
        "bare transaction"
    }

    fn work<'a>(&'a mut self, _batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move { Ok(tokio::task::block_in_place(|| self.producer.append(std::slice::from_ref(&self.record)))?) }
            .boxed()
    }
}
