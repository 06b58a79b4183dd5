//! The floors, and the wrapper in which every program is timed.
//!
//! `BPF_PROG_TEST_RUN` does not restore the frame between repetitions, so a program that rewrites it would see its own output. The
//! wrapper writes the headers anew, steps one address field through 2^k flows, and tail-calls the program under test from a
//! subprogram, which brings the way back: a million repetitions are one system call.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use lb_userspace::sys::bpf::{Map, MapShape, RawProgram};

use super::asm::{
    Assembler, Code, MAP_LOOKUP, MAP_UPDATE, R0, R1, R2, R3, R4, R6, R7, R8, R9, STACK, TAIL_CALL, Wide,
    Width,
};

/// XDP actions.
pub(super) const DROP: u32 = 1;
pub(super) const PASS: u32 = 2;
pub(super) const TX: u32 = 3;
pub(super) const REDIRECT: u32 = 4;

/// Never an action: the tail call failed.
const NOT_CALLED: i32 = 99;

const ARRAY: u32 = 2;
const PROG_ARRAY: u32 = 3;

/// A frame whose headers are written before every repetition.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// The frame.
    pub(super) frame: Vec<u8>,
    /// Bytes that are restored: those that programs write, a multiple of 8.
    pub(super) restored: usize,
    /// Offset of the 4-byte field whose value in flow `n` is that of the frame plus `n << 8`, loaded natively.
    pub(super) field: usize,
    /// Number of flows as a power of 2, at most 24.
    pub(super) flows_log2: u32,
}

impl Template {
    /// The field in flow `number`, in wire order.
    pub(super) fn field_of(&self, number: u32) -> u32 {
        self.base().wrapping_add(number << 8)
    }

    fn base(&self) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.frame[self.field..self.field + 4]);
        u32::from_ne_bytes(bytes)
    }
}

/// A program to time, in its wrapper.
#[derive(Debug)]
pub(super) struct Wrapped {
    pub(super) program: RawProgram,
    /// What the wrapper refers to.
    _maps: [Map; 2],
}

impl Wrapped {
    /// Wraps a program.
    ///
    /// # Errors
    /// If the kernel refuses a map or the wrapper.
    pub(super) fn new(template: &Template, inner: BorrowedFd<'_>) -> io::Result<Self> {
        let shape = |map_type| MapShape { map_type, key_size: 4, value_size: 4, max_entries: 1, flags: 0 };
        let state = Map::create(&shape(ARRAY), "bench_state")?;
        let programs = Map::create(&shape(PROG_ARRAY), "bench_program")?;
        let code = wrapper(template, state.as_fd().as_raw_fd(), programs.as_fd().as_raw_fd());
        let program = code.load()?;
        programs.update_program(0, inner)?;
        Ok(Self { program, _maps: [state, programs] })
    }
}

fn wrapper(template: &Template, state: i32, programs: i32) -> Code {
    let mut code = Assembler::default();
    code.copy(R6, R1).load(Width::Word, R7, R6, 0).load(Width::Word, R8, R6, 4);
    code.copy(R2, R7).add(R2, template.restored as i32).jump_if_greater(R2, R8, "short");
    for (index, chunk) in template.frame[..template.restored].chunks_exact(8).enumerate() {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        code.wide(R1, Wide::Number(u64::from_le_bytes(bytes)));
        code.store(Width::Double, R7, 8 * index as i16, R1);
    }
    // Numerical Recipes' generator: its lower k bits have the full period 2^k.
    code.wide(R9, Wide::Value(state)).load(Width::Word, R1, R9, 0);
    code.multiply_add(R1, 1_664_525, 1_013_904_223).store(Width::Word, R9, 0, R1);
    code.place(R1, (1 << template.flows_log2) - 1, 8, template.base());
    code.store(Width::Word, R7, template.field as i16, R1);
    code.copy(R1, R6).call("inner").exit();
    code.label("short").give(NOT_CALLED);
    code.label("inner").wide(R2, Wide::Map(programs)).set(R3, 0).helper(TAIL_CALL).give(NOT_CALLED);
    code.finish()
}

impl Code {
    /// Loads it.
    pub(super) fn load(&self) -> io::Result<RawProgram> {
        RawProgram::load(&self.instructions, &self.functions)
    }
}

/// `return XDP_PASS`.
pub(super) fn pass() -> Code {
    Assembler::default().give(PASS as i32).finish()
}

