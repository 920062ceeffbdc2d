//! TLS for HTTP: a certificate and a key from files. It must never fall back to plain text.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config::TlsConfig;

/// A client that has not finished its handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why TLS cannot be served; the process should stop and show it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is absent, or no PEM of the right kind.
    #[error("cannot read {what} from {path}: {source}", path = path.display())]
    Pem { what: &'static str, path: PathBuf, source: pem::Error },
    /// The certificate file has no certificate.
    #[error("no certificate in {path}", path = path.display())]
    NoCertificate { path: PathBuf },
    /// The key does not belong to the certificate, or rustls cannot use them.
    #[error("certificate and key cannot be used: {0}")]
    Rejected(#[from] rustls::Error),
}

/// Does handshakes side by side, so that a slow client holds up nobody.
pub(crate) struct Handshakes {
    acceptor: TlsAcceptor,
    pending: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Handshakes").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Handshakes {
    /// Reads certificate and key; `None` when the configuration has neither.
    pub(crate) fn from_config(config: &TlsConfig) -> Result<Option<Self>, Error> {
        let (Some(cert_file), Some(key_file)) = (&config.cert_file, &config.key_file) else { return Ok(None) };
        let acceptor = TlsAcceptor::from(Arc::new(server_config(cert_file, key_file)?));
        Ok(Some(Self { acceptor, pending: JoinSet::new() }))
    }

    /// Begins a handshake.
    pub(crate) fn begin(&mut self, stream: TcpStream, peer: SocketAddr) {
        let accept = self.acceptor.accept(stream);
        self.pending.spawn(async move {
            let outcome: io::Result<_> =
                tokio::time::timeout(HANDSHAKE_TIMEOUT, accept).await.unwrap_or_else(|late| Err(late.into()));
            match outcome {
                Ok(stream) => Some((stream, peer)),
                Err(error) => {
                    tracing::debug!(%peer, %error, "TLS handshake failed");
                    None
                }
            }
        });
    }

    /// The next handshake that succeeds; waits for ever while there is none. Cancelling it loses none.
    pub(crate) async fn next(&mut self) -> (TlsStream<TcpStream>, SocketAddr) {
        while let Some(outcome) = self.pending.join_next().await {
            if let Ok(Some(done)) = outcome {
                return done;
            }
        }
        std::future::pending().await
    }
}

fn server_config(cert_file: &Path, key_file: &Path) -> Result<ServerConfig, Error> {
    let unreadable = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Pem { what, path, source }
    };
    let certificates = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable("the certificate", cert_file))?;
    if certificates.is_empty() {
        return Err(Error::NoCertificate { path: cert_file.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(unreadable("the private key", key_file))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
