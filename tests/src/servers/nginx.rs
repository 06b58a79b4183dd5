//! nginx: says its name, serves and takes files.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{HTTP_PORT, wait_ready};
use crate::{pattern::Pattern, temporary, topology::Host};

/// An nginx in a host's namespace, on [`HTTP_PORT`] of both families. `/` answers with the host's name, which is also in the
/// header `x-server` of every answer; `/files/` serves and takes (PUT) files. Killed on drop.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    directory: TempDir,
}

impl Nginx {
    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    ///
    /// If it does not start; the message has its log.
    pub fn start(host: &Host) -> Result<Self> {
        Self::start_with(host, "")
    }

    /// As [`Self::start`], with more blocks of `server` in its configuration.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_with(host: &Host, more: &str) -> Result<Self> {
        let directory = temporary::directory("nginx")?;
        let root = directory.path();
        fs::create_dir(root.join("files")).context("cannot create the directory of files")?;
        let config = root.join("nginx.conf");
        fs::write(&config, configuration(&host.name, root, more)).context("cannot write nginx.conf")?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(root).arg("-c").arg(&config).arg("-e").arg(root.join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = host.netns.spawn(&mut command)?;
        let mut nginx = Self { process, directory };
        wait_ready(&mut nginx.process, "nginx", host, HTTP_PORT).with_context(|| nginx.log())?;
        Ok(nginx)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The id of its only process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Makes a file of `size` bytes of `pattern` that is served as `/files/<name>`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn provide(&self, name: &str, pattern: Pattern, size: u64) -> Result<()> {
        let path = self.file(name);
        let mut file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut block = vec![0; 1 << 16];
        let mut offset = 0;
        while offset < size {
            let length = usize::try_from((size - offset).min(block.len() as u64))?;
            pattern.fill(offset, &mut block[..length]);
            file.write_all(&block[..length])?;
            offset += length as u64;
        }
        Ok(())
    }

    /// Where the file of `/files/<name>` lies.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join("files").join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(name: &str, root: &Path, more: &str) -> String {
    let root = root.display();
    format!(
        "daemon off; master_process off; user root; pid {root}/nginx.pid; worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
    access_log off; client_max_body_size 0; default_type text/plain; sendfile on;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    server {{
        listen {HTTP_PORT} backlog=4096; listen [::]:{HTTP_PORT} backlog=4096 ipv6only=on;
        add_header x-server {name} always;
        location / {{ return 200 \"{name}\\n\"; }}
        location /files/ {{ alias {root}/files/; dav_methods PUT; }}
    }}
    {more}
}}
"
    )
}
