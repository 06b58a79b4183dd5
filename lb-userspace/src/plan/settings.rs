//! The settings of the data path.

use std::time::Duration;

use lb_common::abi::{Answer, FlowState, Settings, SettingsFlags, TICK_SHIFT};

use crate::model::{AnswerRates, Draft, LatencyMetrics, Replication, SnatPorts, TableFull, Timeouts};

/// Source ports that full NAT may allocate, as the port pools are set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// Lowest.
    pub min: u16,
    /// Highest.
    pub max: u16,
}

impl PortRange {
    /// The word of a port pool that covers ports `64 * word ..= 64 * word + 63`, with only the ports outside the range set.
    #[must_use]
    pub fn initial_word(self, word: u32) -> u64 {
        (0..64)
            .filter(|bit| {
                let port = word * 64 + bit;
                port < u32::from(self.min) || port > u32::from(self.max)
            })
            .fold(0, |bits, bit| bits | 1 << bit)
    }
}

impl From<SnatPorts> for PortRange {
    fn from(ports: SnatPorts) -> Self {
        Self { min: ports.min, max: ports.max }
    }
}

/// A duration in ticks, rounded up.
#[must_use]
pub fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1 << TICK_SHIFT)).unwrap_or(u32::MAX)
}

pub(super) fn settings(config: &Draft, seed: u64) -> Settings {
    let mut timeouts = [0; 16];
    for state in FlowState::ALL {
        timeouts[state as usize] = ticks(timeout(&config.timeouts, state));
    }
    Settings {
        seed: [seed as u32, (seed >> 32) as u32],
        flags: flags(config),
        port_min: config.snat_ports.min,
        port_max: config.snat_ports.max,
        answer_rates: rates(&config.answers),
        timeouts,
        ..Settings::default()
    }
}

/// What flows that another machine is to have ask for. Both machines come to different halves of the ports, as each has the other one's
/// address.
fn replicating(replication: &Replication) -> u32 {
    let is_first = replication.local_address < replication.peer_address;
    SettingsFlags::TELL_FLOWS | if is_first { SettingsFlags::EVEN_PORTS } else { SettingsFlags::ODD_PORTS }
}

fn rates(answers: &AnswerRates) -> [u32; Answer::COUNT] {
    let mut rates = [0; Answer::COUNT];
    rates[Answer::IcmpError as usize] = answers.icmp_errors;
    rates[Answer::EchoReply as usize] = answers.echo_replies;
    rates[Answer::Reset as usize] = answers.resets;
    rates
}

fn flags(config: &Draft) -> u32 {
    let tells = config.replication.as_ref().map_or(0, replicating);
    let times = if config.latency == LatencyMetrics::Off { 0 } else { SettingsFlags::TIME_HANDSHAKES };
    let refuses =
        if config.limits.table_full == Some(TableFull::Reject) { SettingsFlags::REFUSE_WHEN_FULL } else { 0 };
    tells | times | refuses
}

fn timeout(timeouts: &Timeouts, state: FlowState) -> Duration {
    match state {
        FlowState::SynSent | FlowState::SynReceived | FlowState::PickedUp => timeouts.tcp_handshake,
        FlowState::UdpNew => timeouts.udp_new,
        FlowState::Established => timeouts.tcp_established,
        FlowState::FinClient | FlowState::FinBackend => timeouts.tcp_half_closed,
        FlowState::Closing => timeouts.tcp_closing,
        FlowState::Closed => timeouts.tcp_closed,
        FlowState::UdpAnswered | FlowState::UdpEstablished => timeouts.udp_established,
    }
}
