//! TCP connect, and what all probes have in common.

use super::*;
use crate::health::close;

#[tokio::test]
async fn a_probe_tells_listening_from_refusing_and_ends_with_a_fin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let prepared = Preparer::new(Rights::Needed).prepare(&Probe::default().into()).unwrap();
    let subject = Subject { service: String::new(), backend: String::new(), address };
    let (outcome, stream) = Prober::default().probe(&prepared, &subject, LONG, 1).await;
    assert_eq!(outcome, Outcome::Healthy);

    // A greeting that nobody reads would make the kernel answer with a RST.
    let (mut served, _) = listener.accept().await.unwrap();
    served.write_all(b"hello").await.unwrap();
    let server = tokio::spawn(async move {
        let mut rest = Vec::new();
        served.read_to_end(&mut rest).await
    });
    close(stream.unwrap(), LONG).await;
    assert_eq!(server.await.unwrap().unwrap(), 0, "the server sees a FIN, not a RST");

    drop(listener);
    assert_eq!(failure(Probe::default(), address, LONG).await, "connection refused");
}

#[tokio::test]
async fn a_destination_without_a_route_is_unreachable() {
    // 255.255.255.255 is no TCP destination: the kernel says so at once.
    let address = SocketAddr::from(([255, 255, 255, 255], 9));
    assert_eq!(failure(Probe::default(), address, LONG).await, "unreachable");
}

#[tokio::test]
async fn a_connection_that_nobody_takes_times_out() {
    // A full queue: what comes next is not answered.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let first = TcpStream::connect(address).await.unwrap();
    assert_eq!(failure(Probe::default(), address, SHORT).await, "timed out after 300ms: TCP connect");
    drop(first);
}

#[tokio::test]
async fn a_probe_leaves_from_its_source_and_says_if_it_cannot() {
    let from = |source: &str, kind: ProbeType| {
        let entries = match kind {
            ProbeType::Dns => vec![("query_name", text("example.com"))],
            ProbeType::Udp => vec![("send", text("x")), ("expect", text("y"))],
            _ => Vec::new(),
        };
        Probe::new(kind, Some(source.parse().unwrap()), &settings(&entries)).unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(outcome(from("127.0.0.9", ProbeType::Tcp), address, LONG).await, Outcome::Healthy);
    assert_eq!(listener.accept().await.unwrap().1.ip().to_string(), "127.0.0.9");
    for kind in [ProbeType::Tcp, ProbeType::Http, ProbeType::Dns, ProbeType::Udp] {
        match outcome(from("192.0.2.77", kind), address, LONG).await {
            Outcome::NotTried(reason) => {
                assert!(reason.starts_with("cannot send from 192.0.2.77: "), "{reason}");
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[test]
fn what_a_backend_sent_is_told_on_one_short_line() {
    assert_eq!(super::super::excerpt(b" a\r\nb\x1b[31m\xff "), "a  b [31m\u{fffd}");
    let long = super::super::excerpt("ä".repeat(100_000).as_bytes());
    assert_eq!((long.chars().count(), long.ends_with("...")), (163, true));
}
