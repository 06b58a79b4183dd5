//! `CLOCK_MONOTONIC`, the clock of the data path, and `CLOCK_BOOTTIME`.

/// Nanoseconds since boot, without the time spent suspended.
#[must_use]
pub fn monotonic_nanos() -> u64 {
    nanos(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since boot, the time spent suspended included.
#[must_use]
pub fn boot_nanos() -> u64 {
    nanos(libc::CLOCK_BOOTTIME)
}

fn nanos(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the duration of the call.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    debug_assert_eq!(result, 0, "both clocks always exist");
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
