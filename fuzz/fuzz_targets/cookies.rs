#![no_main]
//! No cookie line harms, and whatever is found is part of the line.

use castile::head::{Fields, cookie};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|lines: Vec<&[u8]>| {
    let mut fields = Fields::default();
    for line in &lines {
        fields.push(b"Cookie", line);
        fields.push(b"Set-Cookie", line);
    }
    let contains = |part: &[u8]| part.is_empty() || lines.iter().any(|line| memchr::memmem::find(line, part).is_some());
    for (name, value) in cookie::request_cookies(&fields) {
        assert!(!name.is_empty() && contains(name) && contains(value));
    }
    for set in cookie::response_cookies(&fields) {
        assert!(!set.name.is_empty() && contains(set.name) && contains(set.value));
        let _ = set.is_deleted(0);
    }
});
