//! Whatever comes from a member is read or refused; nothing panics, and cuts change nothing.

use super::captures::all_from_members;
use crate::hazelcast::answer;
use crate::hazelcast::wire::{BEGIN_FRAGMENT, Decoder, END_FRAGMENT, FINAL, MESSAGE_BYTES_MAX, Message, WireError};

/// What becomes of bytes, pushed in these pieces.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Option<WireError>) {
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

/// Reads a message in every way.
fn read_all(message: &Message) {
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

fn frame(flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32 + 6).to_le_bytes().to_vec();
    out.extend_from_slice(&flags.to_le_bytes());
    out.extend_from_slice(payload);
    out
}

#[test]
fn cuts_change_nothing() {
    let bytes: Vec<u8> = all_from_members().iter().flat_map(|captured| captured.bytes.clone()).collect();
    let (whole, error) = decode([&bytes[..]]);
    assert_eq!((whole.len(), error), (all_from_members().len(), None));
    for cut in 0..bytes.len() {
        assert_eq!(decode([&bytes[..cut], &bytes[cut..]]).0, whole, "cut at {cut}");
    }
    assert_eq!(decode(bytes.chunks(1)).0, whole);
}

#[test]
fn changed_bytes_harm_nobody() {
    // xorshift, from a fixed seed.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let captured = all_from_members();
    for _ in 0..20_000 {
        let mut bytes = captured[random(captured.len())].bytes.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = [0, 0xff, 0x10, 0x08, 0x20, random(256) as u8][random(6)];
        }
        bytes.truncate(bytes.len() - random(4) * random(bytes.len()) / 8);
        decode([&bytes[..]]).0.iter().for_each(read_all);
    }
}

#[test]
fn what_is_no_message_is_refused() {
    let unfragmented = BEGIN_FRAGMENT | END_FRAGMENT | FINAL;
    for (bytes, error) in [
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), WireError::TooLarge),
        (b"\x05\0\0\0\0\0".to_vec(), WireError::FrameLength(5)),
        (b"\xff\xff\xff\xff\0\0".to_vec(), WireError::FrameLength(u32::MAX)),
        (((MESSAGE_BYTES_MAX + 1) as u32).to_le_bytes().iter().copied().chain([0, 0]).collect(), WireError::TooLarge),
        (frame(unfragmented, b"short"), WireError::NoBeginning),
        (frame(FINAL, b"eight!!!"), WireError::Fragment),
        (frame(BEGIN_FRAGMENT | FINAL, b"seven!!"), WireError::Fragment),
    ] {
        assert_eq!(decode([&bytes[..]]), (Vec::new(), Some(error)), "{}", error);
    }
}

#[test]
fn fragments_become_the_message_that_was_cut() {
    let whole = &all_from_members()[1];
    let message = whole.message();
    // Frame by frame, in fragments of up to 7 frames.
    let frames: Vec<Vec<u8>> = (0..message.frames())
        .map(|at| message.frame(at).expect("it is there"))
        .map(|(flags, payload)| frame(flags & !FINAL, &payload))
        .collect();
    let fragments: Vec<_> = frames.chunks(7).collect();
    let mut bytes = Vec::new();
    for (nth, fragment) in fragments.iter().enumerate() {
        let begins = if nth == 0 { BEGIN_FRAGMENT } else { 0 };
        let ends = if nth + 1 == fragments.len() { END_FRAGMENT } else { 0 };
        bytes.extend(frame(begins | ends, b"fragment"));
        for (at, part) in fragment.iter().enumerate() {
            let mut part = part.clone();
            if at + 1 == fragment.len() {
                part[5] |= (FINAL >> 8) as u8;
            }
            bytes.extend(part);
        }
    }
    let (found, error) = decode([&bytes[..]]);
    assert_eq!((found.len(), error), (1, None));
    assert_eq!(answer::event(&found[0]), answer::event(&message));
    assert!(answer::event(&message).is_ok());
}
