//! Packets that the data path sends on its own.

/// Kinds of packets that the data path sends on its own: index into `ANSWERS` and [`super::Settings::answer_rates`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An ICMP error: time exceeded, packet too big.
    IcmpError = 0,
    /// A reply to an echo request to a VIP.
    EchoReply = 1,
    /// A RST.
    Reset = 2,
}

impl Answer {
    /// Number of kinds.
    pub const COUNT: usize = 3;
}
