#![no_main]
//! Every message that we accept, hyper accepts and reads the same.

#[path = "../../tests/http/hyper_client.rs"]
mod hyper_client;
#[path = "../../tests/http/hyper_server.rs"]
mod hyper_server;
#[path = "../../tests/http/memory.rs"]
mod memory;
#[allow(dead_code)] // Each target reads one side.
#[path = "../../tests/http/reading.rs"]
mod reading;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 4 {
        0 | 1 => hyper_server::check(bytes),
        2 => hyper_client::check("POST", bytes),
        _ => hyper_client::check("HEAD", bytes),
    }
});
