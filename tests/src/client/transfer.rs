//! Large files, compared byte by byte with what they should be.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    netns::Netns,
    pattern::{Comparison, Pattern},
    servers::Nginx,
};

/// No byte for this long ends a transfer.
const STALLED: Duration = Duration::from_secs(15);

/// Gets `/files/<name>` and compares it with `size` bytes of `pattern`.
///
/// # Errors
///
/// If the transfer fails or stalls, or what arrives differs.
pub fn download(netns: &Netns, target: SocketAddr, name: &str, pattern: Pattern, size: u64) -> Result<()> {
    netns.run(|| {
        let mut stream = request(target, &format!("GET /files/{name}"), "")?;
        expect_status(&mut stream, "200")?;
        compare(&mut stream, pattern, size)
    })
}

/// Puts `size` bytes of `pattern` to `/files/<name>` of whichever of `servers` it reaches, and compares what arrived there.
///
/// # Errors
///
/// If the transfer fails or stalls, or what arrived differs.
pub fn upload(
    netns: &Netns,
    target: SocketAddr,
    servers: &[&Nginx],
    name: &str,
    pattern: Pattern,
    size: u64,
) -> Result<()> {
    netns.run(|| {
        let mut stream =
            request(target, &format!("PUT /files/{name}"), &format!("Content-Length: {size}\r\n"))?;
        let mut block = vec![0; 1 << 16];
        let mut offset = 0;
        while offset < size {
            let length = usize::try_from((size - offset).min(block.len() as u64))?;
            pattern.fill(offset, &mut block[..length]);
            stream
                .write_all(&block[..length])
                .with_context(|| format!("sending stopped at byte {offset}"))?;
            offset += length as u64;
        }
        expect_status(&mut stream, "201")
    })?;
    let path = servers.iter().map(|server| server.file(name)).find(|path| path.exists());
    let path = path.context("the file arrived at none of the servers")?;
    let mut file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    compare(&mut file, pattern, size)
}

fn request(target: SocketAddr, what: &str, header: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&target, Duration::from_secs(5))
        .with_context(|| format!("cannot connect to {target}"))?;
    stream.set_read_timeout(Some(STALLED))?;
    stream.set_write_timeout(Some(STALLED))?;
    let request = format!("{what} HTTP/1.1\r\nHost: {target}\r\n{header}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).context("cannot send the request")?;
    Ok(stream)
}

/// Reads up to the end of the head of the answer.
fn expect_status(stream: &mut TcpStream, status: &str) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).context("the answer's head did not arrive")?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    ensure!(line.split(' ').nth(1) == Some(status), "expected status {status}, got {line:?}");
    Ok(())
}

fn compare(content: &mut impl Read, pattern: Pattern, size: u64) -> Result<()> {
    let mut comparison = Comparison::new(pattern);
    let mut block = vec![0; 1 << 16];
    loop {
        match content.read(&mut block) {
            Ok(0) => break,
            Ok(length) => comparison.push(&block[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => bail!("{error} after {} bytes", comparison.finish().0),
        }
    }
    match comparison.finish() {
        (length, None) if length == size => Ok(()),
        (length, None) => bail!("{length} of {size} bytes arrived"),
        (_, Some(at)) => bail!("byte {at} differs from what was sent"),
    }
}
