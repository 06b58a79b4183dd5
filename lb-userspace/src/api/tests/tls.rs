//! The API over TCP: who gets in, and what the others are told.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::{Method, body::Bytes};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::fixture::Port;
use crate::{
    api::{Client, ClientError, NewCapture, PCAPNG, Server},
    model::{ApiListener, TlsFiles},
};

/// An authority, and the files it makes.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate with its key.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), directory }
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Signs a certificate for 127.0.0.1, for servers and clients, that is valid until a year.
    fn sign(&self, name: &str, until: i32) -> Pair {
        let (key, mut params) =
            (KeyPair::generate().unwrap(), CertificateParams::new(["127.0.0.1".to_owned()]).unwrap());
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let directory = self.directory.path();
        let pair = Pair {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        fs::write(&pair.certificate, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}

const FAR: i32 = 2090;
const PAST: i32 = 2010;

fn files(server: &Pair, clients: &Authority) -> TlsFiles {
    TlsFiles {
        certificate: server.certificate.clone(),
        key: server.key.clone(),
        authorities: clients.certificate(),
    }
}

async fn serve(files: TlsFiles) -> Port {
    Port::open(&ApiListener::Tls("127.0.0.1:0".parse().unwrap(), files)).await
}

fn client(port: &Port, authorities: &Path, own: Option<&Pair>) -> Client {
    let url = format!("https://{}", port.address).parse().unwrap();
    let own = own.map(|pair| (pair.certificate.as_path(), pair.key.as_path()));
    Client::new(Server::remote(url, authorities, own).unwrap())
}

async fn services(client: &Client) -> Result<usize, ClientError> {
    client.get::<Vec<Value>>("/v1/services").await.map(|services| services.len())
}

/// The sentence of a failure to connect.
async fn told(client: &Client) -> String {
    match services(client).await {
        Err(ClientError::Connect(message)) => message,
        other => panic!("expected a failure to connect, got {other:?}"),
    }
}

#[tokio::test]
async fn a_client_with_the_right_certificate_is_served() {
    let ours = Authority::new("ours");
    let port = serve(files(&ours.sign("server", FAR), &ours)).await;
    let client = client(&port, &ours.certificate(), Some(&ours.sign("client", FAR)));
    assert_eq!(services(&client).await.unwrap(), 2);
    let body = Bytes::from_static(br#"{"weight": 7}"#);
    let changed: Value = client.json(Method::PATCH, "/v1/services/web/backends/b1", body).await.unwrap();
    assert_eq!(changed["weight"], 7);
}

#[tokio::test]
async fn clients_with_another_an_expired_or_no_certificate_are_refused_and_told_why() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let port = serve(files(&ours.sign("server", FAR), &ours)).await;
    for (own, why) in [
        (Some(theirs.sign("client", FAR)), "UnknownCA"),
        (Some(ours.sign("old", PAST)), "CertificateExpired"),
        (None, "CertificateRequired"),
    ] {
        let said = told(&client(&port, &ours.certificate(), own.as_ref())).await;
        assert!(
            said.starts_with(&format!("https://{}: ", port.address)) && said.contains(why),
            "{why}: {said}"
        );
    }
    let good = client(&port, &ours.certificate(), Some(&ours.sign("client", FAR)));
    assert_eq!(services(&good).await.unwrap(), 2);
}

#[tokio::test]
async fn a_server_with_another_or_an_expired_certificate_is_not_trusted() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    for (server, why) in
        [(theirs.sign("server", FAR), "UnknownIssuer"), (ours.sign("server", PAST), "expired")]
    {
        let port = serve(files(&server, &ours)).await;
        let said = told(&client(&port, &ours.certificate(), Some(&ours.sign("client", FAR)))).await;
        assert!(said.contains(why) && said.contains("--ca"), "{why}: {said}");
    }
}

#[tokio::test]
async fn replaced_certificates_are_used_by_the_next_connection_and_broken_ones_are_not() {
    let (old, new) = (Authority::new("ours"), Authority::new("theirs"));
    let tls = files(&old.sign("server", FAR), &old);
    let port = serve(tls.clone()).await;
    let old_client = client(&port, &old.certificate(), Some(&old.sign("client", FAR)));
    assert_eq!(services(&old_client).await.unwrap(), 2);

    fs::write(&tls.key, "no key").unwrap();
    assert_eq!(services(&old_client).await.unwrap(), 2, "the former ones stay in use");

    let server = new.sign("server", FAR);
    fs::rename(server.certificate, &tls.certificate).unwrap();
    fs::rename(server.key, &tls.key).unwrap();
    fs::copy(new.certificate(), &tls.authorities).unwrap();
    let new_client = client(&port, &new.certificate(), Some(&new.sign("client", FAR)));
    assert_eq!(services(&new_client).await.unwrap(), 2);
    told(&client(&port, &new.certificate(), Some(&old.sign("client", FAR)))).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let ours = Authority::new("ours");
    let (server, other) = (ours.sign("server", FAR), ours.sign("other", FAR));
    let good = files(&server, &ours);
    let nowhere = ours.directory.path().join("nowhere.pem");
    for (files, file, what) in [
        (TlsFiles { certificate: nowhere.clone(), ..good.clone() }, &nowhere, "No such file"),
        (
            TlsFiles { certificate: server.key.clone(), ..good.clone() },
            &server.key,
            "expected one or more certificates",
        ),
        (
            TlsFiles { key: server.certificate.clone(), ..good.clone() },
            &server.certificate,
            "expected a private key",
        ),
        (TlsFiles { key: other.key.clone(), ..good.clone() }, &other.key, "KeyMismatch"),
    ] {
        let listener = ApiListener::Tls("127.0.0.1:0".parse().unwrap(), files);
        let error = crate::api::Port::bind(&listener).await.unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()) && error.contains(what), "{what}: {error}");
    }
}

#[tokio::test]
async fn silent_clients_do_not_keep_a_real_one_waiting() {
    let ours = Authority::new("ours");
    let port = serve(files(&ours.sign("server", FAR), &ours)).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(port.address).await.unwrap());
    }
    let client = client(&port, &ours.certificate(), Some(&ours.sign("client", FAR)));
    let answered = timeout(Duration::from_secs(1), services(&client)).await;
    assert_eq!(answered.expect("answered in time").unwrap(), 2);
}

/// The status of a plain request with some headers.
async fn plain(port: &Port, headers: &str) -> String {
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    let request = format!("GET /v1/services HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn plain_http_serves_programs_of_this_machine_and_no_web_page() {
    let port = Port::open(&ApiListener::Plain("127.0.0.1:0".parse().unwrap())).await;
    let url = format!("http://{}", port.address).parse().unwrap();
    let client = Client::new(Server::remote(url, Path::new("/unused"), None).unwrap());
    assert_eq!(services(&client).await.unwrap(), 2);
    let refused = client.download("/v1/captures", &NewCapture::default(), PCAPNG).await.unwrap_err();
    assert!(refused.to_string().contains("nobody may capture over plain HTTP"), "{refused}");
    for (headers, status) in [
        ("Host: 127.0.0.1:9465\r\n", "200"),
        ("Host: localhost\r\n", "200"),
        ("Host: rebound.example.com:9465\r\n", "403"),
        ("Host: 192.0.2.1\r\n", "403"),
        ("", "403"),
        ("Host: localhost\r\nOrigin: https://example.com\r\n", "403"),
        ("Host: localhost\r\nOrigin: null\r\n", "403"),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", "403"),
    ] {
        assert_eq!(plain(&port, headers).await, status, "{headers}");
    }
}
