//! A DNS query (RFC 1035), in a datagram or over TCP (RFC 7766).

use std::net::IpAddr;
use std::str::FromStr;

use domain::base::iana::{Class, Rtype};
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::AllRecordData;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connect::{broken, connect, unreached};
use super::{Deadline, Step, Way, excerpt, udp};
use crate::health::Outcome;
use crate::model::{DnsProbe, DnsTransport};

/// Longest answer in a datagram without EDNS, and some.
const DATAGRAM: usize = 4096;
const WAITING: &str = "waiting for the answer";

/// Asks, and looks at the answer.
pub(super) async fn probe(probe: &DnsProbe, nonce: u64, way: Way, deadline: &mut Deadline) -> Step<()> {
    let query = query(probe, nonce).map_err(|reason| Outcome::NotTried(reason.into()))?;
    let answer = match probe.transport {
        DnsTransport::Udp => by_datagram(&query, way, deadline).await?,
        DnsTransport::Tcp => by_connection(&query, way, deadline).await?,
    };
    judge(probe, &answer)
}

fn query(probe: &DnsProbe, nonce: u64) -> Result<Message<Vec<u8>>, &'static str> {
    let name = Name::<Vec<u8>>::from_str(&probe.name).map_err(|_| "the query's name cannot be written")?;
    let query_type = Rtype::from_str(&probe.query_type).map_err(|_| "the query's type cannot be written")?;
    let mut builder = MessageBuilder::new_vec();
    let [high, low, ..] = nonce.to_be_bytes();
    builder.header_mut().set_id(u16::from_be_bytes([high, low]));
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    question.push((name, query_type, Class::IN)).map_err(|_| "the query is too long")?;
    Ok(question.into_message())
}

async fn by_datagram(query: &Message<Vec<u8>>, way: Way, deadline: &mut Deadline) -> Step<Message<Vec<u8>>> {
    let socket = udp::open(way).await?;
    socket.send(query.as_slice()).await.map_err(|error| unreached(&error))?;
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let received = deadline.within(WAITING, socket.recv(&mut datagram)).await?;
        let length = received.map_err(|error| unreached(&error))?;
        // Others are forged, or late.
        if let Some(answer) = answering(&datagram[..length], query) {
            return Ok(answer);
        }
    }
}

async fn by_connection(
    query: &Message<Vec<u8>>,
    way: Way,
    deadline: &mut Deadline,
) -> Step<Message<Vec<u8>>> {
    let mut stream = connect(way, deadline).await?;
    let length = u16::try_from(query.as_slice().len()).unwrap_or(u16::MAX);
    let message = [&length.to_be_bytes(), query.as_slice()].concat();
    let exchange = async {
        stream.write_all(&message).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = deadline.within(WAITING, exchange).await?.map_err(|error| broken(WAITING, &error))?;
    answering(&answer, query)
        .ok_or_else(|| Outcome::Failed("the answer is not DNS, or to another question".into()))
}

/// A message that answers the query: its id, and its question unless the server could not even read that.
fn answering(bytes: &[u8], query: &Message<Vec<u8>>) -> Option<Message<Vec<u8>>> {
    let message = Message::from_octets(bytes.to_vec()).ok()?;
    let bare = message.header().qr()
        && message.header().id() == query.header().id()
        && message.header_counts().qdcount() == 0;
    (bare || message.is_answer(query)).then_some(message)
}

fn judge(probe: &DnsProbe, answer: &Message<Vec<u8>>) -> Step<()> {
    let rcode = answer.header().rcode().to_string();
    if rcode != probe.rcode {
        return Err(Outcome::Failed(format!("result code {rcode}, expected {}", probe.rcode).into()));
    }
    let Some(expected) = &probe.answer else { return Ok(()) };
    let found = records(answer).map_err(|_| Outcome::Failed("the answer's records cannot be read".into()))?;
    if found.iter().any(|data| same(data, expected)) {
        return Ok(());
    }
    let reason = match (found.is_empty(), answer.header().tc()) {
        (_, true) => "the answer is truncated; ask with transport = \"tcp\"".to_owned(),
        (true, _) => format!("no records in the answer, expected {expected}"),
        _ => format!("answered {}, expected {expected}", excerpt(found.join(", ").as_bytes())),
    };
    Err(Outcome::Failed(reason.into()))
}

/// The data of the answer's records.
fn records(answer: &Message<Vec<u8>>) -> Result<Vec<String>, domain::base::wire::ParseError> {
    let records = answer.answer()?.limit_to_in::<AllRecordData<_, ParsedName<_>>>();
    records.map(|record| Ok(record?.data().to_string())).collect()
}

/// Whether two notations of record data mean the same: addresses, names with and without a final dot.
fn same(found: &str, expected: &str) -> bool {
    if let (Ok(found), Ok(expected)) = (found.parse::<IpAddr>(), expected.parse::<IpAddr>()) {
        return found == expected;
    }
    let words = |text: &'_ str| -> Vec<String> {
        text.split_whitespace()
            .map(|word| word.trim_end_matches('.').trim_matches('"').to_ascii_lowercase())
            .collect()
    };
    words(found) == words(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_data_is_compared_by_what_it_means() {
        assert!(same("2001:db8::1", "2001:DB8:0::1"));
        assert!(same("10 mail.example.com", "10 Mail.Example.com."));
        assert!(same("\"v=spf1 -all\"", "v=spf1 -all"));
        assert!(!same("192.0.2.1", "192.0.2.10"));
    }

    #[test]
    fn an_answer_to_something_else_is_none() {
        let probe = |name: &str| DnsProbe {
            name: name.to_owned(),
            query_type: "A".to_owned(),
            rcode: "NOERROR".to_owned(),
            answer: None,
            transport: DnsTransport::Udp,
        };
        let (asked, other) =
            (query(&probe("a.example"), 1 << 48).unwrap(), query(&probe("b.example"), 1 << 48).unwrap());
        let answer = |query: &Message<Vec<u8>>, id: u16| {
            let mut bytes = query.as_slice().to_vec();
            bytes[..2].copy_from_slice(&id.to_be_bytes());
            bytes[2] |= 0x80;
            bytes
        };
        assert!(answering(&answer(&asked, 1), &asked).is_some());
        assert!(answering(&answer(&asked, 2), &asked).is_none(), "another id");
        assert!(answering(&answer(&other, 1), &asked).is_none(), "another question");
        assert!(answering(asked.as_slice(), &asked).is_none(), "a query");
        assert!(answering(&[0; 5], &asked).is_none(), "no message");
    }
}
