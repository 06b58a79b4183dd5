//! The data path of a former version in the place of the present one: what an upgrade finds.
//!
//! Its object is real; the part of its `lbd` is played here, which fills the one map whose layout changed and switches the links.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::Array,
    programs::{
        Xdp,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use lb_common::{
    abi::{ABI_VERSION, Abi, Address, Backend, Flow, FlowKey, Interface, former},
    maps,
};
use lb_userspace::sys::bpf::Map;

use crate::daemon::Daemon;

const FLOWS_V4: [&str; 2] = [maps::FLOWS_V4, maps::EMBRYONIC_V4];
const FLOWS_V6: [&str; 2] = [maps::FLOWS_V6, maps::EMBRYONIC_V6];
/// Maps that layout 1 does not have, or has in another layout, or that hold nothing that lasts.
const OWN: [&str; 23] = [
    maps::FULL_AT,
    maps::ORIGINS_V4,
    maps::ORIGINS_V6,
    maps::OWN_ADDRESSES,
    maps::BACKEND_LIMITS,
    maps::BACKEND_PLACES,
    maps::SERVICE_PLACES,
    maps::AFFINITY,
    maps::COOKIES_V4,
    maps::COOKIES_V6,
    maps::SYN_COOKIES,
    maps::BACKEND_HOPS,
    maps::BACKEND_SIGNALS,
    maps::BACKEND_LATENCIES,
    maps::HANDSHAKES,
    maps::CLIENT_HOPS,
    maps::VIRTUAL_MACS,
    maps::FLOATING,
    maps::RELAYS,
    maps::INTERFACES,
    maps::SCRATCH,
    maps::EVENTS,
    maps::FLOW_EVENTS,
];

/// A form of layout 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its first: other flows.
    First,
    /// Its last: the same flows.
    Last,
}

impl Form {
    /// Both.
    pub const ALL: [Self; 2] = [Self::First, Self::Last];

    fn object(self) -> Result<Vec<u8>> {
        let name = match self {
            Self::First => "layout-1-first.o.xz",
            Self::Last => "layout-1.o.xz",
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name);
        let unpacked = Command::new("xz").arg("-dc").arg(&path).stdin(Stdio::null()).output();
        let output = unpacked.context("cannot run xz; `cargo xtask setup` installs what is needed")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "xz -dc {}: {said}", path.display());
        Ok(output.stdout)
    }
}

/// A former version, for the pins of a daemon.
#[derive(Debug)]
pub struct Former {
    form: Form,
    /// Where it pins.
    pins: PathBuf,
    /// Where the present version pins.
    present: PathBuf,
    interfaces: HashMap<u32, Interface>,
    /// Entries of the maps.
    sizes: Vec<(&'static str, u32)>,
}

impl Former {
    /// Notes what it needs to know of the daemon's maps, which are those of the present version.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn of(daemon: &Daemon, form: Form) -> Result<Self> {
        let root = daemon.pin_directory();
        let present = root.join(format!("v{ABI_VERSION}"));
        let interfaces = Map::open(&present.join(maps::INTERFACES))?.entries::<u32, Interface>()?;
        let interfaces = interfaces.into_iter().filter(|(_, interface)| interface.flags != 0).collect();
        let mut sizes = Vec::new();
        for name in maps::ALL {
            sizes.push((*name, Map::open(&present.join(name))?.info().shape.max_entries));
        }
        Ok(Self { form, pins: root.join("v1"), present, interfaces, sizes })
    }

    /// Takes the place of the present version, of which nothing is left, with everything that it forwards.
    ///
    /// # Errors
    ///
    /// If a system call fails.
    pub fn put_in_place(&self) -> Result<()> {
        fs::create_dir(&self.pins).context("cannot create its directory")?;
        let converted =
            |name: &str| self.form == Form::First && [FLOWS_V4, FLOWS_V6].concat().contains(&name);
        for name in maps::ALL.iter().filter(|name| !OWN.contains(name) && !converted(name)) {
            fs::hard_link(self.present.join(name), self.pins.join(name))?;
        }
        // It makes a flow of every SYN.
        let backends = Map::open(&self.pins.join(maps::BACKENDS))?;
        for (id, backend) in backends.entries::<u32, Backend>()?.into_iter().filter(|(_, one)| one.flags != 0)
        {
            backends.update(&id, &Backend { flags: 0, ..backend })?;
        }
        let ebpf = self.load()?;
        self.copy_flows()?;
        for link in links(&self.present)? {
            fs::hard_link(self.present.join(&link), self.pins.join(&link))?;
        }
        self.switch(ebpf)?;
        self.copy_flows()?;
        for entry in fs::read_dir(&self.present)? {
            fs::remove_file(entry?.path())?;
        }
        fs::remove_dir(&self.present).context("cannot remove the directory of the present version")
    }

