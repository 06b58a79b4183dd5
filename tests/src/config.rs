//! The configuration file of `lbd`, put together in code.

use std::{
    fmt::{self, Write},
    net::{IpAddr, SocketAddr},
};

use crate::topology::{Family, Host, addresses};

/// A configuration; its text is the file's.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Interfaces the program is attached to.
    pub interfaces: Vec<String>,
    /// Services.
    pub services: Vec<Service>,
    /// Lines of further tables, such as `[limits]`.
    pub tables: String,
}

impl Config {
    /// Services on interfaces, all else by default.
    #[must_use]
    pub fn new(interfaces: &[&str], services: impl IntoIterator<Item = Service>) -> Self {
        Self {
            interfaces: interfaces.iter().map(ToString::to_string).collect(),
            services: services.into_iter().collect(),
            tables: String::new(),
        }
    }

    /// All services forward in this mode.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.services.iter_mut().for_each(|service| service.mode = mode);
        self
    }

    /// Adds lines of further tables.
    #[must_use]
    pub fn tables(mut self, lines: &str) -> Self {
        self.tables = lines.to_owned();
        self
    }
}

/// Protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// How a service forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The backend sees the client's address.
    Nat,
    /// The backend sees a SNAT address.
    FullNat,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nat, Self::FullNat];

    /// As in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::FullNat => "full-nat",
        }
    }
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// VIP and port.
    pub address: SocketAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// How it forwards.
    pub mode: Mode,
    /// Balancing algorithm.
    pub algorithm: &'static str,
    /// The lines of its health check.
    pub health: Option<String>,
    /// Backends.
    pub backends: Vec<Backend>,
}

/// A backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Address and port.
    pub address: SocketAddr,
    /// Share of the new flows.
    pub weight: u16,
}

impl Service {
    /// A service in mode `nat` without backends.
    #[must_use]
    pub fn new(name: &str, protocol: Protocol, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            protocol,
            mode: Mode::Nat,
            algorithm: "maglev",
            health: None,
            backends: Vec::new(),
        }
    }

    /// Forwards in this mode.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Uses another algorithm than `maglev`.
    #[must_use]
    pub fn algorithm(self, algorithm: &'static str) -> Self {
        Self { algorithm, ..self }
    }

    /// Adds a backend of weight 100 for each host, named like the host.
    #[must_use]
    pub fn backends(mut self, hosts: &[Host], port: u16) -> Self {
        let family = self.family();
        self.backends.extend(hosts.iter().map(|host| Backend {
            name: host.name.clone(),
            address: SocketAddr::new(host.address(family), port),
            weight: 100,
        }));
        self
    }

    /// Sets the weights of the backends, in their order.
    #[must_use]
    pub fn weights(mut self, weights: &[u16]) -> Self {
        for (backend, weight) in self.backends.iter_mut().zip(weights) {
            backend.weight = *weight;
        }
        self
    }

    /// Checks the backends by connecting to a port, five times per second.
    #[must_use]
    pub fn checked(self, port: u16) -> Self {
        let lines = format!("interval = \"200ms\"\ntimeout = \"200ms\"\nrise = 2\nfall = 2\nport = {port}\n");
        Self { health: Some(lines), ..self }
    }

    /// Checks the backends as these lines of `[services.health]` say, every 200 ms.
    #[must_use]
    pub fn health(self, lines: &str) -> Self {
        let lines = format!("interval = \"200ms\"\ntimeout = \"200ms\"\nrise = 2\nfall = 2\n{lines}\n");
        Self { health: Some(lines), ..self }
    }

    fn family(&self) -> Family {
        if self.address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "interfaces = {:?}\n{}", self.interfaces, self.tables)?;
        self.services.iter().try_for_each(|service| writeln!(f, "{service}"))
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        writeln!(f, "[[services]]\nname = \"{}\"\naddress = \"{}\"", self.name, self.address.ip())?;
        writeln!(
            f,
            "protocol = \"{protocol}\"\nport = {}\nmode = \"{}\"",
            self.address.port(),
            self.mode.name()
        )?;
        writeln!(f, "algorithm = \"{}\"", self.algorithm)?;
        if self.mode == Mode::FullNat {
            writeln!(f, "snat_addresses = {}", quoted(&addresses::snat_addresses(self.family())))?;
        }
        if let Some(lines) = &self.health {
            write!(f, "[services.health]\n{lines}")?;
        }
        for Backend { name, address, weight } in &self.backends {
            writeln!(f, "[[services.backends]]\nname = \"{name}\"\naddress = \"{}\"", address.ip())?;
            writeln!(f, "port = {}\nweight = {weight}", address.port())?;
        }
        Ok(())
    }
}

fn quoted(addresses: &[IpAddr]) -> String {
    let mut list = String::from("[");
    for (index, address) in addresses.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(list, "{comma}\"{address}\"");
    }
    list + "]"
}
