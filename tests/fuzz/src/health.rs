//! Target `health`: what a backend answers to a health check, for each type but scripts and ICMP. A probe ends, and says why it failed in one short line.
//!
//! Input: the check (1 byte), then for datagrams how much of the question is repeated (1), then what is sent. The probes are those of `lbd`, over the loopback
//! interface.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use lb_userspace::{
    config::Document,
    health::{Outcome, Prepared, Preparer, Prober, Rights, Subject},
    model::{ProbeKind, Protocol},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    runtime::Runtime,
};

use crate::{Target, input::Input};

/// See above.
pub const TARGET: Target = Target {
    name: "health",
    run,
    seeds,
    longest: 2048,
    words: &[
        "HTTP/1.1 200 OK\r\n",
        "Content-Length: ",
        "Transfer-Encoding: chunked\r\n",
        "Location: /",
        "\r\n\r\n",
        "Connection: close\r\n",
    ],
};

/// For a stream, which ends; and for datagrams, which may be ignored.
const LIMIT: Duration = Duration::from_millis(500);
const DATAGRAM_LIMIT: Duration = Duration::from_millis(4);

/// Each probe goes to another address of the loopback network, so that ports that wait for late segments are never in the way.
static NUMBER: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static SITE: Site = Site::new();
}

/// Servers and probes.
struct Site {
    runtime: Runtime,
    streams: TcpListener,
    datagrams: UdpSocket,
    prober: Prober,
    checks: Vec<(Prepared, bool)>,
}

impl Site {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is a runtime");
        let (streams, datagrams) = runtime.block_on(async {
            let streams = TcpListener::bind("0.0.0.0:0").await.expect("there is a port");
            (streams, UdpSocket::bind("0.0.0.0:0").await.expect("there is a port"))
        });
        let config = Document::new("probes.toml", include_str!("seeds/probes.toml")).config();
        let mut preparer = Preparer::new(Rights::Assumed);
        let config = config.expect("it is valid");
        let checks = config.services.iter().map(|service| {
            let check = service.health.as_ref().expect("it has a check");
            let prepared = preparer.prepare(&check.probe).expect("it needs no files");
            let is_stream =
                !matches!(check.probe.kind, ProbeKind::Udp(_)) && service.protocol == Protocol::Tcp;
            (prepared, is_stream)
        });
        let checks = checks.collect();
        Self { runtime, streams, datagrams, prober: Prober::default(), checks }
    }

    async fn probe(&self, which: u8, said: &[u8]) -> Outcome {
        let (prepared, is_stream) = &self.checks[usize::from(which) % self.checks.len()];
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [_, a, b, c] = number.to_be_bytes();
        let listener = if *is_stream { self.streams.local_addr() } else { self.datagrams.local_addr() };
        let port = listener.expect("it is bound").port();
        let address = SocketAddr::new(Ipv4Addr::new(127, a, b, c.max(1)).into(), port);
        let subject = Subject { service: "s".to_owned(), backend: "b".to_owned(), address };
        let limit = if *is_stream { LIMIT } else { DATAGRAM_LIMIT };
        let probe = self.prober.probe(prepared, &subject, limit, number.into());
        let serve = async {
            if *is_stream {
                self.serve_stream(said).await;
            } else {
                self.serve_datagram(said).await;
            };
            std::future::pending().await
        };
        tokio::select! {
            (outcome, _) = probe => outcome,
            never = serve => never,
        }
    }

    /// Says it to whoever connects (a redirect is followed by another connection), and ends.
    async fn serve_stream(&self, said: &[u8]) {
        loop {
            let Ok((mut stream, _)) = self.streams.accept().await else { return };
            let _ = stream.write_all(said).await;
            let _ = stream.shutdown().await;
            let mut asked = [0; 4096];
            while matches!(stream.read(&mut asked).await, Ok(1..)) {}
        }
    }

    /// Says it, after a part of the question.
    async fn serve_datagram(&self, said: &[u8]) {
        let mut asked = [0; 1500];
        loop {
            let Ok((length, from)) = self.datagrams.recv_from(&mut asked).await else { return };
            let (repeated, said) =
                said.split_first().map_or((0, said), |(first, rest)| (usize::from(*first), rest));
            let mut answer = asked[..length.min(repeated)].to_vec();
            if let Some(flags) = answer.get_mut(2) {
                *flags |= 0x80;
            }
            answer.extend(said);
            let _ = self.datagrams.send_to(&answer, from).await;
        }
    }
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let which = input.byte();
    let said = input.rest();
    let outcome = SITE.with(|site| site.runtime.block_on(site.probe(which, said)));
    match outcome {
        Outcome::Healthy => {}
        Outcome::Failed(reason) => {
            assert!(!reason.is_empty() && reason.chars().count() <= 1000, "a reason is short: {reason:?}");
            assert!(!reason.contains(|c: char| c.is_control()), "a reason is one line: {reason:?}");
        }
        Outcome::NotTried(reason) => panic!("this machine can probe itself: {reason}"),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let http = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\no\r\n1\r\nk\r\n0\r\nTrailer: 1\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nnothing",
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere?a=b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nLocation: http://www.example.com:8080/\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok",
        "SSH-2.0-OpenSSH_9.2p1\r\n",
    ];
    let mut seeds: Vec<Vec<u8>> =
        http.iter().flat_map(|text| [0, 1].map(|which| [&[which], text.as_bytes()].concat())).collect();
    // A handshake record with the begin of a ServerHello, and an alert.
    seeds.push([&[2, 22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3][..], &[7; 32], &[0, 0x13, 1, 0]].concat());
    seeds.push(vec![2, 21, 3, 3, 0, 2, 2, 40]);
    // HTTP/2: settings, their acknowledgement, headers (":status: 200"), data (a message "SERVING"), GOAWAY.
    let frame = |kind: u8, flags: u8, stream: u8, body: &[u8]| {
        [&[0, 0, body.len() as u8, kind, flags, 0, 0, 0, stream][..], body].concat()
    };
    let message = frame(0, 0, 1, &[0, 0, 0, 0, 2, 8, 1]);
    let trailer = frame(
        1,
        5,
        1,
        &[0x40, 11, b'g', b'r', b'p', b'c', b'-', b's', b't', b'a', b't', b'u', b's', 1, b'0'],
    );
    let answer = [frame(4, 0, 0, &[]), frame(4, 1, 0, &[]), frame(1, 4, 1, &[0x88]), message, trailer];
    seeds.push([&[3][..], &answer.concat()].concat());
    seeds.push([&[3][..], &frame(4, 0, 0, &[0, 3, 0, 0, 0, 0]), &frame(7, 0, 0, &[0; 8])].concat());
    // DNS: header, question and an answer with a pointer; over TCP with a length; over UDP with the question repeated.
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1];
    seeds.push([&[4, 0, 28, 0, 0, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 0][..], &record].concat());
    seeds.push([&[5, 33][..], &record].concat());
    seeds.push(vec![5, 12]);
    seeds.push([&[6, 0][..], b"pong"].concat());
    seeds
}
