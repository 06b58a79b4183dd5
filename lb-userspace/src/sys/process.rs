//! Processes that run as somebody else, and their end.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use tokio::io::{Interest, unix::AsyncFd};

/// Has a command run without any capability, and as a user and its group only if one is given. Changing to another user needs
/// CAP_SETUID and CAP_SETGID; starting the command fails without.
pub fn unprivileged(command: &mut Command, user: Option<(u32, u32)>) {
    let change = move || {
        // VRRP's thread needs it, and nobody else.
        setrlimit(Resource::RLIMIT_RTPRIO, 0, 0)?;
        if let Some((uid, gid)) = user {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            setgroups(&[gid])?;
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)?;
        }
        // Else they outlive both the change of user and execve(2).
        nix::errno::Errno::result(
            // SAFETY: no memory is passed.
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) },
        )?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(change) };
}

/// Has the calling thread run before all that have no real-time priority (`SCHED_FIFO`, the lowest of these).
///
/// # Errors
/// What `sched_setscheduler(2)` says; it needs `CAP_SYS_NICE`, or a limit (`RLIMIT_RTPRIO`) above 0.
pub fn prefer_this_thread() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: 0 is the calling thread, and the parameters live for the duration of the call, which only reads them.
    nix::errno::Errno::result(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) })?;
    Ok(())
}

/// Has the calling thread run soon after it is woken, without any privilege: it asks for less time at once than others do, which Linux
/// 6.12 and later take for a reason to run it first.
///
/// # Errors
/// What `sched_setattr(2)` says.
pub fn run_this_thread_soon() -> io::Result<()> {
    // The least that is taken, in nanoseconds.
    const SLICE: u64 = 100_000;
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER.cast_unsigned(),
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: 0 is the calling thread, and the attributes live for the duration of the call, which only reads them.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    nix::errno::Errno::result(result)?;
    Ok(())
}

/// Tells when a process has ended, without waiting for it.
#[derive(Debug)]
pub struct ProcessEnd(AsyncFd<OwnedFd>);

impl ProcessEnd {
    /// The end of a child that was not waited for. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// What `pidfd_open(2)` says.
    pub fn of(pid: u32) -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = i32::try_from(nix::errno::Errno::result(descriptor)?).map_err(io::Error::other)?;
        // SAFETY: it was opened just now, and is nobody else's.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // SAFETY: an owned descriptor stays open and the same until it is dropped.
        Ok(Self(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?))
    }

    /// Returns once the process has ended.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn wait(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }
}
