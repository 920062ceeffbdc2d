//! What every key means, and the page that shows it. It must never repeat a default: defaults come from [`Config`].

use std::fmt::Write;

use serde_json::Value as Json;

use super::environment::variable_name;
use super::load::shape;

/// One key and what it means, unit included.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Dotted, as in `http.port`.
    pub key: &'static str,
    /// One sentence for the reader who sets it.
    pub meaning: &'static str,
}

macro_rules! reference {
    ($($key:literal: $meaning:literal,)+) => {
        /// Every key there is, in the order of the page.
        pub const REFERENCE: &[Entry] = &[$(Entry { key: $key, meaning: $meaning },)+];
    };
}

reference! {
    "http.host": "Address to listen on.",
    "http.port": "TCP port to listen on; 0 takes a free one. The command service starts from 4401 instead.",
    "http.max_connections": "Connections a process answers at the same time; whoever comes beyond it waits until one ends. The system is asked to allow the process that many open files, and 1,024 for its own; where it allows fewer, fewer connections are answered.",
    "http.tcp_user_timeout_ms": "How long a client may leave what it was sent unacknowledged, or take nothing of it, in milliseconds; then its connection ends and others have its place. A client that is silent is asked by TCP keepalive whether it is still there, three times in that time. 0 leaves both to the system, which gives a vanished client up after some 15 minutes and never one that only stopped reading.",
    "http.max_body_bytes": "Largest request body, in bytes. A larger one is `body_too_large`.",
    "http.body_timeout_ms": "Longest time until a request's body has arrived, in milliseconds. Beyond it: `body_timeout`.",
    "http.header_timeout_ms": "Longest time an open connection may take until the headers of its next request have arrived, in milliseconds; a connection that idles for as long is closed. Keep it above what clients keep idle connections for.",
    "http.request_timeout_ms": "Longest time until an answer begins, in milliseconds; a stream that has begun is not cut. Beyond it: `request_timeout`.",
    "http.drain_ms": "How long a service that was told to stop still takes requests, in milliseconds, once it has handed over what it owned; 0 for not at all. `/readyz` says no meanwhile, and every answer closes its connection, so that callers go elsewhere by themselves. Make it longer than a load balancer takes to notice, and than clients leave a connection idle between two requests. `muster dev` does without.",
    "http.shutdown_grace_ms": "How long open requests and streams may finish after a stop signal, in milliseconds.",
    "http.tls.cert_file": "PEM file with the certificate chain. With `http.tls.key_file`, HTTP is served over TLS.",
    "http.tls.key_file": "PEM file with the private key of the certificate.",
    "startup.patience_ms": "How long a service waits at its start for the servers it needs (log, schema registry, read store), in milliseconds; 0 waits for as long as it takes. Meanwhile `/healthz` answers and `/readyz` says what is waited for. What waiting cannot mend, such as a wrong password, ends the process at once.",
    "log.kind": "`postgres` (embedded default), `kafka`, or `memory` (gone when the process ends).",
    "log.postgres_url": "`postgres://user:password@host:port/database` of the log when `log.kind` is `postgres`; `?sslmode=verify-full` for TLS.",
    "log.postgres_request_timeout_ms": "How long the log's database may take to answer, in milliseconds. An append that takes longer has an unknown outcome, and the partition is taken over anew to learn it.",
    "log.postgres_lock_timeout_ms": "How long a connection of a predecessor may keep a partition locked, or stay silent within a transaction, in milliseconds. After that it is ended.",
    "log.give_back_timeout_ms": "How long a command service that gives a partition to another may take to finish with it, in milliseconds. After that the other takes it all the same.",
    "log.kafka.bootstrap": "Kafka brokers, `host:port` separated by commas.",
    "log.kafka.registry_url": "Schema registry with the Confluent-compatible API.",
    "log.kafka.topic_prefix": "Topics are named `<prefix>.events` and so on.",
    "log.kafka.partitions": "Partitions of the event topic, fixed for life once it exists.",
    "log.kafka.replication_factor": "Copies of each partition when topics are created.",
    "log.kafka.transaction_timeout_ms": "After this many milliseconds the broker aborts a transaction whose writer went silent.",
    "log.kafka.stall_timeout_ms": "A Kafka client that does not notice in this many milliseconds what there is, is replaced. Counted in `muster_log_client_stalls_total`.",
    "log.kafka.extra": "Table passed to librdkafka as it is (`security.protocol`, `sasl.mechanism`, `ssl.ca.location`, …). In variables write `_` for `.`.",
    "read_store.url": "`postgres://…` of the read models.",
    "read_store.max_connections": "Largest number of connections this process opens to the read store, beside one on which it hears of new rows.",
    "auth.tokens": "List of bearer tokens: `{ token = \"…\" or token_file = \"…\", user = \"…\", admin = false }`. Without one, every call is `unauthenticated`.",
    "auth.instance_token": "What instances of the command service know each other by: the same secret in each, of at least 16 bytes, and nobody's token. A process of its own whose log others may share (`kafka`, `postgres`) does not start without it; `muster dev` is alone and needs none.",
    "command.mailbox_capacity": "Commands that may wait per partition; beyond it a command is `overloaded`.",
    "command.mailbox_max_bytes": "Bytes of the commands, as JSON, that a partition has taken in and not answered yet: those that wait, those that are decided and those that are being written. Beyond it a command is `overloaded`; one that is larger than that is taken when there is no other.",
    "command.requests_max_bytes": "Bytes of the bodies that all requests of an instance together hold until they are answered, whatever they wait for; beyond it a request is `overloaded`.",
    "command.batch_max_events": "Most events in one append to the log.",
    "command.title_max_bytes": "Longest title, in bytes of UTF-8.",
    "command.description_max_bytes": "Longest description, in bytes of UTF-8.",
    "command.idempotency_window": "How many of a project's latest command ids are remembered, so that a repeated command gets its first answer. Each takes some 220 bytes of memory.",
    "command.idempotency_partition_window": "How many of those are remembered at most in all projects of a partition together: beyond it the oldest are forgotten, whichever project's they are, and a project may remember fewer than `command.idempotency_window`. It bounds the memory of a partition.",
    "command.snapshot_every_events": "Events of a partition after which a snapshot of its state is kept, so that another instance takes it over without reading the whole history; 0 keeps none. Large partitions wait for more events.",
    "command.finished_tasks_in_memory": "How many finished tasks of a project stay in memory, the newest; others are read from the log when a command is about them. 0 keeps all.",
    "command.finished_task_reads_max": "How many of them are read from the log at the same time, by all partitions of an instance together; others wait their turn, so that appends need not.",
    "command.lease_default_ms": "Lease of a claim that names no duration, in milliseconds.",
    "command.lease_max_ms": "Longest lease a claim may ask for, in milliseconds.",
    "command.advertised_url": "Where other instances of the command service reach this one; by default the address it listens on, which must then be one that others can reach.",
    "command.session_timeout_ms": "An instance that was silent for this many milliseconds loses its partitions to the others.",
    "command.handover_patience_ms": "How long a request waits for a partition that changes hands or reads its history, in milliseconds. Beyond it: `unavailable`.",
    "command.max_forwards": "Requests this instance passes on to other instances at the same time; beyond it a request is `overloaded`.",
    "command.claim_poll_ms": "How often, at most, a waiting claim asks another instance that says it has work, in milliseconds. One that has none keeps the question until there is some.",
    "command.peer_timeout_ms": "How long another instance of the command service may take to say what it knows of a claim or a task, in milliseconds. One that takes longer is left out for as long again.",
    "projector.batch_max_events": "Most events in one transaction of the read store.",
    "projector.batch_max_wait_ms": "How long a batch that is not full waits for more events, in milliseconds; 0 takes what is there. Waiting makes larger batches and later subscribers.",
    "projector.health_port": "TCP port of the projector's health and metrics; 0 takes a free one.",
    "query.max_complexity": "Largest complexity of a GraphQL operation. Beyond it: `query_too_complex`.",
    "query.max_depth": "Deepest nesting of a GraphQL operation.",
    "query.max_aliases": "Most aliases in a GraphQL operation.",
    "query.page_size_default": "Rows of a page when the query names no number.",
    "query.page_size_max": "Most rows of a page a query may ask for.",
    "query.min_position_timeout_ms": "How long a query waits for its `min_position`, in milliseconds. Beyond it: `position_not_reached`.",
    "query.command_url": "Where mutations are forwarded.",
    "query.command_token": "Bearer token for the command service; its principal must be an admin there, as it acts for the caller.",
    "query.subscriber_buffer": "Events of a project held in memory for its subscribers; a slower one reads the history until it has caught up.",
    "query.sse_heartbeat_s": "Seconds between heartbeats of an event stream.",
    "query.sse_connection_timeout_m": "Minutes after which an event stream is closed; the client reconnects and resumes.",
    "query.sse_max_connections_per_user": "Event streams one user may hold open. Beyond it: `too_many_connections`.",
    "query.socket_max_operations": "GraphQL operations under way on one WebSocket. Beyond it: `too_many_connections`.",
    "runner.data_dir": "Directory of worktrees, session data and artifacts.",
    "runner.command_url": "Where the runner sends commands.",
    "runner.token": "Bearer token of the runner.",
    "runner.max_concurrent_sessions": "Agents at work at the same time.",
    "runner.heartbeat_ms": "Milliseconds between heartbeats; at most half of `runner.lease_ms`.",
    "runner.lease_ms": "Lease the runner asks for, in milliseconds; heartbeats renew it.",
    "runner.agent_timeout_ms": "Longest life of one agent process, in milliseconds.",
    "runner.agent_silence_timeout_ms": "An agent that says nothing for this many milliseconds is stopped.",
    "runner.output_line_max_bytes": "Longer lines of agent output are cut at this many bytes.",
    "runner.sandbox": "`auto` (bubblewrap, or the kernel's own means), `bubblewrap`, or `none` (agents have the runner's rights).",
    "runner.hidden_dirs": "Directories (or files) the sandbox hides from agents and checks, a session's own folders and the repository apart: name those that hold tokens. `runner.data_dir`, homes and the folders of configuration files are always hidden; `muster dev` adds its data directory.",
    "runner.roles": "Roles this runner takes work for.",
    "runner.allow_command_agents": "Whether a project may name any command line as its agent.",
    "telemetry.log_level": "`error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,muster_projector=debug`.",
    "telemetry.log_format": "`text` or `json`, one line per event on standard error.",
}

