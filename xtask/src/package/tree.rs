//! The directory of which `dpkg-deb` makes a package.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use xtask::{Context, Error, Result, command};

/// The mode of a file that everybody may read.
pub(super) const READABLE: u32 = 0o644;
/// The mode of a program.
pub(super) const PROGRAM: u32 = 0o755;

/// A directory that is empty at first.
#[derive(Debug)]
pub(super) struct Tree(PathBuf);

impl Tree {
    /// Makes it; what was there goes.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let tree = Self(path);
        tree.remove()?;
        make_directory(&tree.0)?;
        Ok(tree)
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.0
    }

    /// Removes it.
    pub(super) fn remove(&self) -> Result<()> {
        if !self.0.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&self.0).context(self.0.display())
    }

    /// Where a file of the package is to be; the directories above it are made. Modes are what is said, whatever the umask is.
    pub(super) fn place(&self, path: &str) -> Result<PathBuf> {
        let file = self.0.join(path);
        let directories: Vec<_> = file.ancestors().skip(1).take_while(|above| **above != self.0).collect();
        for directory in directories.into_iter().rev().filter(|directory| !directory.exists()) {
            make_directory(directory)?;
        }
        Ok(file)
    }

    /// Writes a file.
    pub(super) fn add(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let file = self.place(path)?;
        fs::write(&file, content).context(file.display())?;
        fs::set_permissions(&file, Permissions::from_mode(mode)).context(file.display())
    }

    /// Writes a file that everybody may read, compressed as Debian wants documentation: without a name and a time.
    pub(super) fn add_compressed(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        self.add(&format!("{path}.gz"), compress(content.as_ref())?, READABLE)
    }

    /// All files but those about the package itself, sorted, relative to its root.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        collect(&self.0, &mut files)?;
        files.retain_mut(|file| {
            *file = file.strip_prefix(&self.0).unwrap_or(file).to_path_buf();
            !file.starts_with("DEBIAN")
        });
        files.sort();
        Ok(files)
    }
}

fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir(path).context(path.display())?;
    fs::set_permissions(path, Permissions::from_mode(PROGRAM)).context(path.display())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).context(directory.display())? {
        let path = entry.context(directory.display())?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = command::clean("gzip");
    gzip.args(["-9", "--no-name"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let line = command::line(&gzip);
    let mut child = gzip.spawn().context(&line)?;
    let input = child.stdin.take();
    let output = std::thread::scope(|scope| {
        // Written by another thread: gzip stops reading while nobody takes what it has written.
        scope.spawn(move || input.map(|mut input| input.write_all(content)));
        child.wait_with_output().context(&line)
    })?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::new(format!("{line}: {}", output.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_mode_and_so_have_the_directories_above_it() {
        let tree =
            Tree::create(std::env::temp_dir().join(format!("lb-tree-{}", std::process::id()))).unwrap();
        tree.add("a/b/c", "text", 0o640).unwrap();
        tree.add("DEBIAN/control", "", READABLE).unwrap();
        tree.add_compressed("a/b/d", "more").unwrap();
        let mode = |path: &str| tree.root().join(path).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a"), mode("a/b"), mode("a/b/c"), mode("a/b/d.gz")), (0o755, 0o755, 0o640, 0o644));
        assert_eq!(tree.files().unwrap(), [PathBuf::from("a/b/c"), PathBuf::from("a/b/d.gz")]);
        tree.remove().unwrap();
        assert!(!tree.root().exists());
    }
}
