#![no_main]
//! What a Hazelcast member sends is read the same at any cut, and harms nobody.

use castile::hazelcast::answer;
use castile::hazelcast::wire::{Decoder, Message, WireError};
use libfuzzer_sys::fuzz_target;

/// Whole messages, and the error after them.
fn decode(pieces: [&[u8]; 2]) -> (Vec<Message>, Option<WireError>) {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.take() {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fuzz_target!(|input: (u16, &[u8])| {
    let (cut, bytes) = input;
    let cut = usize::from(cut).min(bytes.len());
    let (messages, error) = decode([bytes, b""]);
    assert_eq!(decode([&bytes[..cut], &bytes[cut..]]), (messages.clone(), error));
    for message in &messages {
        let _ = answer::welcome(message);
        let _ = answer::event(message);
        let _ = answer::error(message);
        let _ = answer::flag(message);
        let _ = answer::registration(message);
        let _ = answer::entries(message);
        if let Ok(Some(data)) = answer::value(message) {
            let _ = (data.as_text(), data.as_bytes(), data.as_java());
        }
    }
});