const INTRODUCTION: &str = "\
# Configuration

Every Muster process reads the same configuration. Layers, each above the one before:

1. the defaults below;
2. `~/.config/muster/config.toml` (or `$XDG_CONFIG_HOME/muster/config.toml`);
3. `./.muster/config.toml`, relative to the working directory;
4. variables: `MUSTER_`, then the key with `__` for each dot, as in `MUSTER_HTTP__PORT=8080`;
5. flags of the command.

A key that is not listed here is an error that names the key and where it came from, so a misspelt key cannot pass
unseen. Text in a variable is taken as it is; lists may be written `a,b` or `[\"a\", \"b\"]`, tables `{ key = \"value\" }`.
Durations and sizes carry their unit in the key: `_ms` milliseconds, `_s` seconds, `_m` minutes, `_bytes` bytes.

`MUSTER_URL` and `MUSTER_TOKEN` tell a client where to call and as whom, `MUSTER_DATA_DIR` where `muster dev` keeps its
data. `MUSTER_CACHE_DIR`, `MUSTER_PG_BIN` and `MUSTER_TEST_*` belong to building and testing; `MUSTER_TASK_FILE`,
`MUSTER_OUT_DIR`, `MUSTER_ROLE`, `MUSTER_TASK_ID`, `MUSTER_RUN_ID`, `MUSTER_SESSION_ID` and `MUSTER_ITERATION` are what an
agent is told of its work. None of them is configuration, and none is an error. Kubernetes injects
variables such as `MUSTER_API_PORT` for a service named `muster-api`: set `enableServiceLinks: false` on the pod.