    /// Does what its `lbd` does at the start: loads its program with the maps that are pinned, and switches the links to it.
    ///
    /// # Errors
    ///
    /// If a system call fails.
    pub fn start(&self) -> Result<()> {
        self.switch(self.load()?)
    }

    fn load(&self) -> Result<Ebpf> {
        let mut loader = EbpfLoader::new();
        for (name, entries) in &self.sizes {
            loader.map_pin_path(name, self.pins.join(name)).map_max_entries(name, *entries);
        }
        let mut ebpf = loader.load(&self.form.object()?).context("cannot load the former object")?;
        let map = ebpf.map_mut(maps::INTERFACES).context("it has no interfaces")?;
        let mut table = Array::<_, [u8; 48]>::try_from(map)?;
        for (ifindex, interface) in &self.interfaces {
            table.set(*ifindex, former_interface(interface), 0)?;
        }
        program(&mut ebpf)?.load().context("the kernel refuses the former program")?;
        Ok(ebpf)
    }

    fn switch(&self, mut ebpf: Ebpf) -> Result<()> {
        let program = program(&mut ebpf)?;
        for name in links(&self.pins)? {
            let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(self.pins.join(name))?))?;
            let id = program.attach_to_link(link)?;
            drop(program.take_link(id)?);
        }
        Ok(())
    }

    fn copy_flows(&self) -> Result<()> {
        if self.form == Form::Last {
            return Ok(());
        }
        FLOWS_V4.iter().try_for_each(|name| self.copy_table::<u32>(name))?;
        FLOWS_V6.iter().try_for_each(|name| self.copy_table::<[u32; 4]>(name))
    }

    fn copy_table<A: Address>(&self, name: &str) -> Result<()>
    where
        FlowKey<A>: Abi,
        Flow<A>: Abi,
        former::Flow<A>: Abi,
    {
        let (from, to) = (Map::open(&self.present.join(name))?, Map::open(&self.pins.join(name))?);
        for (key, flow) in from.entries::<FlowKey<A>, Flow<A>>()? {
            let present = to.lookup::<FlowKey<A>, former::Flow<A>>(&key)?;
            if present.is_none_or(|present| present.last_seen < flow.last_seen) {
                to.update(&key, &self.former_flow(&flow))?;
            }
        }
        Ok(())
    }

    fn former_flow<A: Address>(&self, flow: &Flow<A>) -> former::Flow<A> {
        let hop = flow.next_hop;
        let smac = self.interfaces.get(&hop.ifindex.into()).map(|interface| interface.mac.octets());
        former::Flow {
            src: flow.src,
            dst: flow.dst,
            sport: flow.sport,
            dport: flow.dport,
            l3_delta: flow.l3_delta,
            l4_delta: flow.l4_delta,
            next_hop: former::NextHop {
                dmac: hop.dmac,
                smac: smac.unwrap_or_default(),
                ifindex: hop.ifindex.into(),
                generation: hop.generation,
            },
            backend: flow.backend,
            last_seen: flow.last_seen,
            service: flow.service,
            state: flow.state,
            flags: flow.flags,
        }
    }
}

/// An element of `INTERFACES` in layout 1: flags, MTU, IPv6 address, IPv4 address, MAC address, 14 bytes of 0.
fn former_interface(interface: &Interface) -> [u8; 48] {
    let words = [interface.flags, interface.mtu].into_iter().chain(interface.addr6).chain([interface.addr4]);
    let bytes = words.flat_map(u32::to_ne_bytes).chain(interface.mac.octets());
    let mut element = [0; 48];
    element.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    element
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut("lb").context("the object has no program named lb")?.try_into()?)
}

/// The names of the links that are pinned in a directory.
///
/// # Errors
///
/// If it cannot be read.
pub fn links(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.starts_with("link-").then_some(name));
    }
    names.sort();
    Ok(names)
}
