//! The simplest HTTP client: one request, one connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::netns::Netns;

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(10);

/// A request with a body of JSON in HTTP/1.1: status and body.
///
/// # Errors
///
/// If there is no answer, or one without `content-length`.
pub fn call(
    netns: &Netns,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(u16, String)> {
    netns.run(|| {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        // What is asked for may take a while.
        stream.set_read_timeout(Some(6 * LIMIT))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(answer.read_line(&mut head)? > 0, "no answer");
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.context("no content-length")?];
        answer.read_exact(&mut body)?;
        Ok((status(&head)?, String::from_utf8(body)?))
    })
}

/// `GET` in HTTP/1.0, whose answers are not chunked: status and body.
///
/// # Errors
///
/// If there is no answer.
pub fn get(netns: &Netns, address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let answer = netns.run(|| exchange(address, path))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    Ok((status(head)?, body.to_owned()))
}

fn status(head: &str) -> Result<u16> {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")
}

/// `GET` in HTTP/1.0 from the thread's own namespace: head and body.
///
/// # Errors
///
/// If there is no answer.
pub fn exchange(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
