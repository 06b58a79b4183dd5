//! Certificates for servers and their clients.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

use crate::temporary;

/// An authority. Its certificate is `ca.pem` in a directory of its own, where those that it issues are, too.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let authority = Self { issuer, directory: temporary::directory("authority")? };
        authority.write("ca.pem", &authority.issuer.pem())?;
        Ok(authority)
    }

    /// Issues a certificate for a server of this name: `<file>.pem` and `<file>.key`.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn server(&self, file: &str, name: &str, expired: bool) -> Result<()> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        if expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        self.issue(file, &params)
    }

    /// Issues a certificate for a client, as [`Self::server`].
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn client(&self, file: &str) -> Result<()> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(file, &params)
    }

    /// Where a file is.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// The directory of all files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn issue(&self, file: &str, params: &CertificateParams) -> Result<()> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        self.write(&format!("{file}.pem"), &certificate.pem())?;
        self.write(&format!("{file}.key"), &key.serialize_pem())
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
