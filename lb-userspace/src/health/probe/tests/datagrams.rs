//! UDP and DNS.

use std::net::UdpSocket as StdUdpSocket;
use std::thread;

use super::*;

/// Answers each datagram with some, until it is idle for a second.
fn answering(answers: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            for answer in answers(&datagram[..length]) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    address
}

/// Answers from another socket than it was asked at.
fn answering_from_elsewhere(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let (socket, other) =
        (StdUdpSocket::bind("127.0.0.1:0").unwrap(), StdUdpSocket::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut datagram) {
            other.send_to(&answer(&datagram[..length]), from).unwrap();
        }
    });
    address
}

fn udp(entries: &[(&str, Setting)]) -> Probe {
    probe(ProbeType::Udp, entries)
}

#[tokio::test]
async fn a_datagram_is_answered_as_expected_or_not() {
    let echo = answering(|datagram| vec![datagram.to_vec()]);
    for (send, expect) in [
        (("send", "ping 1"), ("expect", "ping")),
        (("send", "ping 1"), ("expect_regex", r"\d$")),
        (("send_hex", "00 ff"), ("expect_hex", "00ff")),
    ] {
        let entries = [(send.0, text(send.1)), (expect.0, text(expect.1))];
        assert_eq!(outcome(udp(&entries), echo, LONG).await, Outcome::Healthy, "{expect:?}");
    }
    let reason = failure(udp(&[("send", text("ping")), ("expect", text("pong"))]), echo, LONG).await;
    assert_eq!(reason, "answered \"ping\", expected one that begins with \"pong\"");
    let reason = failure(udp(&[("send", text("ping")), ("expect_regex", text("^o"))]), echo, LONG).await;
    assert_eq!(reason, "answered \"ping\", expected one that matches \"^o\"");
}

#[tokio::test]
async fn where_nothing_listens_the_icmp_error_is_the_failure() {
    let socket = StdUdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (sent, expecting) = ([("send", text("x"))], [("send", text("x")), ("expect", text("y"))]);
    assert_eq!(outcome(udp(&sent), address, SHORT).await, Outcome::Healthy, "silence is no error");
    let reason = failure(udp(&expecting), address, SHORT).await;
    assert_eq!(reason, "timed out after 300ms: waiting for the answer");
    drop(socket);
    assert_eq!(failure(udp(&sent), address, LONG).await, "connection refused");
    assert_eq!(failure(udp(&expecting), address, LONG).await, "connection refused");
}

#[tokio::test]
async fn an_answer_from_another_address_is_none() {
    let address = answering_from_elsewhere(<[u8]>::to_vec);
    let reason = failure(udp(&[("send", text("x")), ("expect", text("x"))]), address, SHORT).await;
    assert_eq!(reason, "timed out after 300ms: waiting for the answer");
}

fn dns(entries: &[(&str, Setting)]) -> Probe {
    let mut all = vec![("query_name", text("www.example.com"))];
    all.extend_from_slice(entries);
    probe(ProbeType::Dns, &all)
}

/// The query as an answer: a header with these flags and number of answers, the question, and more.
fn answer(query: &[u8], flags: [u8; 2], answers: u8, more: &[u8]) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes[2..4].copy_from_slice(&flags);
    bytes[7] = answers;
    bytes.extend_from_slice(more);
    bytes
}

/// `www.example.com. 60 IN A 192.0.2.1`, by a pointer to the question.
const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1];
const NOERROR: [u8; 2] = [0x81, 0x80];

#[tokio::test]
async fn the_result_code_and_the_records_decide() {
    let good = answering(|query| vec![answer(query, NOERROR, 1, &RECORD)]);
    assert_eq!(outcome(dns(&[]), good, LONG).await, Outcome::Healthy);
    assert_eq!(outcome(dns(&[("expect_answer", text("192.0.2.1"))]), good, LONG).await, Outcome::Healthy);
    let reason = failure(dns(&[("expect_answer", text("192.0.2.2"))]), good, LONG).await;
    assert_eq!(reason, "answered 192.0.2.1, expected 192.0.2.2");
    let refusing = answering(|query| vec![answer(query, [0x81, 0x85], 0, &[])]);
    assert_eq!(failure(dns(&[]), refusing, LONG).await, "result code REFUSED, expected NOERROR");
    assert_eq!(outcome(dns(&[("expect_rcode", text("REFUSED"))]), refusing, LONG).await, Outcome::Healthy);
    let empty = answering(|query| vec![answer(query, NOERROR, 0, &[])]);
    let expecting = [("expect_answer", text("192.0.2.1"))];
    assert_eq!(failure(dns(&expecting), empty, LONG).await, "no records in the answer, expected 192.0.2.1");
    let cut = answering(|query| vec![answer(query, [0x83, 0x80], 0, &[])]);
    let reason = failure(dns(&expecting), cut, LONG).await;
    assert_eq!(reason, "the answer is truncated; ask with transport = \"tcp\"");
    let broken = answering(|query| vec![answer(query, NOERROR, 9, &RECORD)]);
    assert_eq!(failure(dns(&expecting), broken, LONG).await, "the answer's records cannot be read");
}

#[tokio::test]
async fn forged_answers_are_passed_over() {
    let forged = |query: &[u8]| {
        let mut other_id = answer(query, NOERROR, 1, &RECORD);
        other_id[0] ^= 1;
        let mut other_name = answer(query, NOERROR, 1, &RECORD);
        other_name[13] ^= 1;
        vec![b"no message".to_vec(), other_id, other_name, query.to_vec()]
    };
    let reason = failure(dns(&[]), answering(forged), SHORT).await;
    assert_eq!(reason, "timed out after 300ms: waiting for the answer");
    let then_right = answering(move |query| {
        let mut all = forged(query);
        all.push(answer(query, NOERROR, 1, &RECORD));
        all
    });
    assert_eq!(outcome(dns(&[]), then_right, LONG).await, Outcome::Healthy);
    let elsewhere = answering_from_elsewhere(|query| answer(query, NOERROR, 1, &RECORD));
    assert!(failure(dns(&[]), elsewhere, SHORT).await.starts_with("timed out"));
}

#[tokio::test]
async fn over_tcp_the_length_comes_first_and_the_rest_is_waited_for_so_long() {
    let tcp = || dns(&[("transport", text("tcp")), ("expect_answer", text("192.0.2.1"))]);
    let good = Server::start(|mut served| async move {
        let length = served.stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        served.stream.read_exact(&mut query).await?;
        let answer = answer(&query, NOERROR, 1, &RECORD);
        served.stream.write_u16(u16::try_from(answer.len()).unwrap()).await?;
        served.say(&answer).await
    })
    .await;
    assert_eq!(outcome(tcp(), good.address, LONG).await, Outcome::Healthy);
    let garbage = Server::endless("", "AAAA").await;
    let reason = failure(tcp(), garbage.address, LONG).await;
    assert_eq!(reason, "the answer is not DNS, or to another question");
    assert!(garbage.written() < BUFFERED);
    let closing = Server::start(|mut served| async move { served.say(&[1, 0, 7]).await }).await;
    let reason = failure(tcp(), closing.address, LONG).await;
    assert!(reason.starts_with("connection "), "{reason}");
    let silent = Server::start(Served::hold).await;
    assert_eq!(failure(tcp(), silent.address, SHORT).await, "timed out after 300ms: waiting for the answer");
}
