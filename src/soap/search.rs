//! Searches over short stretches, eight bytes at a time.
//!
//! Tags, names and values in SOAP are 10 to 60 bytes long, where memchr's vector searches cost more to begin than to run.
//! Behind the first 64 bytes they take over.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Bytes searched here before memchr takes over.
const SHORT: usize = 64;

/// A mark in the top bit of each byte that is zero. Bytes above the lowest zero may be marked wrongly, none below it.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & HIGH
}

const fn all(byte: u8) -> u64 {
    LOW * byte as u64
}

/// The first place where `marks` finds something in the first [`SHORT`] bytes, or how many of them it searched in vain.
#[inline(always)]
fn first(text: &[u8], marks: impl Fn(u64) -> u64) -> Result<usize, usize> {
    let mut at = 0;
    while at < SHORT {
        let Some(chunk) = text[at..].first_chunk::<8>() else { break };
        let found = marks(u64::from_le_bytes(*chunk));
        if found != 0 {
            return Ok(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    Err(at)
}

/// The first `a`.
#[inline]
pub(super) fn one(a: u8, text: &[u8]) -> Option<usize> {
    match first(text, |word| zeros(word ^ all(a))) {
        Ok(at) => Some(at),
        Err(at) if at == SHORT => memchr::memchr(a, &text[at..]).map(|found| at + found),
        Err(at) => text[at..].iter().position(|&byte| byte == a).map(|found| at + found),
    }
}

/// The first `a` or `b`.
#[inline]
pub(super) fn two(a: u8, b: u8, text: &[u8]) -> Option<usize> {
    match first(text, |word| zeros(word ^ all(a)) | zeros(word ^ all(b))) {
        Ok(at) => Some(at),
        Err(at) if at == SHORT => memchr::memchr2(a, b, &text[at..]).map(|found| at + found),
        Err(at) => text[at..].iter().position(|&byte| byte == a || byte == b).map(|found| at + found),
    }
}

/// The first `a`, `b` or `c`.
#[inline]
pub(super) fn three(a: u8, b: u8, c: u8, text: &[u8]) -> Option<usize> {
    match first(text, |word| zeros(word ^ all(a)) | zeros(word ^ all(b)) | zeros(word ^ all(c))) {
        Ok(at) => Some(at),
        Err(at) if at == SHORT => memchr::memchr3(a, b, c, &text[at..]).map(|found| at + found),
        Err(at) => text[at..].iter().position(|&byte| byte == a || byte == b || byte == c).map(|found| at + found),
    }
}

/// The first control character (below a space).
#[inline]
pub(super) fn control(text: &[u8]) -> Option<usize> {
    control_or(b'\0', text)
}

/// The first control character or `a`.
#[inline]
pub(super) fn control_or(a: u8, text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(chunk) = text[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let found = (word.wrapping_sub(all(b' ')) & !word & HIGH) | zeros(word ^ all(a));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    text[at..].iter().position(|&byte| byte < b' ' || byte == a).map(|found| at + found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_find_the_first_place_at_every_length() {
        for length in 0..200 {
            for place in 0..=length {
                for (a, b) in [(b'<', b'>'), (b'>', 0xFF), (b'"', 0x80), (b'=', b'<')] {
                    let mut text = vec![b'='; length];
                    text.iter_mut().for_each(|byte| *byte = if a == b'=' { b'x' } else { b'=' });
                    if let Some(byte) = text.get_mut(place) {
                        *byte = a;
                    }
                    if let Some(byte) = text.get_mut(place + 1) {
                        *byte = b;
                    }
                    let is = (place < length).then_some(place);
                    assert_eq!(one(a, &text), is);
                    assert_eq!(two(b, a, &text), is);
                    assert_eq!(three(b'!', b, a, &text), is);
                }
                let mut text = vec![b' '; length];
                if let Some(byte) = text.get_mut(place) {
                    *byte = 0x1F;
                }
                if let Some(byte) = text.get_mut(place + 1) {
                    *byte = 0xC3;
                }
                assert_eq!(control(&text), (place < length).then_some(place));
                assert_eq!(control_or(b'&', "é<ü>".repeat(length).as_bytes()), None);
                assert_eq!(control_or(b'&', &[&text[..place], b"&\x01"].concat()), Some(place));
            }
        }
    }
}
