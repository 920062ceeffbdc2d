//! The projection's write path, from events to committed rows, against binary `COPY` of the history's rows alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use muster_client::domain::event::Event;
use muster_read_store::ReadStore;
use muster_read_store::limits::{BareCopy, CopyData, Indexes};

use crate::measure::{Bounds, By, Contestant, compare};
use crate::{Figure, Mix};

/// Name of the scenario.
pub const NAME: &str = "project";
const PARTITION: u32 = 0;

/// Two figures for each of `batches`, in the database at `url`, which the limits reach by `limit_url`.
pub async fn run(url: &str, limit_url: &str, batches: &[usize], bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let store = ReadStore::connect(url, 4).await?;
    let bare = |name, indexes| async move {
        anyhow::Ok(Box::new(Bare { name, copy: BareCopy::connect(limit_url, indexes).await? }) as Box<dyn Contestant>)
    };
    let mut contestants: [Box<dyn Contestant>; 3] = [
        Box::new(Projection { store, next_offset: 0 }),
        bare("COPY, same indexes", Indexes::AsTheHistory).await?,
        bare("COPY, no index", Indexes::None).await?,
    ];
    let mut mix = Mix::new()?;
    let mut figures = Vec::new();
    for batch in batches {
        let compared = compare(&mut contestants, &mut mix, *batch, bounds, By::Total).await?;
        figures.extend(compared.into_iter().map(|comparison| Figure::new(NAME, *batch, comparison)));
    }
    Ok(figures)
}

struct Projection {
    store: ReadStore,
    next_offset: i64,
}

impl Contestant for Projection {
    fn name(&self) -> &'static str {
        "Muster"
    }

    fn process(&self) -> Option<u32> {
        Some(std::process::id())
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let records: Vec<_> = (self.next_offset..).zip(batch.iter().cloned()).collect();
            self.next_offset = records.last().map_or(self.next_offset, |(offset, _)| offset + 1);
            let start = Instant::now();
            let applied = self.store.apply_batch(PARTITION, &records, self.next_offset).await?;
            let took = start.elapsed();
            anyhow::ensure!(applied.events == batch.len(), "the projection applied fewer events than it was given");
            Ok(took)
        }
        .boxed()
    }
}

struct Bare {
    name: &'static str,
    copy: BareCopy,
}

impl Contestant for Bare {
    fn name(&self) -> &str {
        self.name
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let data = CopyData::of(batch)?;
            Ok(self.copy.append(&data).await?)
        }
        .boxed()
    }
}
