//! HTTPS: whom a probe trusts, and what it shows.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

/// An authority, with its files.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(super) directory: TempDir,
}

/// What is special about a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    Expired,
    Early,
    Client,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// Writes `<file>.pem` and `<file>.key`.
    pub(super) fn issue(&self, file: &str, names: &[&str], kind: Kind) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        match kind {
            Kind::Good => {}
            Kind::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Kind::Early => params.not_before = date_time_ymd(2999, 1, 1),
            Kind::Client => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    pub(super) fn path(&self, file: &str) -> std::path::PathBuf {
        self.directory.path().join(file)
    }

    pub(super) fn setting(&self, file: &str) -> Setting {
        text(self.path(file).to_str().unwrap())
    }

    /// What a server with a certificate of this authority needs; `clients`: who is asked for a certificate of it.
    pub(super) fn server(&self, file: &str, clients: bool, alpn: &[&str]) -> Arc<ServerConfig> {
        let certificate = rustls_pem(&self.path(&format!("{file}.pem")));
        let key = fs::read(self.path(&format!("{file}.key"))).unwrap();
        let key =
            <PrivateKeyDer<'_> as tokio_rustls::rustls::pki_types::pem::PemObject>::from_pem_slice(&key)
                .unwrap();
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(rustls_pem(&self.path("ca.pem"))).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let builder =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            true => builder.with_client_cert_verifier(verifier.build().unwrap()),
            false => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

fn rustls_pem(path: &Path) -> tokio_rustls::rustls::pki_types::CertificateDer<'static> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
    CertificateDer::from_pem_slice(&fs::read(path).unwrap()).unwrap()
}

/// A server that says over TLS that it is well.
async fn https(config: Arc<ServerConfig>) -> Server {
    Server::start(move |served| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut stream = acceptor.accept(served.stream).await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let name = stream.get_ref().1.server_name().unwrap_or("-").to_owned();
            let alpn = stream.get_ref().1.alpn_protocol().unwrap_or_default().to_vec();
            let alpn = String::from_utf8_lossy(&alpn).into_owned();
            let answer = format!("HTTP/1.1 200 OK\r\n\r\nasked for {name} over {alpn}");
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }
    })
    .await
}

fn trusting(authority: &Authority, entries: &[(&str, Setting)]) -> Probe {
    let mut all = vec![("tls_ca_file", authority.setting("ca.pem"))];
    all.extend_from_slice(entries);
    probe(ProbeType::Https, &all)
}

