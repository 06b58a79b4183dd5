//! Copies of packets for captures: taken before and after the pipeline, told through a ring buffer. Only `lb_capture` calls this.
//!
//! What is kept from the one call to the other lies in per-CPU memory: nothing of it adds to the stack of the pipeline.

use core::{
    arch::asm,
    intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd},
    ptr,
};

use aya_ebpf::{
    helpers::{
        bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_ringbuf_output,
        generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    },
    programs::XdpContext,
};
use lb_common::{
    Action, Verdict,
    abi::{CAPTURE_WINDOW_SHIFT, CAPTURES as MOST, CaptureCounters, CaptureFilter, CapturedPacket, MAX_SNAP},
};

use super::{
    SCRATCH,
    definitions::{CAPTURE_COUNTERS, CAPTURE_RATES, CAPTURE_RING, CAPTURE_SCRATCH, CAPTURES},
};

/// A packet that is being captured.
#[repr(C)]
pub(super) struct Copies {
    record: Record,
    /// Captures that look at it.
    wanted: u32,
    /// Those of them that may have no more packets for now.
    over_rate: u32,
    /// Most bytes to copy.
    snap: u32,
    reserved: u32,
}

#[repr(C)]
struct Record {
    head: CapturedPacket,
    bytes: [u8; 2 * MAX_SNAP as usize],
}

const HEAD: usize = size_of::<CapturedPacket>();

/// Whether a packet, whose way begins, is to be looked at. If so it is copied, unless nobody may have it, and the workspace is made
/// ready; [`end`] has to be called then.
#[inline(never)]
pub(crate) fn begin(ctx: &XdpContext) -> u32 {
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let (Some(copies), Some(scratch)) = (CAPTURE_SCRATCH.get_ptr_mut(0), SCRATCH.get_ptr_mut(0)) else {
        return 0;
    };
    // SAFETY: this CPU's elements, never unmapped; nothing else has them meanwhile.
    let (copies, scratch) = unsafe { (&mut *copies, &mut *scratch) };
    (copies.wanted, copies.over_rate, copies.snap) = (0, 0, 0);
    for index in 0..MOST {
        let Some(filter) = CAPTURES.get(index) else { continue };
        // SAFETY: the helper takes nothing.
        if filter.until <= now || unsafe { bpf_get_prandom_u32() as u32 } > filter.sample {
            continue;
        }
        add(&mut copies.wanted, 1 << index);
        if is_used_up(index, filter, now) {
            add(&mut copies.over_rate, 1 << index);
        } else if filter.snap > unknown(&copies.snap) {
            copies.snap = filter.snap;
        }
    }
    let wanted = unknown(&copies.wanted);
    if wanted == 0 {
        return 0;
    }
    scratch.workspace.forget();
    let head = &mut copies.record.head;
    // SAFETY: the helpers take nothing, or the context that the kernel gave us.
    unsafe {
        head.at = bpf_ktime_get_ns();
        head.cpu = bpf_get_smp_processor_id();
        head.queue = (*ctx.ctx).rx_queue_index;
        head.arrived = bpf_xdp_get_buff_len(ctx.ctx) as u32;
    }
    copies.record.head.arrived_copied = copy(ctx, copies, 0, unknown(&copies.snap));
    wanted
}

/// What is in memory. The verifier knows nothing of it: else it would follow the packet's way once for each set of captures.
#[inline(always)]
fn unknown(value: &u32) -> u32 {
    // SAFETY: a reference.
    unsafe { ptr::read_volatile(value) }
}

/// Sets bits in memory, of which the verifier likewise knows nothing.
#[inline(always)]
fn add(bits: &mut u32, more: u32) {
    let all = unknown(bits) | more;
    // SAFETY: a reference.
    unsafe { ptr::write_volatile(bits, all) }
}

/// Tells of the packet that [`begin`] was called for, if somebody wants one that got this verdict.
#[inline(never)]
pub(crate) fn end(ctx: &XdpContext, verdict: Verdict) -> u32 {
    let (Some(copies), Some(scratch)) = (CAPTURE_SCRATCH.get_ptr_mut(0), SCRATCH.get_ptr_mut(0)) else {
        return 0;
    };
    // SAFETY: this CPU's elements, never unmapped; nothing else has them meanwhile.
    let (copies, scratch) = unsafe { (&mut *copies, &mut *scratch) };
    if unknown(&copies.wanted) == 0 {
        return 0;
    }
    scratch.workspace.seen(ctx.ingress_ifindex() as u32, verdict, &mut copies.record.head.seen);
    choose(copies);
    let captures = unknown(&copies.record.head.captures);
    if captures == 0 {
        return 0;
    }
    let leaves = matches!(verdict.action(), Action::Transmit | Action::Redirect);
    let offset = copies.record.head.arrived_copied;
    // SAFETY: the context is the one that the kernel gave us.
    copies.record.head.leaves = if leaves { unsafe { bpf_xdp_get_buff_len(ctx.ctx) as u32 } } else { 0 };
    copies.record.head.leaves_copied = if leaves { copy(ctx, copies, offset, copies.snap) } else { 0 };
    if !tell(copies) {
        for index in 0..MOST {
            if captures >> index & 1 != 0 {
                count(index, |counters| counters.no_room += 1);
            }
        }
    }
    captures
}

