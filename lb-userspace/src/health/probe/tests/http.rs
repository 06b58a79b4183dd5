//! HTTP/1.1.

use super::*;

fn http(entries: &[(&str, Setting)]) -> Probe {
    probe(ProbeType::Http, entries)
}

#[tokio::test]
async fn the_request_is_what_was_configured() {
    let (sender, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |mut served| {
        let sender = sender.clone();
        async move {
            drop(sender.send(served.request().await?));
            served.say(b"HTTP/1.1 204 No Content\r\n\r\n").await
        }
    })
    .await;
    let entries = [("method", text("OPTIONS")), ("path", text("/a?b=c")), ("host", text("www.example.com"))];
    assert_eq!(outcome(http(&entries), server.address, LONG).await, Outcome::Healthy);
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("OPTIONS /a?b=c HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("host: www.example.com\r\n") && request.contains("connection: close\r\n"),
        "{request}"
    );
    assert_eq!(outcome(http(&[]), server.address, LONG).await, Outcome::Healthy);
    let request = requests.recv().await.unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", server.address)), "{request}");
}

#[tokio::test]
async fn the_status_decides() {
    let server = Server::saying("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(failure(http(&[]), server.address, LONG).await, "status 503, expected 200-299");
    let expected = [("expect_status", text("200,500-503"))];
    assert_eq!(outcome(http(&expected), server.address, LONG).await, Outcome::Healthy);
}

#[tokio::test]
async fn the_body_is_searched() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nstat\r\n6\r\nus: up\r\n0\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nstatus: up",
        chunked,
        "HTTP/1.0 200 OK\r\n\r\nstatus: up",
    ] {
        let server = Server::saying(answer).await;
        for (key, value) in [("expect_body", "status: up"), ("expect_body_regex", r"^status:\s+(up|ok)$")] {
            assert_eq!(
                outcome(http(&[(key, text(value))]), server.address, LONG).await,
                Outcome::Healthy,
                "{value}"
            );
        }
        let reason = failure(http(&[("expect_body", text("down"))]), server.address, LONG).await;
        assert_eq!(reason, "no such body text: \"down\"");
        let reason = failure(http(&[("expect_body_regex", text("^up"))]), server.address, LONG).await;
        assert_eq!(reason, "the body does not match: \"^up\"");
    }
}

#[tokio::test]
async fn redirects_are_followed_if_that_is_stated_and_never_in_a_circle() {
    let server = Server::start(|mut served| async move {
        let answer = match served.request().await?.split(' ').nth(1) {
            Some("/") => "HTTP/1.1 302 Found\r\nlocation: /next?a=b\r\n\r\n",
            Some("/loop") => "HTTP/1.1 307 Again\r\nlocation: /loop\r\n\r\n",
            Some("/away") => "HTTP/1.1 301 Moved\r\nlocation: http://elsewhere.example/\r\n\r\n",
            Some("/secure") => "HTTP/1.1 301 Moved\r\nlocation: https://www.example.com/\r\n\r\n",
            Some("/nowhere") => "HTTP/1.1 301 Moved\r\n\r\n",
            Some("/host") => "HTTP/1.1 308 Moved\r\nlocation: http://WWW.example.com/next\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\n\r\nhere",
        };
        served.say(answer.as_bytes()).await
    })
    .await;
    let follow = |path: &str| {
        let entries = [
            ("path", text(path)),
            ("host", text("www.example.com")),
            ("follow_redirects", Setting::Flag(true)),
            ("expect_body", text("here")),
        ];
        http(&entries)
    };
    assert_eq!(failure(http(&[]), server.address, LONG).await, "status 302, expected 200-299");
    assert_eq!(outcome(follow("/"), server.address, LONG).await, Outcome::Healthy);
    assert_eq!(outcome(follow("/host"), server.address, LONG).await, Outcome::Healthy);
    let before = server.connections();
    assert_eq!(failure(follow("/loop"), server.address, LONG).await, "redirected more than 5 times");
    assert_eq!(server.connections() - before, 6);
    for (path, place) in [("/away", "http://elsewhere.example/"), ("/secure", "https://www.example.com/")] {
        let expected = format!("redirects to {place}, expected a path of http://www.example.com");
        assert_eq!(failure(follow(path), server.address, LONG).await, expected);
    }
    assert_eq!(failure(follow("/nowhere"), server.address, LONG).await, "status 301 without a location");
}

#[tokio::test]
async fn what_has_no_end_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\n";
    let line = "x-padding: y\r\n";
    for (first, then, expected) in [
        (head, line, "the head of the answer is too large"),
        ("HTTP/1.1 200 OK\r\nx: ", "yyyyyyyyyyyyyyyy", "the head of the answer is too large"),
        ("", "220 welcome to the server ", "the answer is not HTTP/1.1"),
        ("", "HTTP/1.1 100 Continue\r\n\r\n", "more than 196608 bytes came: waiting for the answer"),
    ] {
        let server = Server::endless(first, then).await;
        assert_eq!(failure(http(&[]), server.address, LONG).await, expected);
        assert!(server.written() < BUFFERED, "{} bytes of {first:?} {then:?}", server.written());
    }
    let server = Server::endless("HTTP/1.1 200 OK\r\n\r\n", "all work and no play ").await;
    let reason = failure(http(&[("expect_body", text("Jack"))]), server.address, LONG).await;
    assert_eq!(reason, "no such body text in its first 64 KiB: \"Jack\"");
    assert!(server.written() < BUFFERED, "{}", server.written());
    // The text is there, and nobody waits for the end.
    assert_eq!(
        outcome(http(&[("expect_body", text("no play"))]), server.address, LONG).await,
        Outcome::Healthy
    );
    assert_eq!(outcome(http(&[]), server.address, LONG).await, Outcome::Healthy);
}

#[tokio::test]
async fn who_answers_too_slowly_times_out() {
    let slow = |first: &'static str| {
        Server::start(move |mut served| async move {
            served.say(first.as_bytes()).await?;
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                served.say(b"x").await?;
            }
        })
    };
    let expected = "timed out after 300ms: waiting for the answer";
    assert_eq!(failure(http(&[]), slow("HTTP/1.1 200 OK\r\nx: ").await.address, SHORT).await, expected);
    let silent = Server::start(Served::hold).await;
    assert_eq!(failure(http(&[]), silent.address, SHORT).await, expected);
    let body = [("expect_body", text("y"))];
    let reason = failure(http(&body), slow("HTTP/1.1 200 OK\r\n\r\n").await.address, SHORT).await;
    assert_eq!(reason, "timed out after 300ms: reading the body");
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_as_such() {
    let reset = Server::start(|mut served| async move {
        served.request().await?;
        served.say(b"HTTP/1.1 200 OK\r\ncontent-le").await?;
        served.reset()
    })
    .await;
    assert_eq!(failure(http(&[]), reset.address, LONG).await, "connection reset: waiting for the answer");
    let reset = Server::start(|mut served| async move {
        served.request().await?;
        served.say(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab").await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        served.reset()
    })
    .await;
    let reason = failure(http(&[("expect_body", text("z"))]), reset.address, LONG).await;
    assert_eq!(reason, "connection reset: waiting for the answer");
    let closing = Server::start(|mut served| async move { served.request().await.map(drop) }).await;
    assert_eq!(failure(http(&[]), closing.address, LONG).await, "connection closed: waiting for the answer");
    assert_eq!(failure(http(&[]), closed_port().await, LONG).await, "connection refused");
}
