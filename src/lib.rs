//! Castile: an HTTP gateway that keeps every stateful SOAP conversation on the node that holds its state.
//!
//! The map, from the lowest floor up; a module names only lower floors:
//!
//! | floor | module | what |
//! |---|---|---|
//! | 0 | [`head`] | HTTP heads as received |
//! | 0 | [`soap`] | envelopes, paths, faults |
//! | 1 | [`session`] | keys, selectors, rules |
//! | 3 | [`config`] | the configuration file |
//! | 3 | [`telemetry`] | access log, events |
//! | 5 | [`proxy`] | the data path |

pub mod config;
pub mod head;
pub mod proxy;
pub mod session;
pub mod soap;
pub mod telemetry;
