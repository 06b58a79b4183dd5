//! What is known of the machine: plain values, gathered by [`super::inspect`] and judged by [`super::diagnose`]. `None` is always "could not
//! be found out", for lack of rights or because the kernel has no such thing.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::loader::AttachMode;
use crate::model::Config;

/// Everything that the diagnosis goes by.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The configuration file that was read.
    pub config_file: PathBuf,
    /// What it says, or what is wrong with it.
    pub config: Option<Result<Config, String>>,
    /// The machine.
    pub host: Host,
    /// Why the kernel could not be asked for interfaces, addresses, routes and neighbours; `None`: it was not asked, as the configuration
    /// is not valid.
    pub netlink: Option<Result<(), String>>,
    /// The configured interfaces, in the order of the configuration.
    pub interfaces: Vec<Interface>,
    /// Where the backends of the configuration are, each address once.
    pub backends: Vec<Destination>,
    /// Every address of this machine, with the network it is in.
    pub addresses: Vec<LocalAddress>,
    /// The running daemon.
    pub daemon: Daemon,
    /// What is pinned.
    pub pins: Pins,
}

/// The machine, its kernel and what this process may do.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// `uname -r`.
    pub kernel: String,
    /// `net.core.bpf_jit_enable`.
    pub jit: Option<u32>,
    /// Whether the kernel has its types (BTF).
    pub btf: bool,
    /// The clock that the kernel reads, and those that it could.
    pub clock: Option<(String, Vec<String>)>,
    /// Capabilities that this process lacks, of those that it takes to see everything.
    pub missing_capabilities: Vec<String>,
    /// Capabilities that the systemd unit of lbd does not give it; `None`: there is no such unit.
    pub unit_lacks: Option<Vec<String>>,
    /// `net.ipv4.ip_forward`.
    pub forwarding_v4: Option<u32>,
    /// `net.ipv6.conf.all.forwarding`.
    pub forwarding_v6: Option<u32>,
    /// `net.ipv4.conf.lo.forwarding`.
    pub loopback_forwarding_v4: Option<u32>,
    /// `net.ipv6.conf.lo.forwarding`.
    pub loopback_forwarding_v6: Option<u32>,
    /// `net.ipv4.neigh.default.gc_thresh3` and its IPv6 counterpart; only the first network namespace shows them.
    pub neighbour_limits: [Option<usize>; 2],
    /// `net.ipv4.ip_local_port_range`.
    pub local_ports: Option<(u16, u16)>,
    /// Names of nftables' tables.
    pub packet_filters: Option<Vec<String>>,
    /// Whether connections are tracked by netfilter (conntrack).
    pub conntrack: bool,
}

/// A configured interface.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What the kernel knows of it; `None`: it is not there.
    pub link: Option<Link>,
}

/// An interface as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Index.
    pub ifindex: u32,
    /// Switched on.
    pub up: bool,
    /// There is a carrier.
    pub carrier: bool,
    /// Bytes without the link-layer header.
    pub mtu: u32,
    /// The driver, or the kind of a virtual interface.
    pub driver: String,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
    /// VLAN devices on top of it.
    pub vlans: Vec<String>,
    /// The XDP program that is on it.
    pub program: Option<XdpProgram>,
    /// What the driver can do (`netdev` genetlink, Linux 6.3).
    pub xdp: Option<XdpFeatures>,
    /// Offloads (`ethtool -k`).
    pub offloads: Option<Offloads>,
    /// `rp_filter` as it acts: the larger one of `all` and the interface's own.
    pub rp_filter: Option<u32>,
    /// The other end of a veth.
    pub peer: Option<Peer>,
}

/// An XDP program on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// Its id.
    pub id: u32,
    /// Its name, if it could be read.
    pub name: Option<String>,
    /// The hook.
    pub mode: Option<AttachMode>,
    /// Id of the BPF link that it is attached by, if it could be read.
    pub link: Option<u32>,
    /// Whether it is pinned in the configured directory: ours.
    pub ours: bool,
}

/// What a driver can do with XDP (`NETDEV_XDP_ACT_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures(pub u64);

impl XdpFeatures {
    /// Programs in the driver.
    #[must_use]
    pub const fn basic(self) -> bool {
        self.0 & 1 != 0
    }

    /// Sends frames on to another interface.
    #[must_use]
    pub const fn redirect(self) -> bool {
        self.0 & 2 != 0
    }

    /// Takes frames of another interface.
    #[must_use]
    pub const fn ndo_xmit(self) -> bool {
        self.0 & 4 != 0
    }

    /// Receives frames of several buffers.
    #[must_use]
    pub const fn receives_frags(self) -> bool {
        self.0 & 32 != 0
    }

    /// Takes frames of several buffers from another interface.
    #[must_use]
    pub const fn sends_frags(self) -> bool {
        self.0 & 64 != 0
    }
}

/// Offloads that matter to XDP; true: switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Large receive offload.
    pub lro: bool,
    /// GRO in the card.
    pub gro_hw: bool,
    /// Takes VLAN tags out of received frames.
    pub rx_vlan: bool,
    /// Leaves checksums to the receiver.
    pub tx_checksum: bool,
    /// Leaves segmentation to the receiver.
    pub segmentation: bool,
    /// GRO.
    pub gro: bool,
}

/// The other end of a veth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its name, if its namespace could be looked into.
    pub name: Option<String>,
    /// What to put before a command so that it runs there; empty: nothing.
    pub prefix: String,
    /// Its offloads, if its namespace could be looked into.
    pub offloads: Option<Offloads>,
}

/// Where a backend is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its address.
    pub address: IpAddr,
    /// `service/backend` of the first that has it.
    pub name: String,
    /// How it is reached.
    pub route: Route,
}

/// The way to an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// It could not be asked for.
    #[default]
    Unknown,
    /// There is none.
    Missing,
    /// It is this machine.
    Local,
    /// Through an interface.
    Via {
        /// The interface.
        interface: String,
        /// The gateway, or the address itself.
        hop: IpAddr,
        /// What is known of it.
        neighbour: Neighbour,
    },
}

/// A neighbour entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Neighbour {
    /// There is none, or it is being resolved.
    #[default]
    Missing,
    /// Its MAC address is known.
    Known,
    /// It did not answer.
    Failed,
}

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
}

/// The running daemon.
#[derive(Clone, Debug, Default)]
pub struct Daemon {
    /// What it says of itself; else why it could not be asked.
    pub answer: Option<Result<Answer, String>>,
    /// Capabilities that it lacks; `None`: could not be found out.
    pub missing_capabilities: Option<Vec<String>>,
    /// Most files that it may open.
    pub open_files: Option<u64>,
}

/// What the daemon says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Why the maps do not hold the desired state.
    pub problem: Option<String>,
    /// Keys whose new values wait for a restart.
    pub restart_needed: Vec<String>,
    /// Whether there are changes that are not in the file.
    pub unsaved_changes: bool,
    /// The configuration file it runs with.
    pub config_file: String,
}

/// What is pinned.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// The pin directory.
    pub directory: PathBuf,
    /// The mount point that it is below, its file system type and whether it is read-only.
    pub mount: Option<Mount>,
    /// ABI versions that are pinned there; `None`: it cannot be read.
    pub versions: Option<Vec<u32>>,
    /// The ABI version of this program.
    pub own_version: u32,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub point: PathBuf,
    /// Whether it is a BPF file system.
    pub bpf: bool,
    /// Whether it cannot be written to.
    pub read_only: bool,
}
