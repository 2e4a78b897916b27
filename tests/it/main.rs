//! Castile end to end: real sockets, nodes that misbehave as told, clients that write raw bytes.

mod architecture;
mod failures;
mod framing;
mod learning;
mod messages;
mod support;
mod wrong_nodes;
