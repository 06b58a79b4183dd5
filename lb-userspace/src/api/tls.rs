//! TLS with certificates on both sides, from PEM files that may be replaced while it runs.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::WebPkiClientVerifier,
};

use crate::model::TlsFiles;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{}: {problem}; expected {expected} in PEM", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The files do not go together.
    #[error("{}: {source}", path.display())]
    Refused {
        /// The file that is to blame, as far as can be told.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The server's side; a new set of files is used by the next connection.
pub(super) struct ServerTls {
    files: TlsFiles,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// Of the files it was read from, or of those that could not be used instead.
    stamp: Option<Stamp>,
}

/// Tells one state of the files from another: their inodes, sizes and times of change.
type Stamp = [(u64, u64, i64, i64); 3];

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub(super) fn load(files: TlsFiles) -> Result<Self, TlsError> {
        // Taken first: what changes meanwhile is read again.
        let stamp = stamp(&files).ok();
        let current = Mutex::new(Current { config: server(&files)?, stamp });
        Ok(Self { files, current })
    }

    /// What the next connection uses. Where the files were replaced they are read again; if they are wrong, the former ones stay in
    /// use, and the log says so.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.files).ok();
        if stamp != current.stamp {
            current.stamp = stamp;
            match server(&self.files) {
                Ok(config) => {
                    current.config = config;
                    tracing::info!("the certificates of the API were read again");
                }
                Err(error) => tracing::error!(%error, "the certificates of the API stay as they were"),
            }
        }
        Arc::clone(&current.config)
    }
}

/// The client's side. Without `own`, the client shows no certificate.
///
/// # Errors
/// See [`TlsError`].
pub(super) fn client(authorities: &Path, own: Option<(&Path, &Path)>) -> Result<ClientConfig, TlsError> {
    let refused = |path: &Path| refused(path.to_owned());
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused(authorities))?
        .with_root_certificates(roots(authorities)?);
    match own {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(refused(certificate)),
    }
}

fn server(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let roots = Arc::new(roots(&files.authorities)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(refused(files.authorities.clone()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(refused(files.certificate.clone()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&files.certificate)?, private_key(&files.key)?)
        .map_err(refused(files.key.clone()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(refused(path.to_owned()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const EXPECTED: &str = "one or more certificates";
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let list = read.map_err(|error| unusable(path, &error, EXPECTED))?;
    if list.is_empty() {
        return Err(unusable(path, &pem::Error::NoItemsFound, EXPECTED));
    }
    Ok(list)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| unusable(path, &error, "a private key without a passphrase"))
}

fn unusable(path: &Path, error: &pem::Error, expected: &'static str) -> TlsError {
    let problem = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none".to_owned(),
        error => error.to_string(),
    };
    TlsError::File { path: path.to_owned(), problem, expected }
}

fn refused<E: Into<Box<dyn std::error::Error + Send + Sync>>>(path: PathBuf) -> impl FnOnce(E) -> TlsError {
    move |error| TlsError::Refused { path, source: error.into() }
}

fn stamp(files: &TlsFiles) -> io::Result<Stamp> {
    let of = |path: &Path| {
        let metadata = fs::metadata(path)?;
        Ok::<_, io::Error>((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
    };
    Ok([of(&files.certificate)?, of(&files.key)?, of(&files.authorities)?])
}

/// What rustls says is wrong, in an error of another library that carries it.
pub(super) fn reason(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found.to_string());
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
