//! Certificate and key, read at the start and again whenever one of the files changes.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use dormouse_telemetry::{Metrics, names};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{FrontError, TlsSettings};

/// What new connections are accepted with.
pub(crate) struct Tls {
    settings: TlsSettings,
    current: ArcSwap<ServerConfig>,
    metrics: Metrics,
}

/// What tells that a file has changed: time, length, and which file it is, for those that are replaced.
type Seen = [Option<(SystemTime, u64, u64)>; 2];

impl Tls {
    pub(crate) fn load(settings: TlsSettings, metrics: &Metrics) -> Result<Self, FrontError> {
        let current = ArcSwap::from_pointee(config(&settings)?);
        Ok(Self { settings, current, metrics: metrics.clone() })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Looks at the files for ever. A pair that cannot be used is tried again when it changes again, as it does when the
    /// certificate was replaced and the key not yet.
    pub(crate) async fn keep_current(&self) {
        let mut used = self.seen();
        loop {
            tokio::time::sleep(self.settings.reload).await;
            let seen = self.seen();
            if seen == used {
                continue;
            }
            used = seen;
            self.reload();
        }
    }

    fn reload(&self) {
        let reloads = self.metrics.counter(&names::TLS_RELOADS);
        match config(&self.settings) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                reloads.with(["ok"]).inc();
                tracing::info!(certificate = %self.settings.certificate.display(), "TLS certificate reloaded");
            }
            Err(error) => {
                reloads.with(["kept_old"]).inc();
                tracing::error!(%error, "TLS certificate not reloaded; the old one stays in use");
            }
        }
    }

    fn seen(&self) -> Seen {
        use std::os::unix::fs::MetadataExt;
        [&self.settings.certificate, &self.settings.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        })
    }
}

fn config(settings: &TlsSettings) -> Result<ServerConfig, FrontError> {
    let TlsSettings { certificate, key, .. } = settings;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|error| refuse(certificate, error))?;
    if chain.is_empty() {
        return Err(refuse(certificate, "it holds no certificate in PEM form"));
    }
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(certificate, error))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| refuse(key, error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn refuse(path: &Path, reason: impl ToString) -> FrontError {
    FrontError::Tls { path: path.to_owned(), reason: reason.to_string() }
}
