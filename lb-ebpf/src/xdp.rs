//! The packet: checked access to the frame behind an XDP context.

use core::{arch::asm, cell::Cell, ptr};

use aya_ebpf::{
    helpers::{bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use lb_common::{Packet, packet::MAX_OFFSET};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A frame at the XDP hook.
pub(crate) struct Frame<'a> {
    ctx: &'a XdpContext,
    /// Length of all buffers; the kernel is asked at most once.
    length: Cell<Option<usize>>,
}

impl<'a> Frame<'a> {
    /// The frame of a context.
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx, length: Cell::new(None) }
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

/// Loads and stores of a packet are assembly: headers have no alignment that the compiler could know of, and it would go byte by byte.
macro_rules! access {
    ($load:ident, $store:ident, $type:ty, $width:literal) => {
        /// # Safety
        ///
        /// The bytes at `address + AT` were proved to be in the frame.
        #[inline(always)]
        unsafe fn $load<const AT: usize>(address: usize) -> $type {
            let value: u64;
            // SAFETY: passed on to the caller.
            unsafe {
                asm!(
                    concat!("{0} = *(", $width, " *)({1} + {2})"),
                    lateout(reg) value, in(reg) address, const AT,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            value as $type
        }

        /// # Safety
        ///
        /// As for loads, and nothing refers to the bytes.
        #[inline(always)]
        unsafe fn $store<const AT: usize>(address: usize, value: $type) {
            // SAFETY: passed on to the caller.
            unsafe {
                asm!(
                    concat!("*(", $width, " *)({0} + {1}) = {2}"),
                    in(reg) address, const AT, in(reg) u64::from(value),
                    options(nostack, preserves_flags)
                );
            }
        }
    };
}

access!(load_word, store_word, u32, "u32");
access!(load_half, store_half, u16, "u16");

/// A value as the words and the half that it is loaded and stored by.
#[repr(C)]
union Pieces<T: Copy> {
    value: T,
    words: [u32; LARGEST / 4],
    halves: [u16; LARGEST / 2],
}

/// Bytes of the largest value that is read or written at once.
const LARGEST: usize = 64;

/// Does something for the offset of each word and each half of a value.
macro_rules! for_pieces {
    ($type:ty, $word:ident, $half:ident; $($at:literal)+) => {{
        const { assert!(size_of::<$type>() <= LARGEST && size_of::<$type>() % 2 == 0) }
        $(
            if size_of::<$type>() >= $at + 4 {
                $word!($at);
            } else if size_of::<$type>() == $at + 2 {
                $half!($at);
            }
        )+
    }};
}

/// The beginning of a frame, of which `bytes` were proved to be there.
///
/// `bytes` is a constant to the compiler, so the comparisons with it vanish.
pub(crate) struct Head {
    data: usize,
    bytes: usize,
    length: usize,
}

impl Head {
    #[inline(always)]
    fn check<T, const AT: usize>(&self) {
        assert!(AT + size_of::<T>() <= self.bytes);
    }
}

impl lb_common::packet::Head for Head {
    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn half<const AT: usize>(&self) -> u16 {
        self.check::<u16, AT>();
        // SAFETY: checked above.
        unsafe { load_half::<AT>(self.data) }
    }

    #[inline(always)]
    fn word<const AT: usize>(&self) -> u32 {
        self.check::<u32, AT>();
        // SAFETY: checked above.
        unsafe { load_word::<AT>(self.data) }
    }

    #[inline(always)]
    fn set_half<const AT: usize>(&mut self, value: u16) {
        self.check::<u16, AT>();
        // SAFETY: checked above.
        unsafe { store_half::<AT>(self.data, value) }
    }

    #[inline(always)]
    fn set_word<const AT: usize>(&mut self, value: u32) {
        self.check::<u32, AT>();
        // SAFETY: checked above.
        unsafe { store_word::<AT>(self.data, value) }
    }
}

impl Packet for Frame<'_> {
    type Head<'a>
        = Head
    where
        Self: 'a;

    #[inline(always)]
    fn head(&mut self, bytes: usize) -> Option<Head> {
        // Packet pointers are only what these two loads give; volatile keeps the compiler from truncating them.
        // SAFETY: the context is the one the kernel gave us.
        let (data, end) = unsafe {
            (
                ptr::read_volatile(&raw const (*self.ctx.ctx).data) as usize,
                ptr::read_volatile(&raw const (*self.ctx.ctx).data_end) as usize,
            )
        };
        (data + bytes <= end).then(|| Head { data, bytes, length: end - data })
    }

    #[inline(always)]
    fn length(&self) -> usize {
        if let Some(length) = self.length.get() {
            return length;
        }
        // SAFETY: the context is the one the kernel gave us.
        let length = unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as usize };
        self.length.set(Some(length));
        length
    }

    #[inline(always)]
    fn ingress(&self) -> u32 {
        self.ctx.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn read<T: FromBytes + Copy>(&self, offset: usize) -> Option<T> {
        let start = self.at::<T>(offset)?;
        let mut pieces = Pieces::<T> { halves: [0; LARGEST / 2] };
        macro_rules! word {
            ($at:literal) => {
                pieces.words[$at / 4] = load_word::<$at>(start)
            };
        }
        macro_rules! half {
            ($at:literal) => {
                pieces.halves[$at / 2] = load_half::<$at>(start)
            };
        }
        // SAFETY: `at` proved the bytes to be inside the frame; T: FromBytes takes any.
        Some(unsafe {
            for_pieces!(T, word, half; 0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60);
            pieces.value
        })
    }

    #[inline(always)]
    fn write<T: IntoBytes + Immutable + Copy>(&mut self, offset: usize, value: T) -> Option<()> {
        let start = self.at::<T>(offset)?;
        let mut pieces = Pieces::<T> { halves: [0; LARGEST / 2] };
        pieces.value = value;
        macro_rules! word {
            ($at:literal) => {
                store_word::<$at>(start, pieces.words[$at / 4])
            };
        }
        macro_rules! half {
            ($at:literal) => {
                store_half::<$at>(start, pieces.halves[$at / 2])
            };
        }
        // SAFETY: `at` proved the bytes to be inside the frame; nothing refers to them. Every piece is initialised: T: IntoBytes has no
        // padding, and the rest is 0.
        unsafe { for_pieces!(T, word, half; 0 4 8 12 16 20 24 28 32 36 40 44 48 52 56 60) };
        Some(())
    }

    #[inline(always)]
    fn grow_front(&mut self, bytes: usize) -> Option<()> {
        self.length.set(Some(self.length() + bytes));
        // SAFETY: the context is the one the kernel gave us; every access derives its pointers anew.
        (unsafe { bpf_xdp_adjust_head(self.ctx.ctx, -(bytes as i32)) } == 0).then_some(())
    }

    #[inline(always)]
    fn truncate(&mut self, length: usize) -> Option<()> {
        let surplus = self.length().checked_sub(length)?;
        self.length.set(Some(length));
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