/// Swaps the MAC addresses, and sends the frame back.
pub(super) fn tx() -> Code {
    let mut code = Assembler::default();
    code.load(Width::Word, R7, R1, 0).load(Width::Word, R8, R1, 4);
    code.copy(R2, R7).add(R2, 14).jump_if_greater(R2, R8, "pass");
    code.load(Width::Word, R1, R7, 0).load(Width::Half, R2, R7, 4);
    code.load(Width::Word, R3, R7, 6).load(Width::Half, R6, R7, 10);
    code.store(Width::Word, R7, 0, R3).store(Width::Half, R7, 4, R6);
    code.store(Width::Word, R7, 6, R1).store(Width::Half, R7, 10, R2).give(TX as i32);
    code.label("pass").give(PASS as i32).finish()
}

/// The least that a balancer of IPv4 does: parse, look the 5-tuple up in an `LRU_HASH` with 16-byte keys, rewrite the frame with
/// constants, send it. Drops what is not found.
pub(super) fn one_lookup(flows: BorrowedFd<'_>) -> Code {
    let mut code = Assembler::default();
    parse(&mut code);
    code.wide(R1, Wide::Map(flows.as_raw_fd())).copy(R2, STACK).add(R2, KEY.into()).helper(MAP_LOOKUP);
    code.jump_if_equal(R0, 0, "drop");
    rewrite(&mut code);
    code.label("pass").give(PASS as i32);
    code.label("drop").give(DROP as i32).finish()
}

/// The least that keeps a flow: as [`one_lookup`], but that it stores entries of 40 bytes, and looks none up. With two, the second is for
/// the answers: its key has the addresses and ports turned.
pub(super) fn insert(flows: BorrowedFd<'_>, entries: u8) -> Code {
    const VALUE: i16 = KEY - 40;
    let mut code = Assembler::default();
    parse(&mut code);
    for offset in (VALUE..KEY).step_by(8) {
        code.store_number(Width::Double, STACK, offset, 1);
    }
    for number in 0..entries {
        if number == 1 {
            code.load(Width::Word, R1, R7, 30).store(Width::Word, STACK, KEY, R1);
            code.load(Width::Word, R1, R7, 26).store(Width::Word, STACK, KEY + 4, R1);
            code.load(Width::Half, R1, R7, 36).store(Width::Half, STACK, KEY + 8, R1);
            code.load(Width::Half, R1, R7, 34).store(Width::Half, STACK, KEY + 10, R1);
        }
        code.wide(R1, Wide::Map(flows.as_raw_fd())).copy(R2, STACK).add(R2, KEY.into());
        code.copy(R3, STACK).add(R3, VALUE.into()).set(R4, 0).helper(MAP_UPDATE);
        code.jump_unless_equal(R0, 0, "drop");
    }
    rewrite(&mut code);
    code.label("pass").give(PASS as i32);
    code.label("drop").give(DROP as i32).finish()
}

/// Where the key is on the stack.
const KEY: i16 = -16;

/// Parses an IPv4 TCP frame: its 5-tuple is the key then, and R7 the frame.
fn parse(code: &mut Assembler) {
    code.load(Width::Word, R7, R1, 0).load(Width::Word, R8, R1, 4);
    code.copy(R2, R7).add(R2, 54).jump_if_greater(R2, R8, "pass");
    code.load(Width::Half, R1, R7, 12).jump_unless_equal(R1, 0x0008, "pass");
    code.load(Width::Byte, R1, R7, 14).jump_unless_equal(R1, 0x45, "pass");
    code.load(Width::Byte, R9, R7, 23).jump_unless_equal(R9, 6, "pass");
    for (word, offset) in (0..).zip([26, 30, 34]) {
        code.load(Width::Word, R1, R7, offset).store(Width::Word, STACK, KEY + 4 * word, R1);
    }
    code.store(Width::Word, STACK, KEY + 12, R9);
}

/// Writes constants where a translation would write, and sends the frame.
fn rewrite(code: &mut Assembler) {
    code.store_number(Width::Word, R7, 0, 0x0200_0002).store_number(Width::Half, R7, 4, 0x0102);
    code.store_number(Width::Word, R7, 6, 0x0300_0002).store_number(Width::Half, R7, 10, 0x0103);
    code.store_number(Width::Byte, R7, 22, 63).store_number(Width::Half, R7, 24, 0x1234);
    code.store_number(Width::Word, R7, 30, 0x0b00_120a).store_number(Width::Half, R7, 50, 0x1234);
    code.give(TX as i32);
}
