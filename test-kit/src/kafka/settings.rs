//! The settings of a one-node KRaft cluster, and the formatting of its storage.
//!
//! Must never start the broker.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Error, Ports};
use crate::jars::Jars;

/// The text of `server.properties`. A name given twice keeps its last value, so `own` wins.
pub fn text(directory: &Path, ports: &Ports, own: &[(String, String)]) -> String {
    let Ports { broker: port, controller, extra } = ports;
    let (mut listeners, mut advertised, mut protocols) = (String::new(), String::new(), String::new());
    for (index, (listening, told)) in extra.iter().enumerate() {
        let _ = write!(listeners, ",EXTRA{index}://127.0.0.1:{listening}");
        let _ = write!(advertised, ",EXTRA{index}://127.0.0.1:{told}");
        let _ = write!(protocols, ",EXTRA{index}:PLAINTEXT");
    }
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
",
        directory.join("data").display()
    );
    for (name, value) in own {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

/// Prepares the storage once; a storage that is there is left alone.
pub fn format_if_new(directory: &Path, properties: &Path, jars: &Jars) -> Result<(), Error> {
    if directory.join("data/meta.properties").exists() {
        return Ok(());
    }
    let output = jars
        .kafka(&["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster_id(), "--config"])
        .arg(properties)
        .output()
        .map_err(Error::io(jars.java()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Error::Format(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
    }
}

/// Kafka's own form of a random UUID: 22 letters of URL-safe base64, not starting with `-`, which looks like an option.
fn cluster_id() -> String {
    loop {
        let id = URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes());
        if !id.starts_with('-') {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_settings_come_last() {
        let own = [("node.id".to_owned(), "7".to_owned())];
        let text = text(Path::new("/d"), &Ports { broker: 1, controller: 2, extra: Vec::new() }, &own);
        assert!(text.ends_with("node.id=7\n"));
        assert!(text.contains("log.dirs=/d/data\n"));
    }

    #[test]
    fn a_further_listener_tells_its_clients_another_port() {
        let text = text(Path::new("/d"), &Ports { broker: 1, controller: 2, extra: vec![(3, 4), (5, 6)] }, &[]);
        assert!(text.contains(":2,EXTRA0://127.0.0.1:3,EXTRA1://127.0.0.1:5\n"), "{text}");
        assert!(text.contains(":1,EXTRA0://127.0.0.1:4,EXTRA1://127.0.0.1:6\n"), "{text}");
        assert!(text.contains(",EXTRA0:PLAINTEXT,EXTRA1:PLAINTEXT\n"), "{text}");
    }

    #[test]
    fn a_cluster_id_is_one_word_of_22_letters() {
        let id = cluster_id();
        assert_eq!(id.len(), 22);
        assert!(!id.starts_with('-'));
    }
}
