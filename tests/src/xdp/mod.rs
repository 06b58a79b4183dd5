//! XDP programs of a few instructions, put together in code: receivers, sinks and senders of frames.

mod object;

use std::time::Duration;

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};

use crate::netns::Netns;

const XDP_DROP: i32 = 1;
const XDP_PASS: i32 = 2;
const XDP_TX: i32 = 3;
/// Number of the helper `bpf_redirect`.
const BPF_REDIRECT: i32 = 23;
/// Frames the kernel makes at a time, the most it allows.
const BATCH: u32 = 256;

/// The instructions of a program.
#[derive(Clone, Debug)]
pub struct Program {
    code: Vec<u8>,
}

impl Program {
    /// Passes every frame.
    #[must_use]
    pub fn pass() -> Self {
        Self::new().returning(XDP_PASS)
    }

    /// Drops frames that have one of these values, as it is on the wire, at an offset; passes all others.
    #[must_use]
    pub fn drop_marked(marks: &[(i16, u16)]) -> Self {
        let mut program = Self::new();
        let end = marks.iter().map(|(offset, _)| offset + 2).max().unwrap_or(0);
        program.begin(i32::from(end), marks.len() as i16 * 2);
        for (place, (offset, value)) in marks.iter().enumerate() {
            let further = (marks.len() - place) as i16 * 2;
            program.put(0x69, reg(5, 2), *offset, 0); // r5 = *(u16 *)(data + offset)
            program.put(0x15, 5, further, i32::from(value.to_be())); // if r5 == value, skip what passes
        }
        program.returning(XDP_PASS).returning(XDP_DROP)
    }

    /// Sends every frame out of an interface of the namespace it is attached in, unchanged.
    #[must_use]
    pub fn redirect(ifindex: u32) -> Self {
        let mut program = Self::new();
        program.put(0xb7, 1, 0, ifindex.cast_signed());
        program.put(0xb7, 2, 0, 0);
        program.put(0x85, 0, 0, BPF_REDIRECT);
        program.put(0x95, 0, 0, 0);
        program
    }

    /// Writes these bytes over the start of every frame and sends it out of where it came in; drops what is shorter.
    ///
    /// Frames of `BPF_PROG_TEST_RUN` are used again with what was last written to them, so each needs its header anew.
    #[must_use]
    pub fn send(header: &[u8]) -> Self {
        let words = header.chunks_exact(8);
        let rest = words.remainder();
        let mut program = Self::new();
        let writes = words.len() * 3 + rest.len();
        program.begin(header.len() as i32, writes as i16 + 2);
        let mut offset = 0;
        for word in words {
            let (low, high) = word.split_at(4);
            program.put(0x18, 5, 0, word_of(low));
            program.put(0, 0, 0, word_of(high));
            program.put(0x7b, reg(2, 5), offset, 0);
            offset += 8;
        }
        for byte in rest {
            program.put(0x72, 2, offset, i32::from(*byte));
            offset += 1;
        }
        program.returning(XDP_TX).returning(XDP_DROP)
    }

    /// Attaches it to an interface, in native mode, for as long as the value lives.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it, or the interface has a program.
    pub fn attach(&self, netns: &Netns, interface: &str) -> Result<Attached> {
        let attach = || -> Result<Ebpf> {
            let mut ebpf = self.load()?;
            program(&mut ebpf)?.attach(interface, XdpMode::Driver)?;
            Ok(ebpf)
        };
        let ebpf = netns
            .run(attach)
            .with_context(|| format!("cannot attach an XDP program to {interface} in {}", netns.name()))?;
        Ok(Attached { _ebpf: ebpf })
    }

    fn load(&self) -> Result<Ebpf> {
        let mut ebpf = Ebpf::load(&object::object(&self.code))?;
        program(&mut ebpf)?.load()?;
        Ok(ebpf)
    }

    fn new() -> Self {
        Self { code: Vec::new() }
    }

    /// Loads the frame's start to r2; if it is shorter than this, skips a number of instructions.
    fn begin(&mut self, length: i32, skip: i16) {
        self.put(0x61, reg(2, 1), 0, 0); // r2 = data
        self.put(0x61, reg(3, 1), 4, 0); // r3 = data_end
        self.put(0xbf, reg(4, 2), 0, 0);
        self.put(0x07, 4, 0, length);
        self.put(0x2d, reg(4, 3), skip, 0); // if r4 > r3
    }

    fn returning(mut self, action: i32) -> Self {
        self.put(0xb7, 0, 0, action);
        self.put(0x95, 0, 0, 0);
        self
    }

    /// Appends an instruction; `registers` is the destination in the low, the source in the high four bits.
    fn put(&mut self, code: u8, registers: u8, offset: i16, immediate: i32) {
        self.code.extend([code, registers]);
        self.code.extend(offset.to_le_bytes());
        self.code.extend(immediate.to_le_bytes());
    }
}

/// An attached program. Detached on drop.
#[derive(Debug)]
pub struct Attached {
    _ebpf: Ebpf,
}

/// Puts frames on a link as fast as one processor can: the kernel makes them (`BPF_F_TEST_XDP_LIVE_FRAMES`), and a program
/// gives them their headers and sends them.
#[derive(Debug)]
pub struct FrameSource {
    ebpf: Ebpf,
    frame: Vec<u8>,
    context: Vec<u8>,
}

impl FrameSource {
    /// Sends copies of `frame` out of an interface, of which the first `header` bytes are written for each.
    ///
    /// To be made and used in a thread that is in the interface's namespace. The interface needs an XDP program.
    ///
    /// # Errors
    ///
    /// If there is no such interface, or the kernel refuses the program.
    pub fn new(interface: &str, frame: &[u8], header: usize) -> Result<Self> {
        let ifindex = nix::net::if_::if_nametoindex(interface).context("no such interface")?;
        let length = u32::try_from(frame.len())?;
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, length, 0, ifindex, 0, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
        Ok(Self { ebpf: Program::send(&frame[..header]).load()?, frame: frame.to_vec(), context })
    }

    /// Sends this many frames, and says what the kernel took for them, rounded to a nanosecond for each. Those that the other end cannot take are lost.
    ///
    /// The call itself takes some 20 ms more: it ends with a grace period of RCU.
    ///
    /// # Errors
    ///
    /// If the kernel has no live frames (before Linux 5.18).
    pub fn send(&mut self, count: u32) -> Result<Duration> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.ctx_in = Some(&self.context);
        options.repeat = count;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let run = program(&mut self.ebpf)?.test_run(options);
        Ok(run.context("cannot send frames by BPF_PROG_TEST_RUN")?.duration * count)
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(object::PROGRAM).context("the object has no program")?.try_into()?)
}

const fn reg(destination: u8, source: u8) -> u8 {
    destination | source << 4
}

fn word_of(bytes: &[u8]) -> i32 {
    i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
