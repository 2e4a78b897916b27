//! The floors up to the table of conversations, built once more with shuttle's locks in the table.

#![allow(missing_docs, dead_code, reason = "the gateway's own build looks at that")]

#[path = "../../src/affinity/mod.rs"]
pub mod affinity;
#[path = "../../src/head/mod.rs"]
pub mod head;
#[path = "../../src/session/mod.rs"]
pub mod session;
#[path = "../../src/soap/mod.rs"]
pub mod soap;
#[path = "../../src/upstream/mod.rs"]
pub mod upstream;
