//! The packet: checked access to the frame behind an XDP context.

use core::{arch::asm, ptr};

use aya_ebpf::{
    helpers::{bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use lb_common::{Packet, packet::MAX_OFFSET};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A frame at the XDP hook.
pub(crate) struct Frame<'a> {
    ctx: &'a XdpContext,
    /// Length of all buffers; the kernel is asked only once.
    length: usize,
}

impl<'a> Frame<'a> {
    /// The frame of a context.
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        // SAFETY: the context is the one the kernel gave us.
        Self { ctx, length: unsafe { bpf_xdp_get_buff_len(ctx.ctx) as usize } }
    }

    /// The address of a `T` at `offset`, if it is inside the linear part.
    #[inline(always)]
    fn at<T>(&self, offset: usize) -> Option<usize> {
        const { assert!(size_of::<T>() > 1) }
        let mut offset = offset;
        // SAFETY: a register is copied to itself. The compiler must not conclude this comparison from others: the verifier needs it as it stands.
        unsafe { asm!("{0} = {0}", inout(reg) offset, options(pure, nomem, nostack, preserves_flags)) };
        if offset > MAX_OFFSET {
            return None;
        }
        // Packet pointers are only what these two loads give; volatile keeps the compiler from truncating or merging them.
        // SAFETY: the context is the one the kernel gave us.
        let (data, end) = unsafe {
            (
                ptr::read_volatile(&raw const (*self.ctx.ctx).data) as usize,
                ptr::read_volatile(&raw const (*self.ctx.ctx).data_end) as usize,
            )
        };
        let start = data + offset;
        (start + size_of::<T>() <= end).then_some(start)
    }
}

impl Packet for Frame<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn read<T: FromBytes + Copy>(&self, offset: usize) -> Option<T> {
        let start = self.at::<T>(offset)?;
        // SAFETY: `at` proved the bytes to be inside the frame; T: FromBytes takes any.
        Some(unsafe { ptr::read_unaligned(start as *const T) })
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable + Copy>(&mut self, offset: usize, value: T) -> Option<()> {
        let start = self.at::<T>(offset)?;
        // SAFETY: `at` proved the bytes to be inside the frame; nothing refers to them.
        unsafe { ptr::write_unaligned(start as *mut T, value) };
        Some(())
    }

    #[inline(always)]
    fn grow_front(&mut self, bytes: usize) -> Option<()> {
        self.length += bytes;
        // SAFETY: the context is the one the kernel gave us; every access derives its pointers anew.
        (unsafe { bpf_xdp_adjust_head(self.ctx.ctx, -(bytes as i32)) } == 0).then_some(())
    }

    #[inline(always)]
    fn truncate(&mut self, length: usize) -> Option<()> {
        let surplus = self.length.checked_sub(length)?;
        self.length = length;
        // SAFETY: as above.
        (unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, -(surplus as i32)) } == 0).then_some(())
    }
}

/// Sends the frame out of another interface; the action to return.
#[inline(always)]
pub(crate) fn redirect(ifindex: u32) -> u32 {
    // SAFETY: the helper takes two numbers.
    unsafe { bpf_redirect(ifindex, 0) as u32 }
}
