//! The schema registry's client: look a schema up, register it under FULL_TRANSITIVE compatibility, fetch it by id.
//!
//! Subjects are named as `TopicRecordNameStrategy` does: the topic, a dash, the record's full name.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use muster_schemas::{event_schemas, output};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::topics::Topics;
use crate::Error;
use crate::decode::SchemaSource;

/// Subjects worked on at once.
const AT_ONCE: usize = 8;

/// The id of each schema this build writes with.
pub(super) struct SchemaIds {
    pub events: HashMap<&'static str, u32>,
    pub output: u32,
}

/// A registry with the Confluent-compatible API.
pub(super) struct Registry {
    http: reqwest::Client,
    url: String,
}

#[derive(Serialize)]
struct SchemaBody<'a> {
    schema: &'a str,
}

#[derive(Deserialize)]
struct IdBody {
    id: u32,
}

#[derive(Deserialize)]
struct TextBody {
    schema: String,
}

#[derive(Deserialize)]
struct CompatibilityBody {
    #[serde(rename = "compatibilityLevel")]
    compatibility_level: String,
}

/// What the registry said: a body, or a refusal with its reason.
type Answer<T> = Result<T, (StatusCode, String)>;

impl Registry {
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build();
        let http = http.map_err(|error| Error::Config { reason: format!("schema registry client: {error}") })?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned() })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Answer<T>, Error> {
        let failed = |error: reqwest::Error| Error::unavailable("the schema registry", error.without_url());
        let mut request = self.http.request(method, format!("{}/{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_server_error() {
            return Err(Error::Unavailable { reason: format!("the schema registry answers {status} to {path}") });
        }
        if status.is_success() {
            return Ok(Ok(response.json().await.map_err(failed)?));
        }
        Ok(Err((status, response.text().await.map_err(failed)?)))
    }

    /// Sets the subject's rule. False when the registry wants the subject to exist first.
    async fn set_compatibility(&self, subject: &str) -> Result<bool, Error> {
        let body = serde_json::json!({ "compatibility": "FULL_TRANSITIVE" });
        let answer: Answer<serde_json::Value> =
            self.call(Method::PUT, &format!("config/{subject}"), Some(body)).await?;
        match answer {
            Ok(_) => Ok(true),
            Err((StatusCode::NOT_FOUND, _)) => Ok(false),
            // Another process was setting it at the same time.
            Err((StatusCode::CONFLICT, reason)) => match self.compatibility(subject).await?.as_deref() {
                Some("FULL_TRANSITIVE") => Ok(true),
                _ => Err(refused(subject, StatusCode::CONFLICT, &reason)),
            },
            Err((status, reason)) => Err(refused(subject, status, &reason)),
        }
    }

    /// The subject's own rule.
    async fn compatibility(&self, subject: &str) -> Result<Option<String>, Error> {
        let answer: Answer<CompatibilityBody> = self.call(Method::GET, &format!("config/{subject}"), None).await?;
        Ok(answer.ok().map(|body| body.compatibility_level))
    }

    /// The schema's id: it is only registered when the subject does not have it yet.
    async fn register(&self, subject: &str, avsc: &str) -> Result<u32, Error> {
        let body = || Some(serde_json::json!(SchemaBody { schema: avsc }));
        let found: Answer<IdBody> = self.call(Method::POST, &format!("subjects/{subject}"), body()).await?;
        if let Ok(IdBody { id }) = found {
            return Ok(id);
        }
        let ruled = self.set_compatibility(subject).await?;
        let path = format!("subjects/{subject}/versions");
        let registered: Answer<IdBody> = self.call(Method::POST, &path, body()).await?;
        let id = match registered {
            Ok(IdBody { id }) => id,
            // Another process may have registered it at the same time; it is refused only when it still is not there.
            Err((status, reason)) => {
                let found: Answer<IdBody> = self.call(Method::POST, &format!("subjects/{subject}"), body()).await?;
                found.map_err(|_| refused(subject, status, &reason))?.id
            }
        };
        if !ruled && !self.set_compatibility(subject).await? {
            return Err(Error::Schema {
                subject: subject.to_owned(),
                reason: "the registry does not let its compatibility be set".to_owned(),
            });
        }
        Ok(id)
    }
}

fn refused(subject: &str, status: StatusCode, reason: &str) -> Error {
    let reason: String = reason.chars().take(2000).collect();
    Error::Schema { subject: subject.to_owned(), reason: format!("the registry answers {status}: {reason}") }
}

#[async_trait]
impl SchemaSource for Registry {
    async fn fetch(&self, id: u32) -> Result<Option<String>, Error> {
        let answer: Answer<TextBody> = self.call(Method::GET, &format!("schemas/ids/{id}"), None).await?;
        match answer {
            Ok(TextBody { schema }) => Ok(Some(schema)),
            Err((StatusCode::NOT_FOUND, _)) => Ok(None),
            Err((status, reason)) => Err(refused(&format!("id {id}"), status, &reason)),
        }
    }
}

/// Registers every schema of this build.
pub(super) async fn register(registry: &Registry, topics: &Topics) -> Result<SchemaIds, Error> {
    let mut calls = Vec::new();
    for schema in event_schemas() {
        let subject = format!("{}-{}", topics.events, schema.record_name);
        let call = async move { registry.register(&subject, schema.json).await.map(|id| (schema.event_type, id)) };
        calls.push(call.boxed());
    }
    let events = stream::iter(calls).buffer_unordered(AT_ONCE).try_collect().await?;
    let subject = format!("{}-{}", topics.output, output::RECORD_NAME);
    Ok(SchemaIds { events, output: registry.register(&subject, output::SCHEMA_JSON).await? })
}
