//! Proxies: HAProxy and nginx, each with one listener for both families and its own defaults otherwise.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use lb_tests::{
    clock,
    netns::Netns,
    temporary,
    topology::{Family, Topology, addresses},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// A proxy under way in the balancer's namespace. Killed on drop.
#[derive(Debug)]
pub(super) struct Proxy {
    process: Child,
    directory: TempDir,
}

impl Proxy {
    /// Starts HAProxy and waits until it takes connections.
    pub(super) fn haproxy(topology: &Topology, port: u16) -> Result<Self> {
        let mut config = String::from(
            "global\n  maxconn 4000\n\
            defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 5m\n  timeout server 5m\n",
        );
        for family in Family::ALL {
            let _ = writeln!(config, "listen {}\n  bind {}", family.name(), bound(family, port));
            for host in &topology.servers {
                let _ = writeln!(config, "  server {} {}", host.name, at(host.address(family), port));
            }
        }
        Self::start(&topology.balancer, port, &config, |file, _| {
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(file);
            command
        })
    }

    /// Starts nginx with its module for streams and waits until it takes connections.
    pub(super) fn nginx(topology: &Topology, port: u16) -> Result<Self> {
        let mut config = format!(
            "load_module {MODULE};\ndaemon off; user root; pid nginx.pid; worker_processes auto;\n\
            worker_rlimit_nofile 65536; events {{ worker_connections 16384; }}\nstream {{\n"
        );
        for (family, name) in [(Family::V4, "v4"), (Family::V6, "v6")] {
            let _ = writeln!(config, "upstream {name} {{");
            for host in &topology.servers {
                let _ = writeln!(config, "  server {} max_fails=0;", at(host.address(family), port));
            }
            let _ = writeln!(
                config,
                "}}\nserver {{ listen {} backlog=4096; tcp_nodelay on; proxy_pass {name}; }}",
                bound(family, port)
            );
        }
        config += "}\n";
        Self::start(&topology.balancer, port, &config, |file, directory| {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(directory).arg("-c").arg(file).arg("-e").arg("stderr");
            command
        })
    }

    /// The processes that do the work.
    pub(super) fn pids(&self) -> Vec<u32> {
        let main = self.process.id();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([main]).collect()
    }

    fn start(
        netns: &Netns,
        port: u16,
        config: &str,
        command: impl FnOnce(&Path, &Path) -> Command,
    ) -> Result<Self> {
        let directory = temporary::directory("proxy")?;
        let file = directory.path().join("proxy.conf");
        fs::write(&file, config).with_context(|| file.display().to_string())?;
        let mut command = command(&file, directory.path());
        let log = fs::File::create(directory.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = netns.spawn(&mut command)?;
        let mut proxy = Self { process, directory };
        proxy.wait_ready(netns, port)?;
        Ok(proxy)
    }

    fn wait_ready(&mut self, netns: &Netns, port: u16) -> Result<()> {
        let process = &mut self.process;
        let ended = netns.run(|| {
            clock::wait_for("the proxy", Duration::from_secs(5), || match process.try_wait() {
                Ok(Some(status)) => Some(Some(status)),
                _ => TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                    .or_else(|_| TcpStream::connect((addresses::BALANCER_CLIENT_V4, port)))
                    .ok()
                    .map(|_| None),
            })
        })?;
        if let Some(status) = ended {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            bail!("the proxy ended with {status}: {}", log.trim());
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx's master takes its workers along when it is asked; what is left goes with the namespace.
        let asked = i32::try_from(self.process.id()).map(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM));
        if !matches!(asked, Ok(Ok(()))) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// Where Debian puts nginx's module for streams.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

fn bound(family: Family, port: u16) -> String {
    match family {
        Family::V4 => at(addresses::BALANCER_CLIENT_V4.into(), port),
        Family::V6 => at(addresses::BALANCER_CLIENT_V6.into(), port),
    }
}

fn at(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}
