use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dormouse_front::{Front, FrontError, FrontSettings, TlsSettings};
use dormouse_telemetry::names;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::support::{Door, door_with, one, text};

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certs").join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path(&format!("{name}.cert.pem"))).expect("a certificate")
}

/// Puts a certificate and its key in place, as whoever renews them does.
fn install(directory: &Path, name: &str) -> TlsSettings {
    for kind in ["cert", "key"] {
        let (from, to) = (path(&format!("{name}.{kind}.pem")), directory.join(format!("{kind}.pem")));
        let fresh = to.with_extension("new");
        std::fs::copy(from, &fresh).expect("copied");
        std::fs::rename(fresh, to).expect("renamed");
    }
    let settings = TlsSettings::new(directory.join("cert.pem"), directory.join("key.pem"));
    TlsSettings { reload: Duration::from_millis(20), ..settings }
}

/// One request over TLS; returns the answer's body and the certificate that the server showed.
async fn ask(door: &Door) -> (String, CertificateDer<'static>) {
    let mut roots = RootCertStore::empty();
    for name in ["first", "second"] {
        roots.add(certificate(name)).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, door.connect().await).await.expect("a handshake");
    stream.write_all(GET).await.expect("sent");
    let body = one(&mut stream).await.1;
    let shown = stream.get_ref().1.peer_certificates().expect("a chain")[0].clone().into_owned();
    (body, shown)
}

fn tls_door(settings: TlsSettings) -> Door {
    door_with(FrontSettings::default(), Some(settings), |request| async move { text(request.tls.to_string()) })
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let door = tls_door(install(directory.path(), "first"));
    assert_eq!(ask(&door).await, ("true".to_owned(), certificate("first")));

    install(directory.path(), "second");
    while ask(&door).await.1 != certificate("second") {}

    let reloads = door.metrics.counter(&names::TLS_RELOADS);
    let kept = reloads.with(["kept_old"]).get();
    std::fs::write(directory.path().join("cert.pem"), "no certificate").expect("written");
    while reloads.with(["kept_old"]).get() == kept {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&door).await, ("true".to_owned(), certificate("second")));

    // A key that does not fit is bad, too.
    let kept = reloads.with(["kept_old"]).get();
    std::fs::copy(path("first.cert.pem"), directory.path().join("cert.pem")).expect("copied");
    while reloads.with(["kept_old"]).get() == kept {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&door).await, ("true".to_owned(), certificate("second")));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_a_sentence_at_the_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let good = install(directory.path(), "first");
    let start = |tls: TlsSettings| {
        let surface = Arc::new(Never);
        let surfaces = dormouse_front::Surfaces { admin: Arc::clone(&surface) as _, aws: surface };
        let metrics = dormouse_telemetry::Metrics::new();
        let clock = Arc::new(dormouse_model::SystemClock);
        Front::new(FrontSettings::default(), Some(tls), surfaces, clock, &metrics).err()
    };
    for (tls, part) in [
        (TlsSettings { certificate: directory.path().join("absent"), ..good.clone() }, "absent cannot be used for TLS"),
        (TlsSettings { certificate: good.key.clone(), ..good.clone() }, "no certificate"),
        (TlsSettings { key: path("second.key.pem"), ..good.clone() }, "second.key.pem cannot be used for TLS"),
    ] {
        let error = start(tls).expect("an error");
        assert!(matches!(error, FrontError::Tls { .. }) && error.to_string().contains(part), "{error}");
    }
    assert!(start(good).is_none());
}

#[tokio::test]
async fn a_client_without_tls_is_turned_away() {
    let directory = tempfile::tempdir().expect("a directory");
    let door = tls_door(install(directory.path(), "first"));
    let answer = door.exchange(GET).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    assert_eq!(door.metrics.counter(&names::CONNECTIONS_REFUSED).with(["handshake"]).get(), 1);
}

/// Answers nothing; for doors that are not opened.
struct Never;

#[async_trait::async_trait]
impl dormouse_front::Surface for Never {
    async fn serve(&self, _: dormouse_front::Request) -> dormouse_front::Response {
        text("never")
    }
}
