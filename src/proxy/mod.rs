//! The data path: from a client's bytes to a node's and back.
//!
//! | module | what |
//! |---|---|
//! | [`h1`] | the HTTP/1.0 and 1.1 codec: bytes in, values out |
//! | [`forwarding`] | what a proxy changes in a head before it passes it on |
//! | [`proxy_protocol`] | who the client is, as said by a load balancer in front (PROXY v1 and v2) |

mod accept;
mod admission;
mod ahead;
mod asking;
mod away;
mod buffer;
mod client;
mod client_cert;
mod connection;
mod deadline;
mod early;
mod finish;
mod forward;
pub mod forwarding;
pub mod h1;
mod h2;
mod handler;
mod hold;
mod intake;
mod listen;
mod log;
mod onward;
mod pace;
mod pool;
pub mod proxy_protocol;
mod queue;
mod reach;
mod refuse;
mod reply;
mod request_id;
pub mod rewrite;
mod sealed;
mod server;
mod stop;
mod stream;
mod tap;
mod tcp;
mod withheld;
mod worker;

pub use listen::ListenError;
pub use server::{Inherited, Server, ServerError, worker_count};
