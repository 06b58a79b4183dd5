//! The stack of a program, from its instructions: the verifier tells it only to those whose program it refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use aya_obj::generated::bpf_insn;

/// `BPF_JMP | BPF_CALL`, and its source register for a function of the program.
const CALL: u8 = 0x85;
const OF_PROGRAM: u8 = 1;
/// `BPF_ALU64 | BPF_MOV | BPF_X` and `BPF_ALU64 | BPF_ADD | BPF_K`.
const COPY: u8 = 0xbf;
const ADD: u8 = 0x07;
/// The frame pointer.
const FRAME: u8 = 10;
/// Instruction classes, in the three lowest bits of the code: the ones that read from memory and write to it.
const LOAD: u8 = 1;
const STORE: u8 = 2;
const STORE_REGISTER: u8 = 3;
const CLASS: u8 = 7;
/// The verifier rounds frames up to this; newer kernels only to 16 where a JIT makes the frames.
const ROUNDING: u32 = 32;

/// Bytes of stack that the deepest chain of calls needs, each frame rounded up as the verifier does. The program comes first,
/// the functions that it calls follow.
#[must_use]
pub(super) fn deepest(instructions: &[bpf_insn]) -> u32 {
    let calls: BTreeMap<usize, usize> = instructions
        .iter()
        .enumerate()
        .filter(|(_, instruction)| instruction.code == CALL && instruction.src_reg() == OF_PROGRAM)
        .filter_map(|(at, instruction)| {
            let target = i64::try_from(at).ok()? + 1 + i64::from(instruction.imm);
            Some((at, usize::try_from(target).ok()?))
        })
        .collect();
    let starts: BTreeSet<usize> = calls.values().copied().chain([0]).collect();
    let ends = starts.iter().copied().skip(1).chain([instructions.len()]);
    let functions: BTreeMap<usize, Range<usize>> =
        starts.iter().zip(ends).map(|(start, end)| (*start, *start..end)).collect();
    below(0, &functions, &calls, instructions)
}

/// The stack of a function and of those below it. BPF has no recursion.
fn below(
    start: usize,
    functions: &BTreeMap<usize, Range<usize>>,
    calls: &BTreeMap<usize, usize>,
    instructions: &[bpf_insn],
) -> u32 {
    let Some(range) = functions.get(&start) else { return 0 };
    let callees: BTreeSet<usize> = calls.range(range.clone()).map(|(_, target)| *target).collect();
    let most = callees.into_iter().map(|callee| below(callee, functions, calls, instructions)).max();
    frame(&instructions[range.clone()]).max(1).next_multiple_of(ROUNDING) + most.unwrap_or_default()
}

/// How far below the frame pointer a function goes.
fn frame(instructions: &[bpf_insn]) -> u32 {
    let mut lowest = 0;
    let mut copies = [None; 11];
    copies[usize::from(FRAME)] = Some(0_i32);
    for instruction in instructions {
        let (to, from) = (usize::from(instruction.dst_reg()), usize::from(instruction.src_reg()));
        let class = instruction.code & CLASS;
        match (instruction.code, class) {
            (COPY, _) => copies[to] = copies[from],
            (ADD, _) => {
                copies[to] = copies[to].map(|offset| offset + instruction.imm);
                lowest = lowest.min(copies[to].unwrap_or_default());
            }
            (_, LOAD) => {
                let offset = copies[from].map_or(0, |offset| offset + i32::from(instruction.off));
                lowest = lowest.min(offset);
                copies[to] = None;
            }
            (_, STORE | STORE_REGISTER) => {
                let offset = copies[to].map_or(0, |offset| offset + i32::from(instruction.off));
                lowest = lowest.min(offset);
            }
            // Calls leave nothing in r0 to r5.
            (CALL, _) => copies[..6].fill(None),
            (_, 4 | 7) => copies[to] = None,
            _ => {}
        }
    }
    lowest.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u8, to: u8, from: u8, off: i16, imm: i32) -> bpf_insn {
        bpf_insn { code, _bitfield_1: bpf_insn::new_bitfield_1(to, from), off, imm, ..zeroed() }
    }

    fn zeroed() -> bpf_insn {
        bpf_insn {
            code: 0,
            _bitfield_align_1: [],
            _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
            off: 0,
            imm: 0,
        }
    }

    const EXIT: u8 = 0x95;
    /// `*(u64 *)(to + off) = from`.
    const STORE_U64: u8 = 0x7b;

    #[test]
    fn frames_of_a_chain_of_calls_add_up() {
        let program = [
            instruction(STORE_U64, FRAME, 1, -8, 0),
            instruction(CALL, 0, OF_PROGRAM, 0, 1),
            instruction(EXIT, 0, 0, 0, 0),
            // The function: r2 = r10; r2 += -40; *(u64 *)(r2 + 0) = r1.
            instruction(COPY, 2, FRAME, 0, 0),
            instruction(ADD, 2, 0, 0, -40),
            instruction(STORE_U64, 2, 1, 0, 0),
            instruction(EXIT, 0, 0, 0, 0),
        ];
        assert_eq!(deepest(&program), 32 + 64);
    }

    #[test]
    fn other_memory_is_no_stack() {
        let program = [
            instruction(COPY, 2, FRAME, 0, 0),
            // r2 = *(u64 *)(r1 + 0)
            instruction(0x79, 2, 1, 0, 0),
            instruction(STORE_U64, 2, 1, -64, 0),
            instruction(EXIT, 0, 0, 0, 0),
        ];
        assert_eq!(deepest(&program), 32);
    }
}
