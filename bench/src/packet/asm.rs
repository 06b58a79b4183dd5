//! The few BPF instructions that the floors and the wrapper are made of, as `linux/bpf.h` encodes them: opcode (8 bits), destination
//! and source register (4 each), offset (16), immediate (32).

/// Registers: the program's argument and scratch, those that calls preserve, the stack.
pub(super) const R0: u8 = 0;
pub(super) const R1: u8 = 1;
pub(super) const R2: u8 = 2;
pub(super) const R3: u8 = 3;
pub(super) const R4: u8 = 4;
pub(super) const R6: u8 = 6;
pub(super) const R7: u8 = 7;
pub(super) const R8: u8 = 8;
pub(super) const R9: u8 = 9;
pub(super) const STACK: u8 = 10;

/// `bpf_map_lookup_elem`.
pub(super) const MAP_LOOKUP: i32 = 1;
/// `bpf_map_update_elem`.
pub(super) const MAP_UPDATE: i32 = 2;
/// `bpf_tail_call`.
pub(super) const TAIL_CALL: i32 = 12;

/// Width of a load or store.
#[derive(Clone, Copy)]
pub(super) enum Width {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

/// What the second half of a two-word load means.
#[derive(Clone, Copy)]
pub(super) enum Wide {
    Number(u64),
    /// A map, by its descriptor.
    Map(i32),
    /// The first element of an array map, by its descriptor.
    Value(i32),
}

/// Instructions, and the numbers of those that begin a function.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) instructions: Vec<u64>,
    pub(super) functions: Vec<u32>,
}

/// A program under construction.
#[derive(Default)]
pub(super) struct Assembler {
    code: Vec<u64>,
    functions: Vec<u32>,
    /// Jumps to the place that [`Assembler::label`] will name.
    pending: Vec<(usize, &'static str)>,
}

impl Assembler {
    fn push(&mut self, opcode: u8, dst: u8, src: u8, offset: i16, immediate: i32) -> &mut Self {
        let registers = u64::from(dst | src << 4);
        self.code.push(
            u64::from(opcode)
                | registers << 8
                | u64::from(offset as u16) << 16
                | u64::from(immediate as u32) << 32,
        );
        self
    }

    /// `dst = src`.
    pub(super) fn copy(&mut self, dst: u8, src: u8) -> &mut Self {
        self.push(0xbf, dst, src, 0, 0)
    }

    /// `dst = number`.
    pub(super) fn set(&mut self, dst: u8, number: i32) -> &mut Self {
        self.push(0xb7, dst, 0, 0, number)
    }

    /// `dst += number`, 64 bits.
    pub(super) fn add(&mut self, dst: u8, number: i32) -> &mut Self {
        self.push(0x07, dst, 0, 0, number)
    }

    /// `dst = dst * factor + term`, 32 bits.
    pub(super) fn multiply_add(&mut self, dst: u8, factor: u32, term: u32) -> &mut Self {
        self.push(0x24, dst, 0, 0, factor as i32).push(0x04, dst, 0, 0, term as i32)
    }

    /// `dst = ((dst & mask) << shift) + rest`, 32 bits.
    pub(super) fn place(&mut self, dst: u8, mask: u32, shift: i32, rest: u32) -> &mut Self {
        self.push(0x54, dst, 0, 0, mask as i32);
        self.push(0x64, dst, 0, 0, shift).push(0x04, dst, 0, 0, rest as i32)
    }

    /// `dst = *(src + offset)`.
    pub(super) fn load(&mut self, width: Width, dst: u8, src: u8, offset: i16) -> &mut Self {
        self.push(0x61 | width as u8, dst, src, offset, 0)
    }

    /// `*(dst + offset) = src`.
    pub(super) fn store(&mut self, width: Width, dst: u8, offset: i16, src: u8) -> &mut Self {
        self.push(0x63 | width as u8, dst, src, offset, 0)
    }

    /// `*(dst + offset) = number`.
    pub(super) fn store_number(&mut self, width: Width, dst: u8, offset: i16, number: i32) -> &mut Self {
        self.push(0x62 | width as u8, dst, 0, offset, number)
    }

    /// `dst =` 64 bits.
    pub(super) fn wide(&mut self, dst: u8, what: Wide) -> &mut Self {
        let (source, low, high) = match what {
            Wide::Number(number) => (0, number as u32, (number >> 32) as u32),
            Wide::Map(fd) => (1, fd as u32, 0),
            Wide::Value(fd) => (2, fd as u32, 0),
        };
        self.push(0x18, dst, source, 0, low as i32).push(0, 0, 0, 0, high as i32)
    }

    /// `if dst > src goto label`.
    pub(super) fn jump_if_greater(&mut self, dst: u8, src: u8, label: &'static str) -> &mut Self {
        self.jump(0x2d, dst, src, 0, label)
    }

    /// `if dst == number goto label`.
    pub(super) fn jump_if_equal(&mut self, dst: u8, number: i32, label: &'static str) -> &mut Self {
        self.jump(0x15, dst, 0, number, label)
    }

    /// `if dst != number goto label`.
    pub(super) fn jump_unless_equal(&mut self, dst: u8, number: i32, label: &'static str) -> &mut Self {
        self.jump(0x55, dst, 0, number, label)
    }

    fn jump(&mut self, opcode: u8, dst: u8, src: u8, number: i32, label: &'static str) -> &mut Self {
        self.pending.push((self.code.len(), label));
        self.push(opcode, dst, src, 0, number)
    }

    /// Calls a helper of the kernel.
    pub(super) fn helper(&mut self, number: i32) -> &mut Self {
        self.push(0x85, 0, 0, 0, number)
    }

    /// Calls the function that begins at a label.
    pub(super) fn call(&mut self, label: &'static str) -> &mut Self {
        self.pending.push((self.code.len(), label));
        self.push(0x85, 0, 1, 0, -1)
    }

    /// `return number`.
    pub(super) fn give(&mut self, number: i32) -> &mut Self {
        self.set(R0, number).exit()
    }

    /// `return r0`.
    pub(super) fn exit(&mut self) -> &mut Self {
        self.push(0x95, 0, 0, 0, 0)
    }

    /// The place that jumps and calls with this label lead to; all of them stand before it.
    pub(super) fn label(&mut self, label: &'static str) -> &mut Self {
        let here = self.code.len();
        for (at, _) in self.pending.extract_if(.., |(_, name)| *name == label) {
            let distance = (here - at - 1) as u64;
            let is_call = self.code[at] & 0xff == 0x85;
            if is_call {
                self.functions.push(here as u32);
                self.code[at] = self.code[at] & 0xffff_ffff | distance << 32;
            } else {
                self.code[at] |= (distance & 0xffff) << 16;
            }
        }
        self
    }

    /// The program.
    pub(super) fn finish(&mut self) -> Code {
        assert!(self.pending.is_empty(), "a label is missing");
        let mut functions = std::mem::take(&mut self.functions);
        functions.insert(0, 0);
        Code { instructions: std::mem::take(&mut self.code), functions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_and_calls_lead_to_their_labels() {
        let mut program = Assembler::default();
        program.jump_if_equal(R1, 7, "end").call("end").set(R0, 1);
        let code = program.label("end").exit().finish();
        assert_eq!(code.functions, [0, 3]);
        let code = code.instructions;
        assert_eq!(code[0], 0x15 | 1 << 8 | 2 << 16 | 7 << 32);
        assert_eq!(code[1], 0x85 | 0x10 << 8 | 1 << 32);
        assert_eq!(code[3], 0x95);
    }
}
