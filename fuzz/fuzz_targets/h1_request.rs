#![no_main]
//! Requests are read the same at any cut, and what leaves for a node can be read in one way only.

#[allow(dead_code)] // Each target reads one side.
#[path = "../../tests/http/reading.rs"]
mod reading;
#[path = "../../tests/http/unambiguous.rs"]
mod unambiguous;

use libfuzzer_sys::fuzz_target;
use reading::{Side, read};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (first, second, bytes) = input;
    let whole = read(Side::Requests, bytes, &[]);
    let cuts = [usize::from(first.min(second)), usize::from(first.max(second))];
    assert_eq!(read(Side::Requests, bytes, &cuts), whole);
    let every: Vec<_> = (0..bytes.len()).collect();
    assert_eq!(read(Side::Requests, bytes, &every), whole);
    unambiguous::check(bytes);
});
