//! From a command over HTTP to its event at a GraphQL subscriber, one at a time, against a bare round trip through Kafka
//! and one through Postgres.
//!
//! Between the two lie: HTTP, the decision, the log, the projection's transaction, its notification, the query service's
//! read, and the WebSocket.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use muster_client::api::CommandRequest;
use muster_client::domain::command::{CreateProject, CreateTask, UpdateTask};
use muster_client::domain::event::Event;
use muster_client::domain::id::{ProjectId, TaskId};
use muster_client::domain::model::{Complexity, Priority, ProjectSettings};
use muster_client::{Client, EventStream};
use muster_event_log::limits::Record;
use muster_event_log::limits::kafka::{self, create_topic};
use muster_event_log::limits::postgres;
use serde_json::{Value, json};

use crate::dev::{Dev, Log};
use crate::measure::{Bounds, By, Contestant, compare};
use crate::{Figure, Mix};

const TOPIC: &str = "muster-limits";
const PROJECT: &str =
    "query Project($id: ID!, $minPosition: Int) { project(id: $id, minPosition: $minPosition) { id } }";
/// Longest wait for one event; reached only when something is broken.
const DEADLINE: Duration = Duration::from_secs(30);

/// Two figures: the way of a command's event, beside both round trips. `bootstrap` is the limits' broker, `url` their
/// database; the product brings its own.
pub async fn run(muster: &Path, log: Log, bootstrap: &str, url: &str, bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let dev = Dev::start(muster, log).await?;
    let name = match log {
        Log::Embedded => "command to subscriber, embedded",
        Log::Kafka => "command to subscriber, Kafka",
    };
    create_topic(bootstrap, TOPIC).await?;
    let broker = bootstrap.to_owned();
    let connect = move || kafka::BareRoundTrip::connect(&broker, TOPIC, "muster-limits");
    let mut contestants: [Box<dyn Contestant>; 3] = [
        Box::new(Subscriber::new(&dev).await?),
        Box::new(ThroughKafka(tokio::task::spawn_blocking(connect).await??)),
        Box::new(ThroughPostgres(postgres::BareRoundTrip::connect(url).await?)),
    ];
    let compared = compare(&mut contestants, &mut Mix::new()?, 1, bounds, By::Median).await;
    let compared = compared.with_context(|| format!("muster dev, whose output ends with:\n{}\n", dev.log_tail()))?;
    Ok(compared.into_iter().map(|comparison| Figure::new(name, 1, comparison)).collect())
}

/// One card whose title is changed again and again, and a subscriber to its project.
struct Subscriber {
    process: u32,
    client: Client,
    events: EventStream,
    project_id: ProjectId,
    task_id: TaskId,
    position: u64,
}

impl Subscriber {
    async fn new(dev: &Dev) -> anyhow::Result<Self> {
        let client = dev.client().clone();
        let project = CreateProject {
            name: "Loadtest".to_owned(),
            repository_path: dev.repository()?,
            default_branch: "main".to_owned(),
            // No agent shall take the card.
            settings: ProjectSettings { auto_dispatch: false, ..ProjectSettings::default() },
        };
        let project_id = client.create_project(project, None).await?.project_id;
        let task = CreateTask {
            task_id: None,
            title: "A title".to_owned(),
            description: String::new(),
            acceptance_criteria: Vec::new(),
            priority: Priority::Medium,
            complexity: Complexity::M,
            blocked_by: Vec::new(),
            interactive: false,
        };
        let created = client.create_task(project_id, task, None).await?;
        let task_id = created.task_id.context("a card was created")?;
        // Until the project is projected, its subscribers are refused as those of any project that does not exist.
        let variables = json!({ "id": project_id, "minPosition": created.position });
        let _there: Value = client.query(PROJECT, variables).await?;
        let mut events = client.events(project_id, 0);
        for _ in 0..created.position {
            next(&mut events).await?;
        }
        Ok(Self { process: dev.id(), client, events, project_id, task_id, position: created.position })
    }

    /// How far an event that did not come has got.
    async fn where_it_stands(&mut self) -> String {
        let variables = json!({ "id": self.project_id, "minPosition": self.position });
        let projected = match self.client.query::<Value>(PROJECT, variables).await {
            Ok(_) => "is projected".to_owned(),
            Err(error) => format!("is not projected ({error})"),
        };
        let seen = match next(&mut self.client.events(self.project_id, self.position - 1)).await {
            Ok(_) => "a new subscriber gets it".to_owned(),
            Err(error) => format!("a new subscriber does not get it ({error:#})"),
        };
        format!("event {} {projected}; {seen}", self.position)
    }
}

impl Contestant for Subscriber {
    fn name(&self) -> &'static str {
        "Muster"
    }

    fn process(&self) -> Option<u32> {
        Some(self.process)
    }

    fn work<'a>(&'a mut self, _batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            self.position += 1;
            let update = UpdateTask {
                task_id: self.task_id,
                title: Some(format!("Title {}", self.position)),
                description: None,
                priority: None,
                complexity: None,
                acceptance_criteria: None,
            };
            let request = CommandRequest::new(self.project_id, update);
            let start = Instant::now();
            let seen = async {
                let event = next(&mut self.events).await.with_context(|| format!("position {}", self.position))?;
                anyhow::Ok((event, start.elapsed()))
            };
            // The event may come before the answer.
            let (outcome, seen) = tokio::join!(self.client.execute(&request, None), seen);
            anyhow::ensure!(outcome?.position == self.position, "the command made another event than one");
            let (event, took) = match seen {
                Ok(seen) => seen,
                Err(error) => return Err(error.context(self.where_it_stands().await)),
            };
            anyhow::ensure!(event.position == self.position, "another event came");
            Ok(took)
        }
        .boxed()
    }
}

async fn next(events: &mut EventStream) -> anyhow::Result<Event> {
    let event = tokio::time::timeout(DEADLINE, events.next()).await.context("no event came in time")?;
    Ok(event.context("the subscription ended")??)
}

struct ThroughKafka(kafka::BareRoundTrip);

impl Contestant for ThroughKafka {
    fn name(&self) -> &'static str {
        "Kafka round trip"
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let record = Record::of(batch.first().context("a batch has an event")?)?;
            Ok(tokio::task::block_in_place(|| self.0.measure(&record))?)
        }
        .boxed()
    }
}

struct ThroughPostgres(postgres::BareRoundTrip);

impl Contestant for ThroughPostgres {
    fn name(&self) -> &'static str {
        "Postgres round trip"
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let record = Record::of(batch.first().context("a batch has an event")?)?;
            Ok(self.0.measure(&record).await?)
        }
        .boxed()
    }
}
