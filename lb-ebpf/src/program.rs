//! The entry point: the only place where a verdict becomes an XDP action.

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::debug;
use lb_common::{
    Action, Verdict, ether_type, long_way, shortcut_v4, shortcut_v6,
    wire::{ETHERTYPE_IPV4, ETHERTYPE_IPV6},
};

use crate::{
    maps::{Maps, capture},
    xdp::{Frame, redirect},
};

/// No action of ours: the packet takes the long way.
const NOT_DONE: u32 = xdp_action::XDP_ABORTED;

/// Balances one frame.
#[xdp(frags)]
#[expect(unreachable_pub, clippy::needless_pass_by_value, reason = "what the macro wants")]
pub fn lb(ctx: XdpContext) -> u32 {
    let done = match ether_type(&mut Frame::new(&ctx)) {
        Some(ETHERTYPE_IPV4) => established_v4(&ctx),
        Some(ETHERTYPE_IPV6) => established_v6(&ctx),
        _ => NOT_DONE,
    };
    if done == NOT_DONE { any(&ctx) } else { done }
}

/// [`lb`] for the time in which packets are captured: those that somebody may want are copied before and after, and take the long way, by
/// which more is known of them.
#[xdp(frags)]
#[expect(unreachable_pub, clippy::needless_pass_by_value, reason = "what the macro wants")]
pub fn lb_capture(ctx: XdpContext) -> u32 {
    let done = match ether_type(&mut Frame::new(&ctx)) {
        _ if capture::begin(&ctx) != 0 => NOT_DONE,
        Some(ETHERTYPE_IPV4) => established_v4(&ctx),
        Some(ETHERTYPE_IPV6) => established_v6(&ctx),
        _ => NOT_DONE,
    };
    if done != NOT_DONE {
        return done;
    }
    let Some((maps, workspace)) = Maps::open(&ctx) else { return xdp_action::XDP_PASS };
    let verdict = long_way(&mut Frame::new(&ctx), &maps, workspace);
    // Whether it is wanted is looked up there: the verifier would follow the long way twice if it were known here.
    capture::end(&ctx, verdict);
    act(&ctx, verdict)
}

/// Part of the entry function, as the others are: a call costs 4 ns where the kernel protects returns (SRSO).
#[inline(always)]
fn established_v4(ctx: &XdpContext) -> u32 {
    let Some((maps, _)) = Maps::open(ctx) else { return NOT_DONE };
    shortcut_v4(&mut Frame::new(ctx), &maps).map_or(NOT_DONE, |verdict| act(ctx, verdict))
}

#[inline(always)]
fn established_v6(ctx: &XdpContext) -> u32 {
    let Some((maps, _)) = Maps::open(ctx) else { return NOT_DONE };
    shortcut_v6(&mut Frame::new(ctx), &maps).map_or(NOT_DONE, |verdict| act(ctx, verdict))
}

#[inline(always)]
fn any(ctx: &XdpContext) -> u32 {
    let Some((maps, workspace)) = Maps::open(ctx) else { return xdp_action::XDP_PASS };
    act(ctx, long_way(&mut Frame::new(ctx), &maps, workspace))
}

#[inline(always)]
fn act(ctx: &XdpContext, verdict: Verdict) -> u32 {
    match verdict.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Transmit => xdp_action::XDP_TX,
        Action::Redirect => redirect(verdict.argument()),
        Action::Drop => {
            log_drop(ctx, verdict.argument());
            xdp_action::XDP_DROP
        }
    }
}

/// Logs a drop if `lbd --data-path-log` asks for it. A function of its own keeps its stack out of the way of the others.
#[inline(never)]
fn log_drop(ctx: &XdpContext, reason: u32) {
    debug!(ctx, "interface {}: drop reason {}", ctx.ingress_ifindex(), reason);
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
