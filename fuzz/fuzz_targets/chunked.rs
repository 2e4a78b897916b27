#![no_main]
//! Chunked bodies are read the same at any cut, and come back when they are chunked again.

use castile::proxy::h1::{BodyDecoder, BodyError, Framing, chunk_head, write_last_chunk};
use libfuzzer_sys::fuzz_target;

/// The body, the names of its trailers, and how much of the input they took.
type Outcome = Result<(Vec<u8>, Vec<Vec<u8>>, usize), BodyError>;

fn decode(mut decoder: BodyDecoder, input: &[u8], piece: usize) -> Outcome {
    let (mut body, mut at, mut there) = (Vec::new(), 0, 0);
    while !decoder.is_done() {
        let step = decoder.decode(&input[at..there])?;
        assert!(step.data.end <= step.consumed && step.consumed <= there - at);
        body.extend_from_slice(&input[at..there][step.data]);
        at += step.consumed;
        if step.consumed == 0 {
            if there == input.len() {
                decoder.end_of_input()?;
            }
            there = (there + piece).min(input.len());
        }
    }
    let names = decoder.trailers().map(|fields| fields.iter().map(|field| field.name.to_vec()).collect());
    Ok((body, names.unwrap_or_default(), at))
}

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (piece, response, bytes) = input;
    let new = if response { BodyDecoder::for_response } else { BodyDecoder::new };
    let whole = decode(new(Framing::Chunked), bytes, bytes.len().max(1));
    assert_eq!(decode(new(Framing::Chunked), bytes, usize::from(piece) + 1), whole);
    assert_eq!(decode(new(Framing::Chunked), bytes, 1), whole);
    if let Ok((body, _, _)) = whole {
        let mut again = Vec::new();
        for chunk in body.chunks(usize::from(piece) + 1) {
            again.extend_from_slice(chunk_head(chunk.len(), &mut [0; 20]));
            again.extend_from_slice(chunk);
            again.extend_from_slice(b"\r\n");
        }
        write_last_chunk(None, &mut again);
        let length = again.len();
        assert_eq!(decode(BodyDecoder::new(Framing::Chunked), &again, 7), Ok((body, Vec::new(), length)));
    }
});
