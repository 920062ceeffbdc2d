//! What instances of a service know each other by. It must never let a user pass for one: whoever calls has to be known
//! as a user besides.

use std::fmt;

use http::{HeaderMap, HeaderValue};
use uuid::Uuid;

use super::authenticator::{TokenDigest, digest, equal_in_constant_time};
use crate::config::AuthConfig;

/// An instance that asks another says here that it is one.
pub const INSTANCE_TOKEN_HEADER: &str = "muster-instance-token";

/// The secret that instances share.
#[derive(Clone)]
pub struct InstanceToken {
    value: HeaderValue,
    digest: TokenDigest,
}

impl InstanceToken {
    /// A secret of this text, surrounding space aside. None, where that cannot stand in a header.
    pub fn new(secret: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(secret.trim()).ok()?;
        value.set_sensitive(true);
        let digest = digest(secret.trim());
        Some(Self { value, digest })
    }

    /// A secret nobody else has: of an instance that is alone.
    pub fn random() -> Self {
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut value = HeaderValue::from_str(&secret).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        Self { digest: digest(&secret), value }
    }

    /// The secret of the configuration, where it has one.
    pub fn from_config(config: &AuthConfig) -> Option<Self> {
        Self::new(config.instance_token.as_ref()?.expose())
    }

    /// Says in a request's headers that an instance sends it.
    pub fn put_into(&self, headers: &mut HeaderMap) {
        headers.insert(INSTANCE_TOKEN_HEADER, self.value.clone());
    }

    /// Whether an instance sent a request with these headers. The time that takes does not tell how near a guess is.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(INSTANCE_TOKEN_HEADER).and_then(|value| value.to_str().ok());
        given.is_some_and(|given| equal_in_constant_time(&self.digest, &digest(given)))
    }
}

impl fmt::Debug for InstanceToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InstanceToken")
    }
}
