//! An ELF object as a compiler would write it, with one XDP program.

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const EHDR: usize = 64;
/// Names of symbols and sections, at the offsets that the section headers and the symbol use.
const NAMES: &[u8] = b"\0program\0xdp\0.symtab\0.strtab\0";

/// Name of the program in the object.
pub(super) const PROGRAM: &str = "program";

/// Makes the object of some code.
pub(super) fn object(code: &[u8]) -> Vec<u8> {
    // The null symbol, then: name 1 (`program`), a global function, section 1, value 0, the code's size.
    let mut symbols = vec![0; 24];
    symbols.extend(1_u32.to_le_bytes());
    symbols.extend([0x12, 0]);
    symbols.extend(1_u16.to_le_bytes());
    symbols.extend(0_u64.to_le_bytes());
    symbols.extend((code.len() as u64).to_le_bytes());

    let names_at = EHDR + code.len() + symbols.len();
    let sections_at = (names_at + NAMES.len()).next_multiple_of(8);
    let mut object = header(sections_at);
    object.extend(code);
    object.extend(&symbols);
    object.extend(NAMES);
    object.resize(sections_at, 0);
    object.extend([0; 64]);
    object.extend(section(9, PROGBITS, EHDR, code.len(), [0, 0], 0));
    object.extend(section(13, SYMTAB, EHDR + code.len(), symbols.len(), [3, 1], 24));
    object.extend(section(21, STRTAB, names_at, NAMES.len(), [0, 0], 0));
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
