//! The steps of an input.
//!
//! The first byte says what happens: a frame as it is (interface, length (2), bytes), a packet of a client, an answer to a frame that was sent before, an ICMP error about
//! one, a frame that came before with some bytes changed, an echo request; or time passes, or a backend's state changes.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    Action,
    host::{Extension, FrameSpec, Piece, Transport},
    wire::{ACK, DESTINATION_OPTIONS, FIN, HOP_BY_HOP, ICMP, ICMPV6, RST, SYN, UDP},
};

use super::world::{CLIENTS, NARROW, Network, SERVERS, World, address, host_mac, mac};
use crate::{
    input::Input,
    reference::{Health, Seen},
};

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A frame arrives.
    Frame { ingress: u32, frame: Vec<u8> },
    /// Ticks pass.
    Wait(u32),
    /// A backend is in another state.
    Backend(u32, Health),
}

const FLAGS: [u8; 8] = [SYN, ACK, SYN | ACK, FIN | ACK, RST, RST | ACK, 0, ACK | 8];

/// Where frames arrive.
const INTERFACES: [u32; 3] = [CLIENTS, SERVERS, NARROW];

/// The byte that chooses an interface; the clients' for one that there is not.
pub(super) fn choice_of(ingress: u32) -> u8 {
    INTERFACES.iter().position(|known| *known == ingress).unwrap_or_default() as u8
}

/// Makes frames, some of them of what was sent before.
#[derive(Debug)]
pub(super) struct Player<'a> {
    world: &'a World,
    /// Frames that came.
    came: Vec<(u32, Vec<u8>)>,
    /// Frames that were sent, and by which interface.
    sent: Vec<(u32, Vec<u8>)>,
}

