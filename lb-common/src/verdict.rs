//! What the pipeline decides.

use core::fmt;

use crate::abi::DropReason;

/// What the pipeline decides about a packet, in one register: the action in the lower half, its argument in the upper.
///
/// An enum would be returned through memory by BPF functions, with undefined bytes where a variant has no argument, which the
/// verifier refuses.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Verdict(u64);

/// The kinds of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Not for us: hand it to the host, untouched.
    Pass,
    /// Drop it.
    Drop,
    /// Send it out of the interface it came from.
    Transmit,
    /// Send it out of another interface.
    Redirect,
}

impl Verdict {
    /// Not for us: hand it to the host, untouched.
    pub const PASS: Self = Self::new(Action::Pass, 0);
    /// Send it out of the interface it came from.
    pub const TRANSMIT: Self = Self::new(Action::Transmit, 0);

    /// Drop it.
    #[inline(always)]
    #[must_use]
    pub const fn drop(reason: DropReason) -> Self {
        Self::drop_for(reason as u32)
    }

    /// Drop it, for the reason of a number.
    #[inline(always)]
    pub(crate) const fn drop_for(reason: u32) -> Self {
        Self::new(Action::Drop, reason)
    }

    /// Send it out of another interface.
    #[inline(always)]
    #[must_use]
    pub const fn redirect(ifindex: u32) -> Self {
        Self::new(Action::Redirect, ifindex)
    }

    #[inline(always)]
    const fn new(action: Action, argument: u32) -> Self {
        Self(action as u64 | (argument as u64) << 32)
    }

    /// What to do.
    #[inline(always)]
    #[must_use]
    pub const fn action(self) -> Action {
        match self.0 as u32 {
            0 => Action::Pass,
            1 => Action::Drop,
            2 => Action::Transmit,
            _ => Action::Redirect,
        }
    }

    /// Number of the [`DropReason`], or the egress interface.
    #[inline(always)]
    #[must_use]
    pub const fn argument(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Why it is dropped, if it is.
    #[must_use]
    pub fn drop_reason(self) -> Option<DropReason> {
        match self.action() {
            Action::Drop => DropReason::ALL.get(self.argument() as usize).copied(),
            _ => None,
        }
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.action(), self.drop_reason()) {
            (Action::Drop, Some(reason)) => write!(f, "Drop({})", reason.as_str()),
            (Action::Redirect, _) => write!(f, "Redirect({})", self.argument()),
            (action, _) => write!(f, "{action:?}"),
        }
    }
}

/// How a stage that is a function of its own ended, in one register for the reasons above.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step(u64);

impl Step {
    /// The packet goes on; what was looked for is not there.
    pub(crate) const ABSENT: Self = Self(0);
    /// The packet goes on.
    pub(crate) const DONE: Self = Self(1);
    /// The packet goes on as an ICMP message.
    pub(crate) const ICMP: Self = Self(2);

    /// The packet's TTL or hop limit is used up: its sender is to be told.
    pub(crate) const TIME_EXCEEDED: Self = Self(3);

    /// The packet's connection is ended: its sender is to get a RST.
    pub(crate) const RESET: Self = Self::reset(DropReason::FlowReset);

    /// The packet is dropped, and its sender is to get a RST.
    #[inline(always)]
    pub(crate) const fn reset(reason: DropReason) -> Self {
        Self::reset_for(reason as u32)
    }

    /// [`Self::reset`], for the reason of a number.
    #[inline(always)]
    pub(crate) const fn reset_for(reason: u32) -> Self {
        Self(5 | (reason as u64) << 32)
    }

    /// Number of the [`DropReason`] of a packet whose sender is to get a RST.
    #[inline(always)]
    pub(crate) const fn reset_reason(self) -> Option<u32> {
        if self.0 as u32 == 5 { Some((self.0 >> 32) as u32) } else { None }
    }

    /// The packet is larger than the egress MTU: its sender is to be told.
    #[inline(always)]
    pub(crate) const fn too_big(mtu: u32) -> Self {
        Self(4 | (mtu as u64) << 32)
    }

    /// The egress MTU, if the packet is larger.
    #[inline(always)]
    pub(crate) const fn exceeded_mtu(self) -> Option<u32> {
        if self.0 as u32 == 4 { Some((self.0 >> 32) as u32) } else { None }
    }

    /// The packet's way ends here.
    #[inline(always)]
    pub(crate) const fn end(verdict: Verdict) -> Self {
        // Bit 31 is free: actions are small.
        Self(verdict.0 | 1 << 31)
    }

    /// The verdict of a way that ended.
    #[inline(always)]
    pub(crate) const fn verdict(self) -> Verdict {
        Verdict(self.0 & !(1 << 31))
    }

    /// Whether the packet's way ended with it being sent.
    #[inline(always)]
    pub(crate) const fn is_sent(self) -> bool {
        self.0 & 1 << 31 != 0 && matches!(self.verdict().action(), Action::Transmit | Action::Redirect)
    }

    /// Whether what was looked for is there, or the verdict that ended the way.
    #[inline(always)]
    pub(crate) const fn result(self) -> Result<bool, Verdict> {
        if self.0 & 1 << 31 != 0 { Err(self.verdict()) } else { Ok(self.0 == Self::DONE.0) }
    }
}

impl From<Result<(), Verdict>> for Step {
    #[inline(always)]
    fn from(result: Result<(), Verdict>) -> Self {
        match result {
            Ok(()) => Self::DONE,
            Err(verdict) => Self::end(verdict),
        }
    }
}
