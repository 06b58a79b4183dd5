//! What a probe needs beside its description: certificates, keys and users, looked up when a configuration is applied.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use caps::{CapSet, Capability};
use nix::unistd::User;
use thiserror::Error;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Program;
use crate::model::{Probe, ProbeKind, ScriptProbe, Shared, TlsSettings};

/// Largest file of certificates or keys.
const MAX_FILE: u64 = 1 << 20;

/// A probe with all that it needs.
#[derive(Debug)]
pub struct Prepared {
    /// What it does.
    pub probe: Shared<Probe>,
    /// How it speaks TLS.
    pub(super) tls: Option<TlsClient>,
    /// Whom its script becomes; `None`: who we are.
    pub(super) user: Option<ScriptUser>,
}

impl Prepared {
    /// Whether something outside the configuration was looked up.
    pub(super) fn reads_files(&self) -> bool {
        self.tls.is_some() || matches!(self.probe.kind, ProbeKind::Script(_))
    }
}

/// How TLS is spoken to a backend.
#[derive(Clone, Debug)]
pub(super) struct TlsClient {
    pub(super) config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

/// A user by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScriptUser {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A value of `[services.health]` that cannot be used on this machine.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{value} {problem}")]
pub struct Unusable {
    /// Its key.
    pub key: &'static str,
    /// The value.
    pub value: String,
    /// What is wrong with it, and what was expected: the rest of a sentence that begins with the value.
    pub problem: String,
}

impl Unusable {
    fn new(key: &'static str, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { key, value: value.to_string(), problem: problem.into() }
    }

    fn file(key: &'static str, path: &Path, problem: impl Into<String>) -> Self {
        Self::new(key, path.display(), problem)
    }
}

/// Whether it matters that this process may change to another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// It will run the scripts.
    Needed,
    /// Another one will.
    Assumed,
}

/// Prepares probes. Files that several have in common are read once.
#[derive(Debug)]
pub struct Preparer {
    rights: Rights,
    provider: Arc<CryptoProvider>,
    system: Option<Arc<RootCertStore>>,
    clients: HashMap<(TlsSettings, &'static [u8]), Arc<ClientConfig>>,
}

impl Preparer {
    /// One that reads everything anew.
    #[must_use]
    pub fn new(rights: Rights) -> Self {
        Self { rights, provider: Arc::new(ring::default_provider()), system: None, clients: HashMap::new() }
    }

    /// Looks up what a probe needs.
    ///
    /// # Errors
    /// [`Unusable`]: a file that is not there or does not hold what it should, a user that does not exist, ...
    pub fn prepare(&mut self, probe: &Shared<Probe>) -> Result<Prepared, Unusable> {
        let (mut tls, mut user) = (None, None);
        match &probe.kind {
            ProbeKind::Https(http, settings) => {
                tls = Some(self.client(settings, http.host.as_deref(), b"http/1.1")?);
            }
            ProbeKind::Grpc(grpc, Some(settings)) => {
                tls = Some(self.client(settings, grpc.host.as_deref(), b"h2")?);
            }
            ProbeKind::Script(script) => user = self.user(script)?,
            _ => {}
        }
        Ok(Prepared { probe: probe.clone(), tls, user })
    }

    /// Looks up what a program of the operator needs that is not run for a backend.
    ///
    /// # Errors
    /// [`Unusable`]: it is not executable, the user does not exist or cannot be changed to.
    pub fn program(&self, program: &ScriptProbe) -> Result<Program, Unusable> {
        Ok(Program { program: program.clone(), user: self.user(program)? })
    }

    fn client(
        &mut self,
        settings: &TlsSettings,
        host: Option<&str>,
        protocol: &'static [u8],
    ) -> Result<TlsClient, Unusable> {
        // The model has checked a given name; a host may have a port.
        let host = host.and_then(|host| host.parse::<http::uri::Authority>().ok());
        let host = host.as_ref().map(|host| host.host().trim_matches(['[', ']']));
        let name = settings.server_name.as_deref().or(host);
        let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let key = (TlsSettings { server_name: None, ..settings.clone() }, protocol);
        let config = match self.clients.get(&key) {
            Some(config) => Arc::clone(config),
            None => {
                let config = Arc::new(self.config(settings, protocol)?);
                self.clients.insert(key, Arc::clone(&config));
                config
            }
        };
        Ok(TlsClient { config, name })
    }

