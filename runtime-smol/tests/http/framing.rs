use crate::{Server, statuses};

const GET: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(fields: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn a_length_next_to_chunked_is_refused() {
    let server = Server::new();
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "content-length:0\r\nTRANSFER-ENCODING:chunked\r\n",
        "Content-Length: 40\r\nX: y\r\nTransfer-Encoding: chunked\r\nContent-Length: 40\r\n",
    ] {
        server.refuses(post(fields, &format!("0\r\n\r\n{GET}")), 400);
    }
}

#[test]
fn a_length_next_to_chunked_is_refused_behind_other_requests_too() {
    let server = Server::new();
    let fields = "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n";
    let answers = server.until_closed(format!(
        "{GET}\r\n{}{}{GET}",
        post("Content-Length: 3\r\n", "one"),
        post(fields, "0\r\n\r\n")
    ));
    assert_eq!(statuses(&answers), [200, 200, 400]);
}

#[test]
fn transfer_codings_other_than_chunked_are_refused() {
    let server = Server::new();
    for fields in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
    ] {
        server.refuses(post(fields, &format!("0\r\n\r\n{GET}")), 400);
    }
}

#[test]
fn malformed_framing_fields_are_refused() {
    let server = Server::new();
    for fields in [
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: chunked\r\n X: y\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length : 3\r\n",
        "Content\0-Length: 3\r\n",
    ] {
        server.refuses(post(fields, &format!("one{GET}")), 400);
    }
}

#[test]
fn http_1_0_cannot_be_chunked() {
    let server = Server::new();
    server.refuses(
        format!(
            "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GET}"
        ),
        400,
    );
}

#[test]
fn a_chunked_body_is_read_once_and_then_the_connection_closes() {
    let server = Server::new();
    let chunked = post(
        "Transfer-Encoding: Chunked\r\n",
        "3;x=y\r\none\r\n3\r\ntwo\r\n0\r\nT: t\r\n\r\n",
    );
    let answers = server.until_closed(format!("{chunked}{GET}"));
    assert_eq!(statuses(&answers), [200]);
    assert_eq!(answers[0].body, b"onetwo");
    assert_eq!(answers[0].field("connection"), Some("close"));
}

#[test]
fn malformed_chunks_are_refused() {
    let server = Server::new();
    for body in [
        "x\r\n",
        "3\r\nonetwo\r\n0\r\n\r\n",
        "3\none\n0\n\n",
        "-1\r\n",
        "ffffffffffffffffff\r\n",
    ] {
        server.refuses(
            post("Transfer-Encoding: chunked\r\n", &format!("{body}{GET}")),
            400,
        );
    }
}

#[test]
fn a_body_that_ends_early_is_one_refusal() {
    let server = Server::new();
    let answers = server.whole(post("Content-Length: 9\r\n", "one"));
    assert_eq!(statuses(&answers), [400]);
    assert_eq!(server.seen.try_iter().count(), 0);
}

#[test]
fn a_request_inside_a_body_is_a_body() {
    let server = Server::new();
    let inner = post(&format!("Content-Length: {}\r\n", GET.len()), GET);
    let answers = server.whole(format!("{inner}{GET}"));
    assert_eq!(statuses(&answers), [200, 200]);
    assert_eq!(answers[0].body, GET.as_bytes());
}
