//! Who is at the other end of a Unix socket.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Groups that a first call has room for; more take a second one.
const ROOM: usize = 32;

/// The supplementary groups that the peer had when it connected (`SO_PEERGROUPS`, unix(7)).
///
/// # Errors
/// It is no connected Unix socket.
pub fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0; ROOM];
    match read(&socket, &mut groups) {
        // The kernel has said how many there are.
        Err((error, needed)) if error.raw_os_error() == Some(libc::ERANGE) => {
            groups.resize(needed, 0);
            read(&socket, &mut groups).map_err(|(error, _)| error)?;
        }
        outcome => outcome.map_err(|(error, _)| error)?,
    }
    Ok(groups)
}

/// Fills the groups, and cuts the list to their number; the error comes with the number there would be.
fn read(socket: &impl AsFd, groups: &mut Vec<libc::gid_t>) -> Result<(), (io::Error, usize)> {
    let size = size_of::<libc::gid_t>();
    let mut length = libc::socklen_t::try_from(groups.len() * size).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the kernel writes at most `length` bytes into the list, which is that long, and every bit pattern is a gid.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let number = length as usize / size;
    if result != 0 {
        return Err((io::Error::last_os_error(), number));
    }
    groups.truncate(number);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_groups_of_the_peer_are_ours_if_it_is_this_process() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        let mut groups = peer_groups(&socket).unwrap();
        let mut own: Vec<u32> =
            nix::unistd::getgroups().unwrap().iter().map(|group| group.as_raw()).collect();
        groups.sort_unstable();
        own.sort_unstable();
        assert_eq!(groups, own);
    }

    #[test]
    fn what_is_no_socket_has_no_peer() {
        assert!(peer_groups(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
