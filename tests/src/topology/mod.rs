//! The network: client - balancer - servers, each in a namespace of its own, joined by a switch.
//!
//! ```text
//! Arms::Two   client ---- balancer ---- switch ---- server-1, server-2, ...
//!                     eth0        eth1        `---- narrow path (MTU 1280) ---- far server
//! Arms::One   client ---- switch ---- balancer (eth0), servers as above
//! ```
//!
//! Every host sends complete checksums, and what the balancer's XDP program sends arrives (see [`links`]).

pub mod addresses;
pub mod links;
pub mod pair;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};

use crate::{netns::Netns, xdp};
pub use addresses::Family;

/// How the balancer is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arms {
    /// One interface for clients and servers: packets leave where they came in.
    One,
    /// One interface for clients, one for servers.
    Two,
}

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How the balancer is connected.
    pub arms: Arms,
    /// Number of servers next to the switch.
    pub servers: u16,
    /// Adds a server behind a path with an MTU of 1280 bytes.
    pub narrow: bool,
    /// Whether the balancer's kernel forwards packets, too.
    pub kernel_forwarding: bool,
    /// Whether all know the MAC addresses of their neighbours for good: nothing is resolved while something is measured, and the
    /// machine's limit of neighbours, which all namespaces share, does not matter.
    pub fixed_neighbours: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { arms: Arms::Two, servers: 3, narrow: false, kernel_forwarding: false, fixed_neighbours: false }
    }
}

/// A server's namespace.
#[derive(Debug)]
pub struct Host {
    /// `server-1` and so on.
    pub name: String,
    /// Its namespace; the interface is `eth0`.
    pub netns: Netns,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Host {
    /// Its address in a family.
    #[must_use]
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }
}

/// A place to watch traffic.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// What the link connects.
    pub name: &'a str,
    /// The namespace to watch in.
    pub netns: &'a Netns,
    /// The interface to watch.
    pub interface: &'a str,
}

/// The network. One exists at a time in a process, but for those built [beside](Self::beside) it: tests that run at once would take each other's processor time, and disturb
/// what is measured.
#[derive(Debug)]
pub struct Topology {
    /// Where clients run; the interface is `eth0`.
    pub client: Netns,
    /// Where `lbd` runs.
    pub balancer: Netns,
    /// The bridge `br0` that joins the rest.
    pub switch: Netns,
    /// The servers next to the switch.
    pub servers: Vec<Host>,
    /// The server behind the narrow path.
    pub far: Option<Host>,
    routers: Vec<Netns>,
    plan: Plan,
    /// Programs at the other ends of the balancer's links.
    receivers: Vec<xdp::Attached>,
    _alone: Option<MutexGuard<'static, ()>>,
}

impl Topology {
    /// Builds it and waits until all parts reach each other.
    ///
    /// # Errors
    ///
    /// If a namespace, link or address cannot be made.
    pub fn build(plan: Plan) -> Result<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        Self::build_holding(plan, Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Builds another one that exists beside this one, for who takes care not to use both at once. Names and addresses are the same.
    ///
    /// # Errors
    ///
    /// As [`Self::build`].
    pub fn beside(&self, plan: Plan) -> Result<Self> {
        Self::build_holding(plan, None)
    }

    fn build_holding(plan: Plan, alone: Option<MutexGuard<'static, ()>>) -> Result<Self> {
        let mut topology = Self {
            client: Netns::create("client")?,
            balancer: Netns::create("balancer")?,
            switch: Netns::create("switch")?,
            servers: Vec::new(),
            far: None,
            routers: Vec::new(),
            plan,
            receivers: Vec::new(),
            _alone: alone,
        };
        topology.connect_core()?;
        for _ in 0..plan.servers {
            topology.add_server()?;
        }
        if plan.narrow {
            topology.add_far_server()?;
        }
        topology.client.wait_reachable(addresses::BALANCER_CLIENT_V4.into())?;
        topology.client.wait_reachable(addresses::BALANCER_CLIENT_V6.into())?;
        Ok(topology)
    }

    /// Adds a server next to the switch.
    ///
    /// # Errors
    ///
    /// If it cannot be connected.
    pub fn add_server(&mut self) -> Result<&Host> {
        let index = u16::try_from(self.servers.len()).context("too many servers")?;
        let name = format!("server-{}", index + 1);
        let netns = Netns::create(&name)?;
        let (v4, v6) = (addresses::server_v4(index), addresses::server_v6(index));
        links::plug_in(&self.switch, &name, &netns)?;
        links::address(&netns, "eth0", v4, v6)?;
        links::default_route(&netns, addresses::BALANCER_SERVER_V4, addresses::BALANCER_SERVER_V6)?;
        if self.plan.fixed_neighbours {
            links::acquaint((&netns, "eth0", &[v4.into(), v6.into()]), self.servers_side())?;
        }
        self.servers.push(Host { name, netns, v4, v6 });
        let host = &self.servers[usize::from(index)];
        host.netns.wait_reachable(addresses::BALANCER_SERVER_V4.into())?;
        host.netns.wait_reachable(addresses::BALANCER_SERVER_V6.into())?;
        Ok(host)
    }

    /// The balancer's interfaces, for the configuration.
    #[must_use]
    pub fn interfaces(&self) -> &'static [&'static str] {
        match self.plan.arms {
            Arms::One => &["eth0"],
            Arms::Two => &["eth0", "eth1"],
        }
    }

