//! Castile end to end: real sockets, nodes that misbehave as told, clients that write raw bytes.

mod access_log;
mod addresses;
mod admin;
mod admin_cli;
mod architecture;
mod asking;
mod audit;
mod capture;
mod conversations;
mod draining;
mod durable;
mod encryption;
mod failures;
mod framing;
mod guards;
mod handover;
mod handover_trouble;
mod health;
mod http2;
mod identity;
mod lab;
mod learning;
mod messages;
mod metrics;
mod overload;
mod previews;
mod program;
mod published;
mod reload;
mod request_ids;
mod returning;
mod rewriting;
mod sealed;
mod sharing;
mod simulation;
mod slow_clients;
mod smuggling;
mod support;
mod timeouts;
#[path = "../http/unambiguous.rs"]
#[allow(dead_code, reason = "tests/http needs more of it")]
mod unambiguous;
mod watching;
mod wrong_nodes;