    fn config(&mut self, settings: &TlsSettings, protocol: &[u8]) -> Result<ClientConfig, Unusable> {
        let verifier = self.verifier(settings)?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(unexpected)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &settings.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let chain = certificates("tls_cert_file", &client.cert_file)?;
                let key = private_key("tls_key_file", &client.key_file)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let problem = format!("is not the key of {}: {error}", client.cert_file.display());
                    Unusable::file("tls_key_file", &client.key_file, problem)
                })?
            }
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        // A certificate that expired meanwhile must be noticed: each probe looks at it again.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    fn verifier(&mut self, settings: &TlsSettings) -> Result<Arc<dyn ServerCertVerifier>, Unusable> {
        if !settings.verify {
            return Ok(Arc::new(Anybody(Arc::clone(&self.provider))));
        }
        let roots = match &settings.ca_file {
            Some(path) => Arc::new(authorities(path)?),
            None => self.system_roots()?,
        };
        let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider));
        Ok(builder.build().map_err(unexpected)?)
    }

    /// The authorities that this system trusts.
    fn system_roots(&mut self) -> Result<Arc<RootCertStore>, Unusable> {
        if let Some(roots) = &self.system {
            return Ok(Arc::clone(roots));
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let problem = "missing: this system has no certificates of authorities (Debian: package ca-certificates); \
                           expected a PEM file of those that sign the backends' certificates";
            return Err(Unusable::new("tls_ca_file", "", problem));
        }
        let roots = Arc::new(roots);
        self.system = Some(Arc::clone(&roots));
        Ok(roots)
    }

    fn user(&self, script: &ScriptProbe) -> Result<Option<ScriptUser>, Unusable> {
        executable(&script.path)?;
        let wrong = |problem: String| Unusable::new("user", format_args!("{:?}", script.user), problem);
        let found =
            User::from_name(&script.user).map_err(|error| wrong(format!("cannot be looked up: {error}")))?;
        let user = found
            .ok_or_else(|| wrong("is no user of this system; expected an unprivileged one".to_owned()))?;
        if user.uid.is_root() {
            return Err(wrong("is root by another name; expected an unprivileged user".to_owned()));
        }
        if self.rights == Rights::Needed && nix::unistd::geteuid() == user.uid {
            return Ok(None);
        }
        if self.rights == Rights::Needed && !may_change_user() {
            let problem = "needs CAP_SETUID, CAP_SETGID and CAP_KILL, which lbd does not all have; give them to it, or name the user it runs as \
                           (not root)";
            return Err(wrong(problem.to_owned()));
        }
        Ok(Some(ScriptUser { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }
}

/// The name a backend's certificate must have.
pub(super) fn server_name(client: &TlsClient, address: IpAddr) -> ServerName<'static> {
    client.name.clone().unwrap_or_else(|| ServerName::IpAddress(address.into()))
}

fn unexpected(error: impl fmt::Display) -> Unusable {
    Unusable::new("type", "https", format!("cannot be prepared: {error}"))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    let unread =
        |error: io::Error| Unusable::file(key, path, format!("cannot be read: {error}; expected a PEM file"));
    let metadata = std::fs::metadata(path).map_err(unread)?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(Unusable::file(key, path, "is not a file of at most 1 MiB; expected a PEM file"));
    }
    std::fs::read(path).map_err(unread)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let bytes = read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Unusable::file(key, path, "holds no certificate; expected BEGIN CERTIFICATE in it")),
        Err(error) => Err(Unusable::file(key, path, format!("is not PEM: {error}; expected certificates"))),
    }
}

fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
    let bytes = read(key, path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        Unusable::file(
            key,
            path,
            format!("holds no usable key: {error}; expected BEGIN PRIVATE KEY, not encrypted"),
        )
    })
}

fn authorities(path: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls_ca_file", path)? {
        roots.add(certificate).map_err(|error| {
            let problem = format!("holds a certificate that is none of an authority: {error}");
            Unusable::file("tls_ca_file", path, problem)
        })?;
    }
    Ok(roots)
}

fn executable(path: &Path) -> Result<(), Unusable> {
    let wrong = |problem: String| Unusable::file("script", path, problem);
    let metadata = std::fs::metadata(path)
        .map_err(|error| wrong(format!("cannot be run: {error}; expected a program")))?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Err(wrong("is not executable; expected a program (chmod 755)".to_owned()));
    }
    Ok(())
}

/// Whether this thread has the capabilities to become another user, and to end what runs as that user.
fn may_change_user() -> bool {
    let needed = [Capability::CAP_KILL, Capability::CAP_SETGID, Capability::CAP_SETUID];
    caps::read(None, CapSet::Effective)
        .is_ok_and(|effective| needed.iter().all(|one| effective.contains(one)))
}

/// Takes every certificate; what is signed with its key is still verified.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