    /// Every link, each at an end where frames are seen as they crossed it.
    ///
    /// Frames that XDP redirects are invisible on the balancer's own interfaces, so its links are watched at the other end.
    #[must_use]
    pub fn links(&self) -> Vec<Link<'_>> {
        let switch = Link { name: "balancer-switch", netns: &self.switch, interface: "balancer" };
        let client = Link { name: "client", netns: &self.client, interface: "eth0" };
        let servers = self.servers.iter().chain(&self.far);
        let servers = servers.map(|host| Link { name: &host.name, netns: &host.netns, interface: "eth0" });
        [client, switch].into_iter().chain(servers).collect()
    }

    /// Makes the client and the far server forget what MTUs they have learned.
    ///
    /// # Errors
    ///
    /// If `ip` fails.
    pub fn forget_mtus(&self) -> Result<()> {
        for netns in [&self.client].into_iter().chain(self.far.as_ref().map(|far| &far.netns)) {
            netns.ip("-4 route flush cache")?;
            netns.ip("-6 route flush cache")?;
        }
        Ok(())
    }

    /// Attaches a program to the other ends of the balancer's links, in place of the one that was there; at first one passes
    /// all frames.
    ///
    /// What XDP sends (`XDP_TX`) into a veth only wakes the other end up if that has an XDP program itself; GRO, which also makes
    /// it poll, is not enough (`veth_xdp_flush` in drivers/net/veth.c). Network cards have no such condition.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the program.
    pub fn receive_with(&mut self, program: &xdp::Program) -> Result<()> {
        self.receivers.clear();
        self.receivers.push(program.attach(&self.switch, "balancer")?);
        if self.plan.arms == Arms::Two {
            self.receivers.push(program.attach(&self.client, "eth0")?);
        }
        Ok(())
    }

    /// Brings up the client, the balancer and the switch.
    fn connect_core(&mut self) -> Result<()> {
        let forwarding = if self.plan.kernel_forwarding { "1" } else { "0" };
        self.balancer.sysctl("net/ipv4/ip_forward", forwarding)?;
        self.balancer.sysctl("net/ipv6/conf/all/forwarding", forwarding)?;
        links::bridge(&self.switch)?;
        let server_side = match self.plan.arms {
            Arms::One => {
                links::plug_in(&self.switch, "client", &self.client)?;
                links::plug_in(&self.switch, "balancer", &self.balancer)?;
                "eth0"
            }
            Arms::Two => {
                links::cable(&self.balancer, "eth0", &self.client, "eth0")?;
                links::cable(&self.balancer, "eth1", &self.switch, "balancer")?;
                links::join_bridge(&self.switch, "balancer")?;
                "eth1"
            }
        };
        self.receive_with(&xdp::Program::pass())?;
        links::address(&self.client, "eth0", addresses::CLIENT_V4, addresses::CLIENT_V6)?;
        for (v4, v6) in addresses::more_clients() {
            links::address(&self.client, "eth0", v4, v6)?;
        }
        links::address(&self.balancer, "eth0", addresses::BALANCER_CLIENT_V4, addresses::BALANCER_CLIENT_V6)?;
        links::address(
            &self.balancer,
            server_side,
            addresses::BALANCER_SERVER_V4,
            addresses::BALANCER_SERVER_V6,
        )?;
        for (v4, v6) in addresses::snat() {
            links::address(&self.balancer, server_side, v4, v6)?;
        }
        links::default_route(&self.client, addresses::BALANCER_CLIENT_V4, addresses::BALANCER_CLIENT_V6)?;
        if self.plan.fixed_neighbours {
            let clients: Vec<IpAddr> = Family::ALL.into_iter().flat_map(addresses::clients).collect();
            let own = [addresses::BALANCER_CLIENT_V4.into(), addresses::BALANCER_CLIENT_V6.into()];
            links::acquaint((&self.client, "eth0", &clients), (&self.balancer, "eth0", &own))?;
        }
        // A port is free for a new connection one second after the last one: thousands of requests per second need that.
        self.client.sysctl("net/ipv4/tcp_tw_reuse", "1")
    }

    /// The balancer's interface and addresses on the servers' side.
    fn servers_side(&self) -> links::End<'_> {
        static ADDRESSES: LazyLock<Vec<IpAddr>> = LazyLock::new(|| {
            let own = [addresses::BALANCER_SERVER_V4.into(), addresses::BALANCER_SERVER_V6.into()];
            let snat = Family::ALL.into_iter().flat_map(addresses::snat_addresses);
            own.into_iter().chain(snat).collect()
        });
        let interface = if self.plan.arms == Arms::One { "eth0" } else { "eth1" };
        (&self.balancer, interface, &ADDRESSES)
    }

    /// Adds two routers with a link of MTU 1280 between them, and a server behind the second.
    fn add_far_server(&mut self) -> Result<()> {
        let near = Netns::create("router-near")?;
        let distant = Netns::create("router-far")?;
        let netns = Netns::create("far")?;
        for router in [&near, &distant] {
            router.sysctl("net/ipv4/ip_forward", "1")?;
            router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        }
        links::plug_in(&self.switch, "router", &near)?;
        links::cable(&near, "eth1", &distant, "eth1")?;
        links::cable(&distant, "eth0", &netns, "eth0")?;
        for router in [&near, &distant] {
            router.ip("link set eth1 mtu 1280")?;
        }
        links::address(&near, "eth0", addresses::ROUTER_V4, addresses::ROUTER_V6)?;
        links::address(&near, "eth1", addresses::NARROW_NEAR_V4, addresses::NARROW_NEAR_V6)?;
        links::address(&distant, "eth1", addresses::NARROW_FAR_V4, addresses::NARROW_FAR_V6)?;
        links::address(&distant, "eth0", addresses::FAR_ROUTER_V4, addresses::FAR_ROUTER_V6)?;
        let (v4, v6) = (addresses::FAR_SERVER_V4, addresses::FAR_SERVER_V6);
        links::address(&netns, "eth0", v4, v6)?;
        links::default_route(&netns, addresses::FAR_ROUTER_V4, addresses::FAR_ROUTER_V6)?;
        links::default_route(&distant, addresses::NARROW_NEAR_V4, addresses::NARROW_NEAR_V6)?;
        links::default_route(&near, addresses::BALANCER_SERVER_V4, addresses::BALANCER_SERVER_V6)?;
        for prefix in ["10.2.0.0/24", "2001:db8:2::/64"] {
            let (family, via) = if prefix.contains(':') {
                ("-6", IpAddr::from(addresses::NARROW_FAR_V6))
            } else {
                ("-4", IpAddr::from(addresses::NARROW_FAR_V4))
            };
            near.ip(&format!("{family} route add {prefix} via {via}"))?;
        }
        self.balancer.ip(&format!("route add 10.2.0.0/24 via {}", addresses::ROUTER_V4))?;
        self.balancer.ip(&format!("-6 route add 2001:db8:2::/64 via {}", addresses::ROUTER_V6))?;
        self.balancer.wait_reachable(v4.into())?;
        self.balancer.wait_reachable(v6.into())?;
        self.far = Some(Host { name: "far".to_owned(), netns, v4, v6 });
        self.routers.extend([near, distant]);
        Ok(())
    }
}
