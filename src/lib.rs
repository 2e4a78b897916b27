//! Castile: an HTTP gateway that keeps every stateful SOAP conversation on the node that holds its state.
//!
//! The map, from the lowest floor up; a module names only lower floors:
//!
//! | floor | module | what |
//! |---|---|---|
//! | 0 | [`head`] | HTTP heads as received |
//! | 0 | [`soap`] | envelopes, paths, faults |
//! | 0 | [`upstream`] | nodes, balancing, health state |
//! | 1 | [`session`] | keys, selectors, rules |
//! | 2 | [`affinity`] | conversations, table, placement |

pub mod affinity;
pub mod head;
pub mod session;
pub mod soap;
pub mod upstream;