#[tokio::test]
async fn a_name_is_sent_and_must_be_in_the_certificate() {
    let authority = Authority::new("ours");
    authority.issue("web", &["www.example.com", "127.0.0.1"], Kind::Good);
    let server = https(authority.server("web", false, &["h2", "http/1.1"])).await;
    for (entries, asked) in [
        (vec![("host", text("www.example.com:8443"))], "asked for www.example.com over http/1.1"),
        (
            vec![("tls_server_name", text("www.example.com")), ("host", text("other"))],
            "asked for www.example.com",
        ),
        (vec![], "asked for - over http/1.1"),
    ] {
        let entries = [entries, vec![("expect_body", text(asked))]].concat();
        assert_eq!(
            outcome(trusting(&authority, &entries), server.address, LONG).await,
            Outcome::Healthy,
            "{asked}"
        );
    }
    let other = trusting(&authority, &[("tls_server_name", text("other.example.com"))]);
    let reason = failure(other, server.address, LONG).await;
    assert_eq!(reason, "certificate is not for other.example.com: TLS handshake");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_is_the_failure_unless_nobody_looks() {
    let (authority, stranger, impostor) =
        (Authority::new("ours"), Authority::new("theirs"), Authority::new("ours"));
    for (file, kind) in [("expired", Kind::Expired), ("early", Kind::Early), ("good", Kind::Good)] {
        authority.issue(file, &["127.0.0.1"], kind);
    }
    let unseen = || probe(ProbeType::Https, &[("tls_verify", Setting::Flag(false))]);
    for (file, trusted, expected) in [
        ("expired", &authority, "certificate expired: TLS handshake"),
        ("early", &authority, "certificate not valid yet: TLS handshake"),
        ("good", &stranger, "certificate of an unknown authority: TLS handshake"),
        ("good", &impostor, "certificate not signed by the trusted authority of that name: TLS handshake"),
    ] {
        let server = https(authority.server(file, false, &[])).await;
        assert_eq!(failure(trusting(trusted, &[]), server.address, LONG).await, expected);
        assert_eq!(outcome(unseen(), server.address, LONG).await, Outcome::Healthy, "{file}");
    }
}

#[tokio::test]
async fn who_asks_for_a_client_certificate_gets_it() {
    let authority = Authority::new("ours");
    authority.issue("web", &["127.0.0.1"], Kind::Good);
    authority.issue("client", &["lbd"], Kind::Client);
    let server = https(authority.server("web", true, &[])).await;
    let client = [
        ("tls_cert_file", authority.setting("client.pem")),
        ("tls_key_file", authority.setting("client.key")),
    ];
    assert_eq!(outcome(trusting(&authority, &client), server.address, LONG).await, Outcome::Healthy);
    let reason = failure(trusting(&authority, &[]), server.address, LONG).await;
    assert_eq!(reason, "the backend requires a client certificate: waiting for the answer");
}

#[tokio::test]
async fn what_is_not_tls_is_told_as_such_and_not_read_to_its_end() {
    let unseen = || probe(ProbeType::Https, &[("tls_verify", Setting::Flag(false))]);
    let garbage = Server::endless("", "SSH-2.0-OpenSSH ").await;
    assert_eq!(
        failure(unseen(), garbage.address, LONG).await,
        "what the backend sent is not TLS: TLS handshake"
    );
    assert!(garbage.written() < BUFFERED);
    // Records of TLS without end, whose content is none.
    let records = Server::endless("", "\u{16}\u{3}\u{3}\0\u{4}\0\0\0\0").await;
    let reason = failure(unseen(), records.address, LONG).await;
    assert!(reason.ends_with(": TLS handshake"), "{reason}");
    assert!(records.written() < BUFFERED);
    let silent = Server::start(Served::hold).await;
    assert_eq!(failure(unseen(), silent.address, SHORT).await, "timed out after 300ms: TLS handshake");
    let reset = Server::start(|mut served| async move {
        served.stream.read_u8().await?;
        served.reset()
    })
    .await;
    assert_eq!(failure(unseen(), reset.address, LONG).await, "connection reset: TLS handshake");
    let closing = Server::start(|_| async { Ok(()) }).await;
    let reason = failure(unseen(), closing.address, LONG).await;
    assert!(reason.starts_with("connection "), "{reason}");
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let authority = Authority::new("ours");
    authority.issue("one", &["a"], Kind::Client);
    authority.issue("two", &["a"], Kind::Client);
    fs::write(authority.path("empty"), "").unwrap();
    fs::write(authority.path("broken"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
        .unwrap();
    let prepared = |entries: &[(&str, &str)]| {
        let entries: Vec<_> = entries.iter().map(|(key, file)| (*key, authority.setting(file))).collect();
        let error =
            Preparer::new(Rights::Needed).prepare(&probe(ProbeType::Https, &entries).into()).unwrap_err();
        (error.key, error.to_string())
    };
    let client = |certificate, key| {
        prepared(&[("tls_ca_file", "ca.pem"), ("tls_cert_file", certificate), ("tls_key_file", key)])
    };
    for ((key, told), expected_key, expected) in [
        (prepared(&[("tls_ca_file", "none")]), "tls_ca_file", "none cannot be read: No such file"),
        (prepared(&[("tls_ca_file", "")]), "tls_ca_file", "is not a file of at most 1 MiB"),
        (
            prepared(&[("tls_ca_file", "empty")]),
            "tls_ca_file",
            "empty holds no certificate; expected BEGIN CERTIFICATE",
        ),
        (prepared(&[("tls_ca_file", "broken")]), "tls_ca_file", "broken is not PEM"),
        (client("one.key", "one.key"), "tls_cert_file", "one.key holds no certificate"),
        (client("one.pem", "one.pem"), "tls_key_file", "one.pem holds no usable key"),
        (client("one.pem", "two.key"), "tls_key_file", "two.key is not the key of"),
        (client("one.pem", "none"), "tls_key_file", "none cannot be read"),
    ] {
        assert_eq!(key, expected_key, "{told}");
        assert!(told.contains(expected), "{told}");
    }
}
