//! The entry point: the only place where a verdict becomes an XDP action.

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::debug;
use lb_common::{Action, process};

use crate::{
    maps::Maps,
    xdp::{Frame, redirect},
};

/// Balances one frame.
#[xdp(frags)]
#[expect(unreachable_pub, clippy::needless_pass_by_value, reason = "what the macro wants")]
pub fn lb(ctx: XdpContext) -> u32 {
    let Some((maps, workspace)) = Maps::open(&ctx) else { return xdp_action::XDP_PASS };
    let verdict = process(&mut Frame::new(&ctx), &maps, workspace);
    match verdict.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Transmit => xdp_action::XDP_TX,
        Action::Redirect => redirect(verdict.argument()),
        Action::Drop => {
            log_drop(&ctx, verdict.argument());
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
