#![no_main]
//! PROXY headers are read the same at any cut.

use castile::proxy::proxy_protocol::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    if let Ok(Some((length, _))) = &whole {
        assert!(*length <= bytes.len());
    }
    for cut in 0..bytes.len() {
        match parse(&bytes[..cut]) {
            Ok(None) => {}
            early => return assert_eq!(early, whole),
        }
    }
});
