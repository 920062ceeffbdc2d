//! Acknowledged commands, one for each HTTP request, over connections that stay open, against the same requests to the
//! same server with a handler that does nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use muster_client::Client;
use muster_client::domain::event::Event;
use muster_test_kit::Kafka;

use super::board::{Card, cards};
use crate::measure::{Bounds, By, Contestant, compare};
use crate::service::{LogPlace, Programs, Service};
use crate::{Figure, Mix};

/// Name of the scenario.
pub const NAME: &str = "commands, one per request";

/// One figure: `connections` clients at once, whose cards lie in `projects`, on `partitions` partitions.
pub async fn run(
    programs: &Programs,
    kafka: &Kafka,
    (connections, projects, partitions): (usize, usize, u32),
    batch: usize,
    bounds: &Bounds,
) -> anyhow::Result<Vec<Figure>> {
    let prefix = super::prefix();
    let log = LogPlace { kafka, prefix: &prefix, partitions };
    let muster = Service::commands(&programs.command_service, &log).await?;
    let empty = Service::empty(&programs.empty_handler).await?;
    let cards = cards(muster.client(), projects, connections).await?;
    let side = |name, service: &Service| {
        Box::new(Requests {
            name,
            process: service.id(),
            clients: cards.iter().map(|card| (service.client().clone(), card.clone())).collect(),
        })
    };
    let mut contestants: [Box<dyn Contestant>; 2] = [side("Muster", &muster), side("empty handler", &empty)];
    let compared = compare(&mut contestants, &mut Mix::new()?, batch, bounds, By::Total).await;
    let compared =
        compared.with_context(|| format!("the command service's output ends with:\n{}", muster.log_tail()))?;
    let name = format!("{NAME}, {connections} connections, {projects} projects, {partitions} partitions");
    Ok(compared.into_iter().map(|comparison| Figure::new(&name, batch, comparison)).collect())
}

/// Clients that each send one command after the other.
struct Requests {
    name: &'static str,
    process: u32,
    clients: Vec<(Client, Card)>,
}

impl Contestant for Requests {
    fn name(&self) -> &str {
        self.name
    }

    fn process(&self) -> Option<u32> {
        Some(self.process)
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        let share = batch.len().div_ceil(self.clients.len());
        async move {
            let start = Instant::now();
            let clients = std::mem::take(&mut self.clients).into_iter().map(|(client, mut card)| {
                tokio::spawn(async move {
                    for _ in 0..share {
                        client.execute(&card.change(), None).await?;
                    }
                    anyhow::Ok((client, card))
                })
            });
            let done = try_join_all(clients).await?;
            let took = start.elapsed();
            self.clients = done.into_iter().collect::<anyhow::Result<_>>()?;
            Ok(took)
        }
        .boxed()
    }
}
