//! libFuzzer around the target that `LB_FUZZ_TARGET` names.
#![no_main]

use std::sync::OnceLock;

use lb_fuzz::Target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn find() -> &'static Target {
    let name = std::env::var("LB_FUZZ_TARGET").unwrap_or_default();
    lb_fuzz::target(&name).unwrap_or_else(|| panic!("LB_FUZZ_TARGET={name:?} names no target"))
}

libfuzzer_sys::fuzz_target!(init: { TARGET.get_or_init(find); }, |bytes: &[u8]| {
    (TARGET.get_or_init(find).run)(bytes);
});