```toml
# .muster/config.toml
[log]
kind = \"kafka\"

[log.kafka]
bootstrap = \"broker-1:9093,broker-2:9093\"
replication_factor = 3

[log.kafka.extra]
\"security.protocol\" = \"SSL\"
\"ssl.ca.location\" = \"/etc/muster/ca.pem\"

[[auth.tokens]]
token_file = \"/etc/muster/token\"
user = \"alice\"
admin = true
```
";

/// The whole of `docs/configuration.md`: introduction, then one table per section.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    write_tables(&mut page).expect("writing to a String does not fail");
    page
}

fn write_tables(page: &mut String) -> std::fmt::Result {
    let defaults = shape();
    let mut section = "";
    for Entry { key, meaning } in REFERENCE {
        let path: Vec<_> = key.split('.').collect();
        if path[0] != section {
            section = path[0];
            write!(page, "\n## {section}\n\n| key, variable | default | meaning |\n|---|---|---|\n")?;
        }
        let default = path.iter().try_fold(&defaults, |node, part| node.get(part)).map_or_else(String::new, show);
        writeln!(page, "| `{key}`<br>`{}` | {default} | {meaning} |", variable_name(&path))?;
    }
    Ok(())
}

fn show(default: &Json) -> String {
    match default {
        Json::Null => "none".to_owned(),
        Json::String(text) => format!("`{text}`"),
        Json::Array(items) if !items.is_empty() => items.iter().map(show).collect::<Vec<_>>().join(", "),
        Json::Array(_) | Json::Object(_) => "empty".to_owned(),
        other => format!("`{other}`"),
    }
}

/// Every key of the defaults, dotted: what the page must show, no more and no less.
#[cfg(test)]
fn leaf_keys(node: &Json, path: &str, keys: &mut std::collections::BTreeSet<String>) {
    match node.as_object() {
        Some(map) if !map.is_empty() => {
            for (key, child) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaf_keys(child, &path, keys);
            }
        }
        _ => {
            keys.insert(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{REFERENCE, leaf_keys, shape};

    #[test]
    fn every_key_is_explained_once_and_no_other() {
        let mut keys = BTreeSet::new();
        leaf_keys(&shape(), "", &mut keys);

        let explained: Vec<_> = REFERENCE.iter().map(|entry| entry.key.to_owned()).collect();

        assert_eq!(explained.iter().cloned().collect::<BTreeSet<_>>(), keys);
        assert_eq!(explained.len(), keys.len(), "a key is explained twice");
    }
}
