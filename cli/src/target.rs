//! Which server a command talks to, and as whom. It must never send anything.

use crate::args::GlobalArgs;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};

/// The variable that holds the token.
pub const TOKEN_VARIABLE: &str = "MUSTER_TOKEN";

/// A server's address and the token for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// As in `http://127.0.0.1:4400`, without a slash at the end.
    pub url: String,
    /// Bearer token; empty when none is known.
    pub token: String,
}

/// Leaves the token out.
impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.url)
    }
}

impl Target {
    /// From flags, variables, and what `muster dev` left in the data directory.
    pub fn find(global: &GlobalArgs) -> Result<Self> {
        let data = DataDir::locate(global.data_dir.as_deref())?;
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.trim().is_empty());
        Self::choose(global.url.as_deref(), token, &data)
    }

    /// The token of the data directory is for the server of the data directory: it is sent to no other.
    fn choose(url: Option<&str>, token: Option<String>, data: &DataDir) -> Result<Self> {
        let local = data.url()?;
        let url = url.map(str::to_owned).or_else(|| local.clone()).ok_or_else(|| Error::NoServer(data.url_file()))?;
        let url = url.trim_end_matches('/').to_owned();
        let token = match token {
            Some(token) => token.trim().to_owned(),
            None if local.as_deref().is_some_and(|local| local.trim_end_matches('/') == url) => {
                data.token()?.unwrap_or_default()
            }
            None => String::new(),
        };
        Ok(Self { url, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::locate(Some(folder.path())).unwrap();
        (folder, data)
    }

    #[test]
    fn nothing_known_is_an_error_that_names_the_way_out() {
        let (_folder, data) = data();
        let error = Target::choose(None, None, &data).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains("muster dev"));
    }

    #[test]
    fn the_local_token_goes_to_the_local_server_only() {
        let (_folder, data) = data();
        data.write_url("http://127.0.0.1:4400").unwrap();
        let token = data.ensure_token().unwrap();
        let local = Target::choose(None, None, &data).unwrap();
        assert_eq!((local.url.as_str(), local.token.as_str()), ("http://127.0.0.1:4400", token.as_str()));
        let same = Target::choose(Some("http://127.0.0.1:4400/"), None, &data).unwrap();
        assert_eq!(same, local);
        let other = Target::choose(Some("https://example.org"), None, &data).unwrap();
        assert_eq!(other.token, "");
        let given = Target::choose(Some("https://example.org"), Some("t ".to_owned()), &data).unwrap();
        assert_eq!(given.token, "t");
    }
}
