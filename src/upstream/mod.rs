//! The nodes that serve an application: who they are, how they are, and which of them takes new work.
//!
//! A [`Registry`] lives as long as the process and knows every machine by its affinity group and name; what it keeps of a
//! machine ([`Live`]) therefore survives reloads. A [`NodeSet`] is the view of one upstream in one configuration snapshot:
//! its [`Node`]s with weights, route tags and limits, and the balancer. No I/O, no clock, no randomness of its own: time
//! and random numbers are arguments.

mod balance;
mod events;
mod fates;
mod gate;
mod health;
mod live;
mod node;
mod observed;
mod ramp;
mod registry;
mod wait;
mod way;

pub use balance::{Balance, Pick};
pub use events::{UpstreamEvents, Waiting};
pub use fates::{Fate, Fates};
pub use gate::{Rank, Settled, Ticket};
pub use health::{Checked, together};
pub use live::{Admin, Health, InFlight, Live, NodeId, OpenConnection};
pub use node::{Node, NodeLimits, NodeSet, NodeSpec};
pub use observed::EJECT_MAX;
pub use registry::Registry;
pub use wait::InLine;
pub use way::InTheWay;
