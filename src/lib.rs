//! Castile: an HTTP gateway that keeps every stateful SOAP conversation on the node that holds its state.
//!
//! The map, from the lowest floor up; a module names only lower floors:
//!
//! | floor | module | what |
//! |---|---|---|
//! | 0 | [`hazelcast`] | a client for Hazelcast members |
//! | 0 | [`head`] | HTTP heads as received; pure |
//! | 0 | [`soap`] | envelopes, paths, faults; pure |
//! | 0 | [`upstream`] | nodes, balancing, health states; pure |
//! | 1 | [`session`] | keys, selectors, rules; pure |
//! | 2 | [`affinity`] | conversations, table, placement |
//! | 3 | [`config`] | the configuration file |
//! | 3 | [`store`] | where pins live beyond the process |
//! | 3 | [`telemetry`] | access log, events, metrics |
//! | 4 | [`gateway`] | the running gateway: snapshot, routes, reload |
//! | 5 | [`proxy`] | the data path |
//! | 5 | [`health`] | active checks of nodes |
//! | 5 | [`admin`] | readiness, metrics, the JSON API |
//! | 5 | [`discovery`] | who tells which nodes an upstream has, besides its file |
//! | 5 | [`handover`] | from one process to its successor: sockets, table |
//! | 6 | [`cli`] | the command line |

pub mod admin;
pub mod affinity;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod gateway;
pub mod handover;
pub mod hazelcast;
pub mod head;
pub mod health;
pub mod proxy;
pub mod session;
pub mod soap;
pub mod store;
pub mod telemetry;
pub mod upstream;
