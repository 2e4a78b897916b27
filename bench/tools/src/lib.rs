//! The nodes and the load generator of the bench, the same for every candidate.
//!
//! Both are one thread on plain epoll, so that they cost little beside what is measured. Nothing here is meant for use
//! elsewhere: messages are of the few shapes that the two exchange, and what a gateway between them does to those.

pub mod answer;
pub mod connection;
pub mod cost;
pub mod h1;
pub mod h2;
pub mod http;
pub mod link;
pub mod options;
pub mod poll;
pub mod random;
pub mod session;
pub mod soap;
pub mod tally;
