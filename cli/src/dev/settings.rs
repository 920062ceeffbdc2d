//! The configuration of the one process: what the user configured, with the parts it starts itself filled in.

use muster_service_kit::Config;
use muster_service_kit::config::{Loader, LogKind, Secret, TokenConfig};
use serde_json::json;

use super::servers::{Servers, client_security};
use crate::args::DevArgs;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};

/// The services' own user, who acts for others.
const SERVICE_USER: &str = "muster";

/// Files, variables and flags, above what suits a development server.
pub fn load(args: &DevArgs) -> Result<Config> {
    let defaults = json!({
        // A slow machine is no news to its owner.
        "telemetry": { "log_level": "warn,sqlx=error" },
        // Whoever runs this may start any program anyway.
        "runner": { "allow_command_agents": true },
        // An open dashboard should not hold up the stop, and there is nobody to go to.
        "http": { "shutdown_grace_ms": 1_000, "drain_ms": 0 },
    });
    let flags = json!({ "http": { "port": args.port, "host": args.host } });
    let loader = Loader::standard().service_defaults(defaults).flags(flags);
    loader.load().map_err(|error| Error::Usage(error.to_string()))
}

/// Fills in addresses and tokens. `url` is where this process serves.
pub fn complete(config: &mut Config, url: &str, servers: &Servers, data: &DataDir) -> Result {
    let database = Secret::new(servers.database());
    config.read_store.url = Some(database.clone());
    if let Some((bootstrap, registry_url)) = servers.kafka() {
        config.log.kind = LogKind::Kafka;
        config.log.kafka.bootstrap = bootstrap;
        config.log.kafka.registry_url = registry_url;
        let security = client_security(&data.ensure_kafka_password()?);
        config.log.kafka.extra.extend(security.map(|(name, value)| (name.to_owned(), Secret::new(value))));
    } else {
        config.log.kind = LogKind::Postgres;
        config.log.postgres_url = Some(database);
    }
    let user_token = data.ensure_token()?;
    let service_token = data.ensure_service_token()?;
    config.auth.tokens.push(token(&user_token, &user_name(), false));
    config.auth.tokens.push(token(&service_token, SERVICE_USER, true));
    url.clone_into(&mut config.query.command_url);
    config.query.command_token = Some(Secret::new(&service_token));
    url.clone_into(&mut config.runner.command_url);
    config.runner.token = Some(Secret::new(&service_token));
    config.runner.data_dir = data.runner();
    // Tokens, the log and the read model are no business of an agent's.
    config.runner.hidden_dirs.extend([data.root().to_owned(), servers.postgres_folder().clone()]);
    let token_files = config.auth.tokens.iter().filter_map(|token| token.token_file.clone());
    config.runner.hidden_dirs.extend(token_files);
    Ok(())
}

fn token(token: &str, user: &str, admin: bool) -> TokenConfig {
    TokenConfig { token: Some(Secret::new(token)), token_file: None, user: user.to_owned(), admin }
}

/// The name of whoever started this, for what they do through it.
fn user_name() -> String {
    let name = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    match name.trim() {
        "" | SERVICE_USER => "you".to_owned(),
        name => name.to_owned(),
    }
}
