//! One HTTP call: address, headers, status, body. It must never know what a call means.

use std::sync::Arc;
use std::time::Duration;

use muster_schemas::api::{IDEMPOTENCY_KEY_HEADER, Problem};
use muster_schemas::domain::id::CommandId;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::retry::{Failed, RetryPolicy, retry};
use crate::{Error, new_key};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Above the services' own time limit and the longest wait for a claim.
const CALL_TIMEOUT: Duration = Duration::from_secs(45);

/// A connection to Muster's services. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Arc<str>,
    query_base: Arc<str>,
    headers: HeaderMap,
    retry: RetryPolicy,
}

impl Client {
    /// A client of the services at `base_url`, as in `http://127.0.0.1:4400`, with a bearer token.
    pub fn new(base_url: &str, token: &str) -> Result<Self, Error> {
        let base: Arc<str> = check_url(base_url)?.into();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Error::Invalid(format!("no HTTP client can be made: {error}")))?;
        let client = Self {
            http,
            query_base: Arc::clone(&base),
            base,
            headers: HeaderMap::new(),
            retry: RetryPolicy::default(),
        };
        let mut bearer = header(&format!("Bearer {}", token.trim()))?;
        bearer.set_sensitive(true);
        Ok(client.with_header(AUTHORIZATION, bearer))
    }

    /// Says where commands come from: `cli`, `tui`, `web`, `mobile`, `orchestrator` or `agent:<role>`.
    /// Text that cannot be a header is left out.
    #[must_use]
    pub fn with_source(self, source: &str) -> Self {
        match header(source) {
            Ok(value) => self.with_header(HeaderName::from_static("muster-source"), value),
            Err(_) => self,
        }
    }

    /// Acts for `user`. Only an admin's token may.
    pub fn on_behalf_of(&self, user: &str) -> Result<Self, Error> {
        Ok(self.clone().with_header(HeaderName::from_static("muster-on-behalf-of"), header(user)?))
    }

    /// Sends GraphQL and reads elsewhere than commands.
    pub fn with_query_url(self, query_url: &str) -> Result<Self, Error> {
        Ok(Self { query_base: check_url(query_url)?.into(), ..self })
    }

    /// How patient it is.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Where commands go.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Where GraphQL and reads go.
    pub fn query_url(&self) -> &str {
        &self.query_base
    }

    /// Whether everything behind the address is ready to work; what is missing otherwise.
    pub async fn ready(&self) -> Result<(), Error> {
        let url = format!("{}/readyz", self.base);
        let request = self.http.get(&url).timeout(CONNECT_TIMEOUT);
        answer(&url, request).await.map(drop).map_err(|failed| failed.error)
    }

    /// Reads `path` (with its query string) of the query service as JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let url = format!("{}{path}", self.query_base);
        let body = retry(&self.retry, || answer(&url, self.http.get(&url).headers(self.headers.clone()))).await?;
        parse(&url, &body)
    }

    /// Sends `body` to `path` of the command service, again with the same key while that may help.
    /// `None` when the answer has no content.
    pub async fn call<B, T>(
        &self,
        method: Method,
        path: &str,
        body: &B,
        key: Option<CommandId>,
    ) -> Result<Option<T>, Error>
    where
        B: Serialize + ?Sized + Sync,
        T: DeserializeOwned,
    {
        let key = key.unwrap_or_else(new_key);
        let url = format!("{}{path}", self.base);
        let answer = retry(&self.retry, || {
            let request = self.http.request(method.clone(), &url).headers(self.headers.clone());
            answer(&url, request.header(IDEMPOTENCY_KEY_HEADER, key.to_string()).json(body))
        });
        let body = answer.await?;
        if body.is_empty() { Ok(None) } else { parse(&url, &body).map(Some) }
    }

    /// As [`Client::call`], where an answer without content is a mistake.
    pub(crate) async fn post<B, T>(&self, path: &str, body: &B, key: Option<CommandId>) -> Result<T, Error>
    where
        B: Serialize + ?Sized + Sync,
        T: DeserializeOwned,
    {
        self.call(Method::POST, path, body, key).await?.ok_or_else(|| Error::Unexpected {
            url: format!("{}{path}", self.base),
            status: StatusCode::NO_CONTENT.as_u16(),
            reason: "the answer is empty".to_owned(),
        })
    }

    /// Sends `body` to `path` of the query service.
    pub(crate) async fn post_query<B, T>(&self, path: &str, body: &B) -> Result<T, Error>
    where
        B: Serialize + ?Sized + Sync,
        T: DeserializeOwned,
    {
        let url = format!("{}{path}", self.query_base);
        let attempt = || answer(&url, self.http.post(&url).headers(self.headers.clone()).json(body));
        parse(&url, &retry(&self.retry, attempt).await?)
    }

    /// The value of the header `Authorization`.
    pub(crate) fn authorization(&self) -> &str {
        self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

fn header(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|_| Error::Invalid("a token or name has characters no header can hold".into()))
}

fn check_url(url: &str) -> Result<String, Error> {
    let url = url.trim().trim_end_matches('/');
    match reqwest::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => Ok(url.to_owned()),
        Ok(_) => Err(Error::Invalid(format!("{url:?} is no http or https address"))),
        Err(error) => Err(Error::Invalid(format!("{url:?} is no address: {error}"))),
    }
}

/// Sends a request; its body when it succeeded.
async fn answer(url: &str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Failed> {
    let response = request.send().await.map_err(|error| Error::unreachable(url, error.without_url()))?;
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = response.bytes().await.map_err(|error| Error::unreachable(url, error.without_url()))?;
    if status.is_success() {
        return Ok(body.into());
    }
    let error = match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Error::Problem(Box::new(problem)),
        Err(_) => Error::Unexpected {
            url: url.to_owned(),
            status: status.as_u16(),
            reason: String::from_utf8_lossy(&body).chars().take(300).collect(),
        },
    };
    Err(Failed { error, retry_after })
}

fn parse<T: DeserializeOwned>(url: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unexpected {
        url: url.to_owned(),
        status: StatusCode::OK.as_u16(),
        reason: error.to_string(),
    })
}
