#![no_main]
//! Responses are read the same at any cut.

#[allow(dead_code)] // Each target reads one side.
#[path = "../../tests/http/reading.rs"]
mod reading;

use libfuzzer_sys::fuzz_target;
use reading::{Side, read};

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (cut, head, bytes) = input;
    let side = Side::Responses(if head { "HEAD" } else { "POST" });
    let whole = read(side, bytes, &[]);
    assert_eq!(read(side, bytes, &[usize::from(cut)]), whole);
    let every: Vec<_> = (0..bytes.len()).collect();
    assert_eq!(read(side, bytes, &every), whole);
});
