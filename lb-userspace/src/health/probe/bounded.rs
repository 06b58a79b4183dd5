//! A stream of which only so much is read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that fails once more than a number of bytes came in.
#[derive(Debug)]
pub(super) struct Bounded<S> {
    stream: S,
    allowed: usize,
    left: usize,
}

/// The error of a [`Bounded`] stream: so many bytes came in.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("more than {0} bytes came")]
pub(super) struct TooLong(usize);

impl<S> Bounded<S> {
    /// A stream of which `allowed` bytes are read, and at most one buffer more.
    pub(super) const fn new(stream: S, allowed: usize) -> Self {
        Self { stream, allowed, left: allowed }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other(TooLong(self.allowed))));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.left = self.left.saturating_sub(buf.filled().len().saturating_sub(before));
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn one_buffer_more_than_allowed_is_read_at_most() {
        let mut stream = Bounded::new(tokio::io::repeat(7), 1000);
        let (mut buffer, mut read) = ([0; 300], 0);
        let error = loop {
            match stream.read(&mut buffer).await {
                Ok(length) => read += length,
                Err(error) => break error,
            }
        };
        assert_eq!(read, 1200);
        assert_eq!(error.to_string(), "more than 1000 bytes came");
    }
}
