//! The XDP program `lb`: a thin shell around `lb_common::process`.
//!
//! `xdp` is the packet, `maps` the tables; all unsafe code is in these two. On the host the binary only says what it is.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![cfg_attr(any(target_arch = "bpf", feature = "lint"), feature(core_intrinsics))]
#![cfg_attr(
    any(target_arch = "bpf", feature = "lint"),
    expect(internal_features, reason = "BPF has its atomics only as intrinsics")
)]

#[cfg(any(target_arch = "bpf", feature = "lint"))]
mod maps;
#[cfg(any(target_arch = "bpf", feature = "lint"))]
mod program;
#[cfg(any(target_arch = "bpf", feature = "lint"))]
mod xdp;

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("This is the BPF program of lbd; `cargo xtask build` builds it for the kernel.");
}
