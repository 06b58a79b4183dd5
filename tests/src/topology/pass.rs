//! The smallest XDP program: it passes every frame.
//!
//! What XDP sends (`XDP_TX`) into a veth only wakes the other end up if that has an XDP program itself; GRO, which also makes
//! it poll, is not enough (`veth_xdp_flush` in drivers/net/veth.c). Network cards have no such condition.

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{Xdp, XdpMode},
};

use crate::netns::Netns;

/// Attaches the program to an interface, for as long as the value lives.
pub(super) fn attach(netns: &Netns, interface: &str) -> Result<Ebpf> {
    let load = || -> Result<Ebpf> {
        let mut ebpf = Ebpf::load(&object())?;
        let program: &mut Xdp = ebpf.program_mut("pass").context("no program `pass`")?.try_into()?;
        program.load()?;
        program.attach(interface, XdpMode::Driver)?;
        Ok(ebpf)
    };
    netns
        .run(load)
        .with_context(|| format!("cannot attach an XDP program to {interface} in {}", netns.name()))
}

/// `r0 = XDP_PASS; exit`.
const CODE: [u8; 16] = [0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
/// Names of symbols and sections, at the offsets that [`SECTIONS`] and the symbol use.
const NAMES: &[u8] = b"\0pass\0xdp\0.symtab\0.strtab\0";

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const EHDR: usize = 64;

/// An ELF object with the program as a compiler would write it.
fn object() -> Vec<u8> {
    // The null symbol, then: name 1 (`pass`), a global function, section 1, value 0, the code's size.
    let mut symbols = vec![0; 24];
    symbols.extend(1_u32.to_le_bytes());
    symbols.extend([0x12, 0]);
    symbols.extend(1_u16.to_le_bytes());
    symbols.extend(0_u64.to_le_bytes());
    symbols.extend((CODE.len() as u64).to_le_bytes());

    let names_at = EHDR + CODE.len() + symbols.len();
    let sections_at = (names_at + NAMES.len()).next_multiple_of(8);
    let mut object = header(sections_at);
    object.extend(CODE);
    object.extend(&symbols);
    object.extend(NAMES);
    object.resize(sections_at, 0);
    object.extend([0; 64]);
    object.extend(section(6, PROGBITS, EHDR, CODE.len(), [0, 0], 0));
    object.extend(section(10, SYMTAB, EHDR + CODE.len(), symbols.len(), [3, 1], 24));
    object.extend(section(18, STRTAB, names_at, NAMES.len(), [0, 0], 0));
    object
}

/// The file header: 64 bit, little endian, relocatable, for BPF (247), with 4 sections of which the last has the names.
fn header(sections_at: usize) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    for half in [1_u16, 247] {
        header.extend(half.to_le_bytes());
    }
    header.extend(1_u32.to_le_bytes());
    for word in [0, 0, sections_at as u64] {
        header.extend(word.to_le_bytes());
    }
    header.extend(0_u32.to_le_bytes());
    for half in [64_u16, 0, 0, 64, 4, 3] {
        header.extend(half.to_le_bytes());
    }
    header
}

/// A section header; `link_info` is what a symbol table has: the section of its names, and its first global symbol.
fn section(name: u32, kind: u32, offset: usize, size: usize, link_info: [u32; 2], entry: u64) -> Vec<u8> {
    // SHF_ALLOC | SHF_EXECINSTR for the code.
    let flags: u64 = if kind == PROGBITS { 6 } else { 0 };
    let mut section = Vec::with_capacity(64);
    section.extend(name.to_le_bytes());
    section.extend(kind.to_le_bytes());
    for word in [flags, 0, offset as u64, size as u64] {
        section.extend(word.to_le_bytes());
    }
    for half in link_info {
        section.extend(half.to_le_bytes());
    }
    for word in [8, entry] {
        section.extend(word.to_le_bytes());
    }
    section
}
