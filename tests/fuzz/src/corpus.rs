//! Corpora: one archive for each target, with inputs by their digests.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder, read::GzDecoder};

use crate::Target;

/// The archive of a target.
#[must_use]
pub fn archive(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(format!("{}.tar.gz", target.name))
}

/// The inputs of an archive by their names; none if there is no archive.
///
/// # Errors
/// It cannot be read.
pub fn read(target: &Target) -> Result<BTreeMap<String, Vec<u8>>> {
    let path = archive(target);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    let mut inputs = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(file)).entries()? {
        let mut entry = entry.with_context(|| path.display().to_string())?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        inputs.insert(name, bytes);
    }
    Ok(inputs)
}

/// Makes the archive of all files in a directory. The same files give the same bytes.
///
/// # Errors
/// A file cannot be read, or the archive cannot be written.
pub fn pack(target: &Target, directory: &Path) -> Result<usize> {
    let mut inputs = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let bytes = fs::read(entry?.path())?;
        inputs.insert(name(&bytes), bytes);
    }
    let path = archive(target);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
    }
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut archive = tar::Builder::new(GzBuilder::new().mtime(0).write(file, Compression::best()));
    for (name, bytes) in &inputs {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.finish()?;
    Ok(inputs.len())
}

/// Writes seeds and archive to a directory, a file for each input.
///
/// # Errors
/// A file cannot be written, or the archive cannot be read.
pub fn unpack(target: &Target, directory: &Path) -> Result<usize> {
    fs::create_dir_all(directory)?;
    let inputs: Vec<Vec<u8>> = (target.seeds)().into_iter().chain(read(target)?.into_values()).collect();
    for bytes in &inputs {
        fs::write(directory.join(name(bytes)), bytes)?;
    }
    Ok(inputs.len())
}

/// The name of an input: its digest, so that none is there twice.
fn name(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}
