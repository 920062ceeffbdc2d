//! What `muster dev` says once everything is ready.

use std::path::PathBuf;

use serde::Serialize;

use super::servers::Servers;
use crate::data_dir::DataDir;
use crate::error::Result;
use crate::output::Output;

#[derive(Debug, Serialize)]
pub struct Banner {
    ready: String,
    dashboard: String,
    graphiql: String,
    /// The dashboard, with the token in the part of the address that a browser sends to nobody.
    #[serde(skip)]
    signed_in: String,
    token_file: PathBuf,
    data_dir: PathBuf,
    postgres_dir: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<String>,
    /// Settings for other Kafka clients.
    #[serde(rename = "kafka_client_file", skip_serializing_if = "Option::is_none")]
    client: Option<PathBuf>,
}

impl Banner {
    pub fn new(url: &str, data: &DataDir, servers: &Servers) -> Result<Self> {
        let (kafka, registry) = servers.kafka().unzip();
        Ok(Self {
            ready: url.to_owned(),
            dashboard: format!("{url}/"),
            signed_in: format!("{url}/#token={}", data.ensure_token()?),
            graphiql: format!("{url}/graphiql"),
            token_file: data.token_file(),
            data_dir: data.root().to_owned(),
            postgres_dir: servers.postgres_folder().clone(),
            client: kafka.is_some().then(|| data.kafka_client_file()),
            kafka,
            registry,
        })
    }

    /// The first line is for programs as well: `ready URL`.
    pub fn write(&self, output: Output) -> Result {
        output.json_line(self)?;
        output.line(format!("ready {}", self.ready))?;
        output.line(format!("  dashboard  {}", self.signed_in))?;
        output.line(format!("  graphiql   {}", self.graphiql))?;
        output.line(format!("  token      {}", self.token_file.display()))?;
        output.line(format!("  data       {}", self.data_dir.display()))?;
        if !self.postgres_dir.starts_with(&self.data_dir) {
            output.line(format!("  postgres   {}", self.postgres_dir.display()))?;
        }
        if let (Some(kafka), Some(registry), Some(client)) = (&self.kafka, &self.registry, &self.client) {
            output.line(format!("  kafka      {kafka}, settings for other clients in {}", client.display()))?;
            output.line(format!("  registry   {registry}"))?;
        }
        output.note("Ctrl-C stops all of it. Try `muster demo` in another terminal.");
        Ok(())
    }
}
