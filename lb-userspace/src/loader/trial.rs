//! Whether the loaded program works: it is run on packets that leave no trace.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use crate::sys::bpf::test_run;

/// `XDP_PASS`.
const PASS: u32 = 2;

/// The program, to be tried out.
#[derive(Debug)]
pub struct Trial {
    program: OwnedFd,
    id: u32,
}

impl Trial {
    pub(super) const fn new(program: OwnedFd, id: u32) -> Self {
        Self { program, id }
    }

    /// The program's id.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Runs the program in the kernel on an IPv4 and an IPv6 packet that seem to have arrived at the loopback interface, for another MAC:
    /// it goes its way up to the table of interfaces, and has to pass them on. No flow, and no counter but that of the loopback
    /// interface, changes by it.
    ///
    /// # Errors
    /// What `BPF_PROG_TEST_RUN` says, or that the verdict was another one.
    pub fn run(&self) -> io::Result<()> {
        for frame in [&ipv4()[..], &ipv6()] {
            let action = test_run(self.program.as_fd(), 0, frame, 1)?.action;
            if action != PASS {
                return Err(io::Error::other(format!("a packet to be passed got XDP action {action}")));
            }
        }
        Ok(())
    }
}

/// From the documentation's addresses to themselves, UDP, port 9 (discard).
fn ipv4() -> [u8; 60] {
    let mut frame = ethernet(0x0800);
    frame[14..34]
        .copy_from_slice(&[0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0x4e, 0xcd, 192, 0, 2, 1, 192, 0, 2, 2]);
    frame[34..42].copy_from_slice(&UDP);
    frame
}

fn ipv6() -> [u8; 62] {
    let mut frame = [0; 62];
    frame[..60].copy_from_slice(&ethernet(0x86dd));
    frame[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, 8, 17, 64]);
    let address = |last| [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    frame[22..38].copy_from_slice(&address(1));
    frame[38..54].copy_from_slice(&address(2));
    frame[54..62].copy_from_slice(&UDP);
    frame
}

/// Ports, length, no checksum.
const UDP: [u8; 8] = [0, 9, 0, 9, 0, 8, 0, 0];

/// To a locally administered MAC that no interface has.
fn ethernet(ether_type: u16) -> [u8; 60] {
    let mut frame = [0; 60];
    frame[..12].copy_from_slice(&[0x06, b'l', b'b', 0, 0, 1, 0x06, b'l', b'b', 0, 0, 2]);
    frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
    frame
}
