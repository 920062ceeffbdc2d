//! Tokens to principals. It must never keep a token: only its SHA-256 is held, and compared in constant time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::AuthConfig;

pub(super) type TokenDigest = [u8; 32];

/// Who a token stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Principal {
    /// The user's name.
    pub user: String,
    /// An admin may act for another user.
    pub admin: bool,
}

/// Why tokens could not be loaded; the process should stop and show it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A token file that cannot be read.
    #[error("cannot read the token file {path} of user {user}: {source}", path = path.display())]
    TokenFile { user: String, path: PathBuf, source: io::Error },
    /// A token file without a token, or an entry with neither token nor file.
    #[error("the token of user {user} is empty")]
    EmptyToken { user: String },
    /// Two entries with the same token would make the caller ambiguous.
    #[error("users {first} and {second} have the same token")]
    SharedToken { first: String, second: String },
}

/// The known tokens. Clones share them.
#[derive(Clone)]
pub struct Authenticator {
    entries: Arc<[(TokenDigest, Principal)]>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.entries.iter().map(|(_, principal)| principal)).finish()
    }
}

impl Authenticator {
    /// Reads tokens and token files of the configuration.
    pub fn from_config(config: &AuthConfig) -> Result<Self, Error> {
        let mut tokens = Vec::with_capacity(config.tokens.len());
        for entry in &config.tokens {
            let user = entry.user.clone();
            let token = match (&entry.token, &entry.token_file) {
                (Some(token), _) => token.expose().to_owned(),
                (None, Some(path)) => fs::read_to_string(path).map_err(|source| Error::TokenFile {
                    user: user.clone(),
                    path: path.clone(),
                    source,
                })?,
                (None, None) => String::new(),
            };
            tokens.push((token, Principal { user, admin: entry.admin }));
        }
        Self::new(tokens)
    }

    /// Takes tokens as they are, surrounding space aside.
    pub fn new(tokens: impl IntoIterator<Item = (String, Principal)>) -> Result<Self, Error> {
        let mut entries: BTreeMap<TokenDigest, Principal> = BTreeMap::new();
        for (token, principal) in tokens {
            let token = token.trim();
            if token.is_empty() {
                return Err(Error::EmptyToken { user: principal.user });
            }
            let second = principal.user.clone();
            if let Some(first) = entries.insert(digest(token), principal) {
                return Err(Error::SharedToken { first: first.user, second });
            }
        }
        Ok(Self { entries: entries.into_iter().collect() })
    }

    /// The principal of a token. Every entry is compared, so the time tells neither whether nor where it matched.
    pub fn principal(&self, token: &str) -> Option<&Principal> {
        let digest = digest(token);
        let mut found = None;
        for (known, principal) in self.entries.iter() {
            if equal_in_constant_time(known, &digest) {
                found = Some(principal);
            }
        }
        found
    }

    /// Whether every token known for this user is an admin's; false for a user without a token.
    pub(super) fn is_admin(&self, user: &str) -> bool {
        let mut own = self.entries.iter().filter(|(_, principal)| principal.user == user).peekable();
        own.peek().is_some() && own.all(|(_, principal)| principal.admin)
    }

    /// Whether no token is known, so that every call will be refused.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

pub(super) fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token.as_bytes()).into()
}

pub(super) fn equal_in_constant_time(left: &TokenDigest, right: &TokenDigest) -> bool {
    let difference = left.iter().zip(right).fold(0_u8, |difference, (l, r)| difference | (l ^ r));
    std::hint::black_box(difference) == 0
}
