//! The stack of a program, from its instructions: the verifier tells it only to those whose program it refuses.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt::{self, Display, Formatter},
};

use anyhow::Result;
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

/// The frame of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The function, without the paths of its module and its types.
    pub function: String,
    /// Bytes that it uses.
    pub bytes: u32,
    /// Its instructions.
    pub instructions: usize,
}

/// Functions that call each other, the program first: their frames are on the stack at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(pub Vec<Frame>);

impl Chain {
    /// Bytes of stack, each frame rounded up as the verifier does.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        self.0.iter().map(|frame| frame.bytes.max(1).next_multiple_of(ROUNDING)).sum()
    }
}

impl Display for Chain {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let frames: Vec<_> =
            self.0.iter().map(|frame| format!("{} {}", frame.function, frame.bytes)).collect();
        write!(f, "{:4}  {}", self.bytes(), frames.join(" > "))
    }
}

/// All chains of calls of an object's programs, the deepest first.
///
/// # Errors
///
/// If the object cannot be read.
pub fn chains(object: &[u8]) -> Result<BTreeMap<String, Vec<Chain>>> {
    let mut object = aya_obj::Object::parse(object)?;
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_calls(&sections)?;
    // Linked functions know their type, and only this; so do the ones that they are copies of.
    let of_types: HashMap<u32, String> = object
        .functions
        .values()
        .filter_map(|function| Some((function.func_info.func_info.first()?.type_id, short(&function.name))))
        .collect();
    let programs = object.programs.iter().filter_map(|(name, program)| {
        let function = object.functions.get(&program.function_key())?;
        let known = function.func_info.func_info.iter();
        let names = known.filter_map(|info| {
            Some((usize::try_from(info.insn_off).ok()?, of_types.get(&info.type_id)?.clone()))
        });
        let names = names.chain([(0, name.clone())]).collect();
        Some((name.clone(), chains_of(&function.instructions, &names)))
    });
    Ok(programs.collect())
}

/// The path of a function below its crate, and the address family it is for.
fn short(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    let (path, types) = name.split_once("::<").unwrap_or((&name, ""));
    let path =
        path.trim_start_matches("lb_common::").trim_start_matches("pipeline::").trim_start_matches("lb::");
    let family = if types.starts_with("[u32; 4]") {
        "<v6>"
    } else if types.starts_with("u32") {
        "<v4>"
    } else {
        ""
    };
    format!("{path}{family}")
}

/// The chains of a linked program, the deepest first. The program comes first, the functions that it calls follow; `names` has those that
/// are known, by their first instruction.
fn chains_of(instructions: &[bpf_insn], names: &HashMap<usize, String>) -> Vec<Chain> {
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
    let functions = starts.iter().zip(ends).map(|(start, end)| {
        let range = *start..end;
        let callees = calls.range(range.clone()).map(|(_, target)| *target).collect();
        let frame = Frame {
            function: names.get(start).cloned().unwrap_or_else(|| format!("function at {start}")),
            bytes: frame(&instructions[range.clone()]),
            instructions: range.len(),
        };
        (*start, Function { frame, callees })
    });
    let mut chains = Vec::new();
    extend(&mut chains, &Chain(Vec::new()), 0, &functions.collect());
    chains.sort_by_key(|chain| Reverse(chain.bytes()));
    chains
}

/// A function, and where those begin that it calls.
struct Function {
    frame: Frame,
    callees: BTreeSet<usize>,
}

/// Adds the chains that begin with `above` and go on with a function. BPF has no recursion.
fn extend(chains: &mut Vec<Chain>, above: &Chain, start: usize, functions: &BTreeMap<usize, Function>) {
    let Some(function) = functions.get(&start) else { return };
    let mut chain = above.clone();
    chain.0.push(function.frame.clone());
    for callee in &function.callees {
        extend(chains, &chain, *callee, functions);
    }
    if function.callees.is_empty() {
        chains.push(chain);
    }
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
        let chains = chains_of(&program, &[(0, "lb".to_owned()), (3, "flow::find".to_owned())].into());
        let lines: Vec<_> = chains.iter().map(ToString::to_string).collect();
        assert_eq!((chains[0].bytes(), lines), (32 + 64, vec!["  96  lb 8 > flow::find 40".to_owned()]));
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
        assert_eq!(chains_of(&program, &HashMap::new())[0].bytes(), 32);
    }

    #[test]
    fn the_names_of_functions_are_short() {
        let name = "_RINvNtNtCsieQQlTDVdI_9lb_common8pipeline9establish6answerAmj4_NtNtCslDwaLatO0xk_2lb4maps4MapsEB12_";
        assert_eq!(short(name), "establish::answer<v6>");
        assert_eq!(short("lb"), "lb");
    }
}
