//! Waiting for ring buffers and raw sockets. tokio wants it vouched for that a descriptor stays open and the same.

use std::io;

use aya::maps::{MapData, RingBuf};
use aya_log::EbpfLogger;
use log::Log;
use socket2::Socket;
use tokio::io::{Interest, unix::AsyncFd};

/// What the data path's log is read by.
pub type LogReader = EbpfLogger<&'static dyn Log>;

/// A ring buffer to wait for. Must be called in a tokio runtime.
///
/// # Errors
/// What `epoll_ctl(2)` says.
pub fn ring_buffer(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: a ring buffer owns the descriptor of its map from its making to its end, and has no means of replacing it.
    Ok(unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?)
}

/// A log to wait for. Must be called in a tokio runtime.
///
/// # Errors
/// What `epoll_ctl(2)` says.
pub fn log_reader(reader: LogReader) -> io::Result<AsyncFd<LogReader>> {
    // SAFETY: the reader owns a ring buffer, of which the same holds as above.
    Ok(unsafe { AsyncFd::register_with_interest(reader, Interest::READABLE) }?)
}

/// A socket to wait for. Must be called in a tokio runtime.
///
/// # Errors
/// What `epoll_ctl(2)` says.
pub fn socket(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    // SAFETY: a socket owns its descriptor from its making to its end, and has no means of replacing it.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}
