//! Messages made at random, sound in most of their parts, for us and for hyper.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{hyper_client, hyper_server};

#[test]
fn probes_that_we_accept_are_read_the_same() {
    for (_, input) in crate::probes::probes() {
        hyper_server::check(&input);
    }
}

/// A request, sound in most of its parts.
pub fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![8 => Just("POST"), 4 => Just("GET"), 1 => Just("HEAD"), 1 => Just("OPTIONS"), 1 => Just("get"), 1 => Just("M-SEARCH")];
    let target = prop_oneof![8 => "/[a-z0-9/;=%20]{0,20}(\\?[a-z&=/?:@]{0,9})?", 1 => Just("*".to_owned()), 1 => Just("http://h:80/x".to_owned()), 1 => "[!-~]{1,6}"];
    let version = prop_oneof![12 => Just("HTTP/1.1"), 2 => Just("HTTP/1.0"), 1 => Just("HTTP/1.2")];
    let host = prop_oneof![12 => Just("Host: h:80\r\n"), 1 => Just(""), 1 => Just("Host: h\r\nhost: h\r\n"), 1 => Just("Host: a b\r\n")];
    let body = prop_oneof![
        4 => Just("\r\n"),
        4 => Just("Content-Length: 5\r\n\r\nhello"),
        4 => Just("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-T: 1\r\n\r\n"),
        1 => Just("Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
        1 => Just("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        1 => Just("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        1 => Just("Content-Length: 05\r\n\r\nhello"),
        1 => Just("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        1 => Just("Connection: close\r\n\r\n"),
        1 => Just("Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
        1 => Just("Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"),
    ];
    let field = prop_oneof![12 => "[A-Za-z-]{1,12}:[ \t]{0,2}[ -~\u{e9}]{0,20}\r\n", 1 => "[ -~]{0,10}\r\n", 1 => "X:[\u{0}-\u{1f}]\r\n", 1 => Just("X: 1\n".to_owned())];
    (method, target, version, host, vec(field, 0..5), body).prop_map(|(method, target, version, host, fields, body)| {
        format!("{method} {target} {version}\r\n{host}{}{body}", fields.concat()).into_bytes()
    })
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => Just("HTTP/1.1 200 OK\r\n"),
        2 => Just("HTTP/1.1 500 Internal Server Error\r\n"),
        1 => Just("HTTP/1.1 200\r\n"),
        1 => Just("HTTP/1.1 200 \r\n"),
        1 => Just("HTTP/1.0 200 Gr\u{fc}\u{df}e\r\n"),
        1 => Just("HTTP/1.1 204 No\r\n"),
        1 => Just("HTTP/1.1 304 No\r\n"),
        1 => Just("HTTP/1.1 999 No\r\n"),
        1 => Just("HTTP/1.1 500 a\nb\r\n"),
        2 => Just("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"),
    ];
    let body = prop_oneof![
        3 => Just("\r\nhello"),
        4 => Just("Content-Length: 5\r\n\r\nhello"),
        4 => Just("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nX-T: 1\r\n\r\n"),
        1 => Just("Transfer-Encoding: chunked\r\n\r\n5  \r\nhello\r\n0 \r\n\r\n"),
        1 => Just("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        1 => Just("Content-Length: 5\r\nX: 1\r\nContent-Length: 5\r\n\r\nhello"),
        1 => Just("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        1 => Just("Content-Length: 0\r\n\r\n"),
    ];
    let field = prop_oneof![12 => "[A-Za-z-]{1,12}:[ \t]{0,2}[ -~\u{e9}]{0,20}\r\n", 1 => "[ -~]{0,10}\r\n", 1 => "X:[\u{0}-\u{1f}]\r\n"];
    (line, vec(field, 0..4), body)
        .prop_map(|(line, fields, body)| format!("{line}{}{body}", fields.concat()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn requests_that_we_accept_are_read_the_same(requests in vec(request(), 1..4)) {
        hyper_server::check(&requests.concat());
    }

    #[test]
    fn responses_that_we_accept_are_read_the_same(input in response(), head in any::<bool>()) {
        hyper_client::check(if head { "HEAD" } else { "POST" }, &input);
    }
}