impl<'a> Player<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        Self { world, came: Vec::new(), sent: Vec::new() }
    }

    pub(super) fn was_sent(&mut self, seen: &Seen<'_>) {
        let egress =
            if seen.verdict.action() == Action::Redirect { seen.verdict.argument() } else { seen.ingress };
        self.sent.push((egress, seen.after.to_vec()));
    }

    pub(super) fn next(&mut self, input: &mut Input<'_>) -> Event {
        let (ingress, frame) = match input.byte() & 15 {
            0 => {
                let ingress = input.choose(&INTERFACES);
                let length = usize::from(input.half()) % 2048;
                (ingress, input.bytes(length).to_vec())
            }
            1..=4 => self.request(input),
            5..=8 => self.reply(input),
            9 => self.icmp_error(input),
            10 | 11 => self.damaged(input),
            12 => self.echo(input),
            13 => return Event::Wait(input.choose(&[1, 2, 5, 9, 17, 30, 61, 200])),
            14 => {
                return Event::Backend(
                    u32::from(input.byte() & 3) + 1,
                    input.choose(&[Health::Active, Health::Draining, Health::Down]),
                );
            }
            _ => self.request(input),
        };
        // The kernel has none that are shorter.
        let mut frame = frame;
        frame.resize(frame.len().max(14), 0);
        self.came.push((ingress, frame.clone()));
        Event::Frame { ingress, frame }
    }

    fn at(&self, network: Network, number: u8) -> IpAddr {
        address(self.world.is_v6, network, number)
    }

    /// A packet from outside.
    fn request(&self, input: &mut Input<'_>) -> (u32, Vec<u8>) {
        let who = input.byte();
        let martian: IpAddr =
            if self.world.is_v6 { "fe80::1".parse().expect("an address") } else { [127, 0, 0, 1].into() };
        let src = match who & 15 {
            0..=5 => self.at(Network::Clients, 10),
            6..=8 => self.at(Network::Clients, 11),
            9 | 10 => self.at(Network::Far, 50),
            11 => self.at(Network::Far, 77),
            12 => self.at(Network::Far, 60),
            13 => self.at(Network::Servers, 11),
            14 => martian,
            _ => self.at(Network::Vips, 100),
        };
        let what = input.byte();
        let sport = [40_000, 40_001, 8080, 53, 0, 1023, 40_000, 40_002][usize::from(what & 7)];
        let dst = if what & 8 == 0 { self.at(Network::Vips, 100) } else { self.at(Network::Vips, 101) };
        let dport = [80, 80, 443, 80][usize::from(what >> 4 & 3)];
        let flags = FLAGS[usize::from(who >> 4) & 7];
        let ingress = if who & 15 == 13 { SERVERS } else { CLIENTS };
        self.frame(SocketAddr::new(src, sport), SocketAddr::new(dst, dport), flags, ingress, input)
    }

    /// An answer to a frame that was sent.
    fn reply(&self, input: &mut Input<'_>) -> (u32, Vec<u8>) {
        let which = usize::from(input.byte());
        let flags = input.choose(&FLAGS);
        let Some((egress, src, dst)) =
            self.sent.iter().rev().nth(which % self.sent.len().max(1)).and_then(|(egress, frame)| {
                let (src, dst) = self.ends(frame)?;
                Some((*egress, src, dst))
            })
        else {
            return self.request(input);
        };
        self.frame(dst, src, flags, egress, input)
    }

    /// Source and destination of an untagged frame without options.
    fn ends(&self, frame: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
        let (at, length, ports) = if self.world.is_v6 { (22, 16, 54) } else { (26, 4, 34) };
        let address = |at: usize| -> Option<IpAddr> {
            let bytes = frame.get(at..at + length)?;
            <[u8; 4]>::try_from(bytes)
                .map(IpAddr::from)
                .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
                .ok()
        };
        let port = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
        Some((
            SocketAddr::new(address(at)?, port(ports)?),
            SocketAddr::new(address(at + length)?, port(ports + 2)?),
        ))
    }

    /// A frame with these ends; how it looks otherwise is in the input.
    fn frame(
        &self,
        src: SocketAddr,
        dst: SocketAddr,
        flags: u8,
        ingress: u32,
        input: &mut Input<'_>,
    ) -> (u32, Vec<u8>) {
        let mut frame =
            if self.world.proto == UDP { FrameSpec::udp(src, dst) } else { FrameSpec::tcp(src, dst, flags) };
        (frame.dmac, frame.smac) = (mac(ingress), host_mac(src.ip()));
        let look = input.byte();
        if look & 1 != 0 {
            frame.hop_limit = input.choose(&[0, 1, 2, 255]);
        }
        if look & 2 != 0 {
            frame.tags =
                vec![(0x8100, 7), (0x88a8, 9), (0x8100, 1)][..usize::from(input.byte() & 3)].to_vec();
        }
        if look & 4 != 0 {
            let count = usize::from(input.byte() & 7);
            frame.options = vec![1; count * 4];
            frame.extensions = (0..count)
                .map(|number| {
                    Extension::options(if number == 0 { HOP_BY_HOP } else { DESTINATION_OPTIONS }, number & 1)
                })
                .collect();
        }
        let size = if look & 8 != 0 { usize::from(input.half()) % 1600 } else { 15 };
        frame.payload = vec![b'x'; size];
        if look & 16 != 0 {
            let offset = usize::from(input.byte() & 3) * 8;
            frame.fragment =
                Some(Piece { offset: offset.min(size), length: 8 + usize::from(input.byte() & 7) * 8 });
            frame.fragment = frame.fragment.map(|piece| Piece { offset: piece.offset / 8 * 8, ..piece });
            frame.id = u32::from(input.byte() & 1) + 5;
        }
        if look & 32 != 0 {
            frame.trailer = vec![0; 20];
        }
        if let Transport::Udp { checksum, .. } = &mut frame.transport {
            *checksum = look & 64 == 0 || src.is_ipv6();
        }
        if look & 128 != 0 {
            frame.dmac = [2, 9, 9, 9, 9, 9];
        }
        (ingress, frame.build())
    }

    /// An error about a frame that was sent.
    fn icmp_error(&self, input: &mut Input<'_>) -> (u32, Vec<u8>) {
        let which = usize::from(input.byte());
        let Some((egress, quoted)) = self.sent.iter().rev().nth(which % self.sent.len().max(1)) else {
            return self.request(input);
        };
        let Some((src, dst)) = self.ends(quoted) else { return self.request(input) };
        let what = input.byte();
        let from = if what & 1 == 0 { dst.ip() } else { self.at(Network::Servers, 254) };
        let kinds: [(u8, u8); 4] = if self.world.is_v6 {
            [(1, 4), (2, 0), (3, 0), (4, 1)]
        } else {
            [(3, 3), (3, 4), (11, 0), (12, 0)]
        };
        let (kind, code) = kinds[usize::from(what >> 1 & 3)];
        let mut error = FrameSpec::icmp(from, src.ip(), kind, code, 1280);
        (error.dmac, error.smac) = (mac(*egress), host_mac(from));
        error.payload = quoted[14..].to_vec();
        error.payload.truncate(if what & 8 == 0 { 600 } else { 20 + usize::from(input.byte()) });
        (*egress, error.build())
    }

    /// A frame that came, with bytes changed, or cut.
    fn damaged(&self, input: &mut Input<'_>) -> (u32, Vec<u8>) {
        let which = usize::from(input.byte());
        let Some((ingress, frame)) = self.came.iter().rev().nth(which % self.came.len().max(1)) else {
            return self.request(input);
        };
        let (mut frame, what) = (frame.clone(), input.byte());
        for _ in 0..what & 3 {
            let at = usize::from(input.byte()) % frame.len();
            frame[at] = input.byte();
        }
        if what & 4 != 0 {
            frame.truncate(14 + usize::from(input.byte()));
        }
        (*ingress, frame)
    }

    fn echo(&self, input: &mut Input<'_>) -> (u32, Vec<u8>) {
        let what = input.byte();
        let src = if what & 1 == 0 { self.at(Network::Clients, 10) } else { self.at(Network::Far, 77) };
        let dst = if what & 2 == 0 { self.at(Network::Vips, 100) } else { self.at(Network::Servers, 1) };
        let kind = match (what >> 2 & 3, self.world.is_v6) {
            (3, _) => input.byte(),
            (_, true) => 128,
            _ => 8,
        };
        let mut echo = FrameSpec::icmp(src, dst, kind, 0, 0x0001_0002);
        (echo.dmac, echo.smac) = (mac(CLIENTS), host_mac(src));
        echo.payload = vec![7; usize::from(input.byte())];
        debug_assert!(matches!(echo.protocol(), ICMP | ICMPV6));
        (CLIENTS, echo.build())
    }
}

/// Steps of a connection: handshake, data both ways, an error, an echo, a pause, a backend that goes away, an end.
pub(super) fn conversation(seed: u8) -> Vec<u8> {
    let look = if seed & 1 == 0 { 0 } else { seed & 0x27 };
    let mut steps = Vec::new();
    steps.extend([1, 0, 0, 0]);
    steps.extend([5, 0, 2, 0]);
    steps.extend([1, 0x10, 0, 0]);
    steps.extend([5, 0, 1, 8, 100, 0]);
    steps.extend([9, 1, seed & 7]);
    steps.extend([13, seed & 1]);
    steps.extend([1, 0x10, 0, 24, 40, 0, 0, 2, 1]);
    steps.extend([1, 0x10, 0, 24, 40, 0, 3, 7, 1]);
    steps.extend([10, 0, 1, seed, 1]);
    steps.extend([12, 0, 20]);
    steps.extend([1, 6, 1, 0]);
    steps.extend([14, seed & 3, 2]);
    steps.extend([1, 0x10, 0, look, 1, 1, 1, 1]);
    steps.extend([1, 0x30, 0, 0]);
    steps.extend([5, 2, 3, 0]);
    steps
}
