//! The HTTP/1 codec against streams of messages: at every cut, against raw probes, and against hyper.

mod against_hyper;
mod cuts;
mod forwarded;
mod hyper_client;
mod hyper_server;
mod memory;
mod probes;
mod reading;
mod unambiguous;
