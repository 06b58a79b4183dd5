//! Findings, and the list of what is looked at.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It is as it should be.
    Ok,
    /// Good to know.
    Note,
    /// It works, but worse than it could, or not for all.
    Warning,
    /// Traffic is lost, or will be.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: an interface, a backend; empty: the machine.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What that breaks; empty if it is as it should be.
    pub breaks: &'static str,
    /// The command that puts it right; empty if there is none.
    pub fix: String,
}

/// What is looked at: all findings are of one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// What is looked at, for the documentation.
    pub about: &'static str,
    /// What it breaks if it is not as it should be.
    pub breaks: &'static str,
}

impl Check {
    /// It is as it should be.
    pub(super) fn ok(&self, subject: &str, found: impl Into<String>) -> Finding {
        Finding { breaks: "", ..self.finding(Severity::Ok, subject, found, "") }
    }

    /// Good to know.
    pub(super) fn note(&self, subject: &str, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(Severity::Note, subject, found, fix)
    }

    /// Not as it should be.
    pub(super) fn warning(&self, subject: &str, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(Severity::Warning, subject, found, fix)
    }

    /// Traffic is lost.
    pub(super) fn error(&self, subject: &str, found: impl Into<String>, fix: impl Into<String>) -> Finding {
        self.finding(Severity::Error, subject, found, fix)
    }

    fn finding(
        &self,
        severity: Severity,
        subject: &str,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding {
            id: self.id,
            severity,
            subject: subject.to_owned(),
            found: found.into(),
            breaks: self.breaks,
            fix: fix.into(),
        }
    }
}

macro_rules! checks {
    ($($name:ident = $id:literal, $about:literal, $breaks:literal;)+) => {
        $(pub(super) const $name: Check = Check { id: $id, about: $about, breaks: $breaks };)+
        /// Everything that is looked at, in the order of the report.
        pub const CHECKS: &[Check] = &[$($name),+];
    };
}

checks! {
    CONFIG = "config", "the configuration file is valid",
        "lbd does not start with it, and a reload is refused";
    KERNEL = "kernel", "Linux 6.1 or later",
        "older kernels lack what the programs need: lbd does not start, or frames of several buffers are refused";
    JIT = "bpf-jit", "BPF programs are compiled",
        "the program is interpreted for every packet, which costs several times as much";
    BTF = "btf", "the kernel has its types",
        "nothing of lbd; tracing with bpftool and bpftrace shows less";
    BPFFS = "bpffs", "the pin directory is on a BPF file system that can be written to",
        "lbd cannot pin: it does not start, unless it may mount the file system by itself";
    PINS = "pins", "nothing is pinned by another version",
        "the pins of another version hold memory, and may be a program that still forwards";
    CAPABILITIES = "capabilities", "this process, lbd and its systemd unit have CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON",
        "without CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON lbd cannot load and attach its program; without CAP_NET_RAW it cannot send ICMP checks and \
         RSTs; without them here, doctor sees less";
    DAEMON = "daemon", "lbd runs and has applied what it should",
        "forwarding goes on without lbd, but dead backends stay in, flows do not expire and nothing can be changed";
    OPEN_FILES = "open-files", "lbd may open a file for each backend that is checked",
        "health checks fail once no file can be opened, and backends go down that live";
    CLOCK = "clock", "the kernel reads a fast clock",
        "reading the time costs a microsecond instead of some nanoseconds, for everything on this machine";
    LOOPBACK = "loopback-forwarding", "forwarding is on for the loopback device, from whose view routes are looked up",
        "every look-up of a route fails: new flows are dropped (no-route)";
    FORWARDING = "ip-forward", "the kernel forwards what is not balanced",
        "in mode `nat` the backends' default gateway is this machine: their own traffic (DNS, updates) ends here";
    NEIGHBOURS = "neighbour-table", "the kernel's neighbour table has room for every next hop",
        "once it is full, no new neighbour is resolved on the whole machine: backends become unreachable";
    FILTER = "packet-filter", "rules of a packet filter, and connection tracking",
        "balanced packets pass by the packet filter and connection tracking, which see only what is for the host: no rule applies to them";
    NETLINK = "netlink", "the kernel says what interfaces, addresses, routes and neighbours there are",
        "nothing of lbd by itself; what doctor could find out about interfaces and the ways to backends is missing";
    INTERFACE = "interface", "every configured interface is there and up",
        "lbd does not start without it; what arrives there is not balanced";
    ENSLAVED = "interface-kind", "no configured interface is a VLAN device, a bridge or bond, or belongs to one",
        "routes lead to the upper device, where the program is not: packets are dropped (egress-not-attached), or go the slow way";
    PROGRAM = "xdp-program", "lbd's program, and no other, is on every interface",
        "two programs cannot be on one interface: lbd is refused (busy); without its program nothing is balanced there";
    XDP_MODE = "xdp-mode", "the driver runs XDP programs by itself (native mode)",
        "in generic mode a packet costs several times as much, and `xdp_mode = \"native\"` is refused";
    XDP_TARGET = "xdp-redirect", "every interface takes frames that are redirected to it",
        "frames for that interface are dropped without a trace in the drop reasons";
    MTU = "mtu", "frames fit into one buffer, or the driver takes several",
        "the driver refuses the program at this MTU, or drops the larger frames";
    LRO = "lro", "the card does not merge packets (LRO, GRO in hardware)",
        "merged packets are larger than the MTU: they cannot be forwarded, and their senders are told so";
    VLAN_OFFLOAD = "vlan-offload", "the card leaves VLAN tags in the frames",
        "a tagged frame looks untagged to the program, and is forwarded without its tag";
    VETH_CHECKSUM = "veth-checksum", "the other end of a veth sends complete checksums and segments",
        "what it sends has unfinished checksums and more than one segment, which XDP forwards so: receivers drop it";
    VETH_RECEIVER = "veth-receiver", "the other end of a veth polls (GRO or an XDP program), so that XDP can send to it",
        "frames that are redirected into the veth are dropped";
    RP_FILTER = "rp-filter", "no strict reverse path filter",
        "an answer to a health check that comes back through another interface than the one its route names is dropped: the backend is taken to be down";
    ROUTE = "backend-route", "there is a route to every backend",
        "its packets are dropped (no-route), and its health check fails";
    EGRESS = "backend-interface", "every backend is reached through a configured interface",
        "its packets are dropped (egress-not-attached)";
    NEIGHBOUR = "backend-neighbour", "the next hop of every backend is resolved",
        "its packets are dropped (neighbour-missing)";
    VIP = "vip", "every VIP is an address of this machine, or routed to it",
        "nobody answers ARP for it: routers and clients of that network do not find it";
    SNAT = "snat-address", "every SNAT address is an address of this machine, or routed to it",
        "the answers of the backends find no way back";
    PORTS = "port-range", "source ports of `full-nat` are not those that the host itself uses",
        "a connection of the host's own from a SNAT address can have the port of a flow: its answers go to a client";
}
