//! However a message is cut, and whatever follows it, it is read the same.

use castile::proxy::h1::{BodyDecoder, Framing, chunk_head, write_last_chunk};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::reading::{End, Side, Transcript, read};

/// Pieces that make sound and unsound requests when put together.
fn piece() -> impl Strategy<Value = &'static [u8]> {
    select(vec![
        &b"POST /a?b HTTP/1.1\r\nHost: h\r\n"[..],
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n",
        b"5;a=\"b\"\r\nhello\r\n0\r\nX: 1\r\n\r\n",
        b"0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: close\r\n",
        b"X: 1\r\n",
        b"X : 1\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"abc",
        b"\n",
        b"\r",
        b"\0",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 \r\n\r\n",
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 500 \xFF\r\n\r\n",
    ])
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    vec(piece(), 1..8).prop_map(|pieces| pieces.concat())
}

fn check_cuts(side: Side, input: &[u8], mut cuts: Vec<usize>) -> Transcript {
    cuts.sort_unstable();
    let whole = read(side, input, &[]);
    assert_eq!(read(side, input, &cuts), whole, "cuts {cuts:?}");
    let every: Vec<_> = (0..input.len()).collect();
    assert_eq!(read(side, input, &every), whole, "byte by byte");
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn requests_are_read_the_same_at_any_cut(input in stream(), cuts in vec(0usize..400, 0..6)) {
        check_cuts(Side::Requests, &input, cuts);
    }

    #[test]
    fn responses_are_read_the_same_at_any_cut(input in stream(), cuts in vec(0usize..400, 0..6)) {
        check_cuts(Side::Responses("POST"), &input, cuts);
    }

    #[test]
    fn any_bytes_are_read_the_same_at_any_cut(input in vec(any::<u8>(), 0..200), cuts in vec(0usize..200, 0..6)) {
        check_cuts(Side::Requests, &input, cuts.clone());
        check_cuts(Side::Responses("POST"), &input, cuts);
    }

    #[test]
    fn pipelined_requests_come_out_one_by_one(bodies in vec(vec(any::<u8>(), 0..300), 1..6), chunked in any::<bool>(), cuts in vec(0usize..2000, 0..6)) {
        let mut input = Vec::new();
        for body in &bodies {
            input.extend_from_slice(b"POST / HTTP/1.1\r\nHost: h\r\n");
            if chunked {
                input.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                encode(body, 7, &mut input);
            } else {
                input.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                input.extend_from_slice(body);
            }
        }
        let transcript = check_cuts(Side::Requests, &input, cuts);
        let read: Vec<_> = transcript.messages.into_iter().map(|message| message.body).collect();
        prop_assert_eq!(read, bodies);
        prop_assert_eq!(transcript.end, End::Clean);
    }

    #[test]
    fn what_is_chunked_comes_back(body in vec(any::<u8>(), 0..3000), size in 1usize..1000) {
        let mut input = Vec::new();
        encode(&body, size, &mut input);
        input.extend_from_slice(b"next");
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let (mut out, mut at) = (Vec::new(), 0);
        while !decoder.is_done() {
            let step = decoder.decode(&input[at..]).expect("sound");
            out.extend_from_slice(&input[at..][step.data]);
            at += step.consumed;
        }
        prop_assert_eq!(out, body);
        prop_assert_eq!(&input[at..], b"next");
    }
}

fn encode(body: &[u8], size: usize, out: &mut Vec<u8>) {
    for chunk in body.chunks(size) {
        out.extend_from_slice(chunk_head(chunk.len(), &mut [0; 20]));
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    write_last_chunk(None, out);
}
