//! The topics: their names, and making them when they are missing. Existing topics are never altered.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;
use tokio_util::sync::CancellationToken;

use super::{KafkaConfig, clients, errors};
use crate::Error;

/// Longest wait of one look at a topic, and so for how long a stop may go unnoticed.
const LOOK: Duration = Duration::from_secs(1);

/// Names of the log's topics.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    pub events: String,
    pub output: String,
    pub snapshots: String,
    pub dead_letter: String,
}

impl Topics {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            events: format!("{prefix}.events"),
            output: format!("{prefix}.agent-output"),
            snapshots: format!("{prefix}.snapshots"),
            dead_letter: format!("{prefix}.dead-letter"),
        }
    }

    fn all(&self) -> [&str; 4] {
        [&self.events, &self.output, &self.snapshots, &self.dead_letter]
    }
}

/// Makes the topics that are missing, and refuses those that have another number of partitions than configured.
pub(super) async fn ensure(config: &KafkaConfig, topics: &Topics) -> Result<(), Error> {
    let count = i32::try_from(config.partitions).ok().filter(|count| *count > 0);
    let count =
        count.ok_or_else(|| Error::Config { reason: format!("a log cannot have {} partitions", config.partitions) })?;
    let admin: AdminClient<DefaultClientContext> =
        clients::base(config).create().map_err(|error| errors::configuration(&error))?;
    let retention = config.output_retention_ms.to_string();
    let replicas = i32::from(config.replication_factor);
    let new = |name| NewTopic::new(name, count, TopicReplication::Fixed(replicas));
    let wanted = [
        new(&topics.events).set("cleanup.policy", "delete").set("retention.ms", "-1").set("retention.bytes", "-1"),
        new(&topics.output).set("cleanup.policy", "delete").set("retention.ms", &retention),
        // What is old goes when a segment is full, and a snapshot fills one sooner than events do.
        new(&topics.snapshots).set("cleanup.policy", "compact").set("segment.bytes", "134217728"),
        new(&topics.dead_letter).set("cleanup.policy", "delete").set("retention.ms", "-1"),
    ];
    let options = AdminOptions::new()
        .request_timeout(Some(config.request_timeout()))
        .operation_timeout(Some(config.request_timeout()));
    let created = admin.create_topics(&wanted, &options).await;
    for result in created.map_err(|error| Error::unavailable("creating topics", error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) if errors::says_refused(code) => {
                return Err(Error::Config { reason: format!("creating topic {topic}: {code}") });
            }
            Err((topic, code)) => return Err(Error::unavailable(&format!("creating topic {topic}"), code)),
        }
    }
    let (topics, deadline) = (topics.clone(), Instant::now() + config.request_timeout());
    let given_up = CancellationToken::new();
    let _giving_up = given_up.clone().drop_guard();
    clients::blocking(move || await_topics(&admin, &topics, count, deadline, &given_up)).await
}

/// Waits until every topic is known with a leader for each partition: a topic just made is not at once.
fn await_topics(
    admin: &AdminClient<DefaultClientContext>,
    topics: &Topics,
    count: i32,
    deadline: Instant,
    given_up: &CancellationToken,
) -> Result<(), Error> {
    for topic in topics.all() {
        loop {
            let missing = match admin.inner().fetch_metadata(Some(topic), LOOK) {
                Ok(metadata) => {
                    let topic = metadata.topics().first();
                    let partitions = topic.map(MetadataTopic::partitions).unwrap_or_default();
                    let led = partitions.iter().filter(|partition| partition.leader() >= 0).count();
                    match i32::try_from(partitions.len()).unwrap_or(i32::MAX) {
                        found if found == count && led == partitions.len() => break,
                        found if found == count => format!("{led} of {count} partitions have a leader"),
                        0 => "it is not known yet".to_owned(),
                        found => return Err(other_number(count, found, metadata.topics())),
                    }
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline || given_up.is_cancelled() {
                return Err(Error::unavailable(&format!("metadata of topic {topic}"), missing));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn other_number(count: i32, found: i32, topics: &[MetadataTopic]) -> Error {
    let topic = topics.first().map_or("", MetadataTopic::name);
    Error::Config { reason: format!("{count} partitions are configured, and topic {topic} has {found}") }
}