/// Finds the captures that want the packet and may have it; all is counted.
#[inline(always)]
fn choose(copies: &mut Copies) {
    copies.record.head.captures = 0;
    for index in 0..MOST {
        let Some(filter) = CAPTURES.get(index) else { continue };
        if unknown(&copies.wanted) >> index & 1 == 0 {
            continue;
        }
        count(index, |counters| counters.looked_at += 1);
        if !filter.wants(&copies.record.head.seen) {
            continue;
        }
        count(index, |counters| counters.wanted += 1);
        if unknown(&copies.over_rate) >> index & 1 == 0 && take(index, filter, copies.record.head.at) {
            add(&mut copies.record.head.captures, 1 << index);
        } else {
            count(index, |counters| counters.over_rate += 1);
        }
    }
}

/// The number of the window of time.
#[inline(always)]
fn window(now: u64) -> u32 {
    (now >> CAPTURE_WINDOW_SHIFT) as u32
}

/// Whether a capture has as many packets of this window as it may have. Only reads: many CPUs may ask, of every packet.
#[inline(always)]
fn is_used_up(index: u32, filter: &CaptureFilter, now: u64) -> bool {
    let Some(rate) = CAPTURE_RATES.get_ptr_mut(index) else { return true };
    // SAFETY: an element of an array map, never unmapped; aligned 8-byte loads are not torn.
    let used = unsafe { ptr::read_volatile(rate) };
    (used >> 32) as u32 == window(now) && used as u32 >= filter.per_window
}

/// Takes one of the packets of this window; false if there are none left.
#[inline(always)]
fn take(index: u32, filter: &CaptureFilter, now: u64) -> bool {
    let Some(rate) = CAPTURE_RATES.get_ptr_mut(index) else { return false };
    // SAFETY: an element of an array map, never unmapped. Not relaxed: the values are used.
    unsafe {
        let used = ptr::read_volatile(rate);
        if (used >> 32) as u32 != window(now) {
            let first = u64::from(window(now)) << 32;
            // Who comes second finds the window that the first one began.
            let _ = atomic_cxchg::<u64, { AtomicOrdering::AcqRel }, { AtomicOrdering::Acquire }>(
                rate, used, first,
            );
        } else if used as u32 >= filter.per_window {
            return false;
        }
        let used = atomic_xadd::<u64, u64, { AtomicOrdering::AcqRel }>(rate, 1);
        (used as u32) < filter.per_window
    }
}

#[inline(always)]
fn count(index: u32, change: impl FnOnce(&mut CaptureCounters)) {
    if let Some(counters) = CAPTURE_COUNTERS.get_ptr_mut(index) {
        // SAFETY: this CPU's element, never unmapped; nothing else has it meanwhile.
        change(unsafe { &mut *counters });
    }
}

/// A value that the verifier knows nothing of but its type: the comparison that follows stays as it stands.
#[inline(always)]
fn opaque(value: u32) -> u64 {
    let mut value = u64::from(value);
    // SAFETY: a register is copied to itself.
    unsafe { asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

/// Copies the begin of the frame, at most `snap` bytes, behind `offset` bytes of copies; the number of bytes.
#[inline(always)]
fn copy(ctx: &XdpContext, copies: &mut Copies, offset: u32, snap: u32) -> u32 {
    // SAFETY: the context is the one that the kernel gave us.
    let length = unsafe { bpf_xdp_get_buff_len(ctx.ctx) as u32 };
    // By its last byte, as Linux 6.1 does not learn from `length != 0` that it is at least 1. Where there is none, the number wraps around.
    let (offset, last) = (opaque(offset), opaque(length.min(snap).wrapping_sub(1)));
    if offset > MAX_SNAP.into() || last >= MAX_SNAP.into() {
        return 0;
    }
    let length = last + 1;
    let to = (&raw mut copies.record.bytes).cast::<u8>();
    // SAFETY: `offset` and `length` are at most half of `bytes` each.
    let copied = unsafe { bpf_xdp_load_bytes(ctx.ctx, 0, to.add(offset as usize).cast(), length as u32) };
    if copied == 0 { length as u32 } else { 0 }
}

/// Writes the record with its copies; false if the ring has no room.
#[inline(always)]
fn tell(copies: &mut Copies) -> bool {
    let head = &copies.record.head;
    let copied = opaque(head.arrived_copied + head.leaves_copied);
    if copied > 2 * u64::from(MAX_SNAP) {
        return false;
    }
    let from = (&raw mut copies.record).cast();
    // SAFETY: the record is at least that long.
    unsafe {
        bpf_ringbuf_output((&raw const CAPTURE_RING).cast_mut().cast(), from, HEAD as u64 + copied, 0) == 0
    }
}
