//! The running gateway: what all workers share.
//!
//! A [`Snapshot`] is one configuration, compiled; a request holds one from beginning to end. The [`Gateway`] holds the
//! present snapshot, the affinity table and the logs, and takes over new configurations.

pub mod capture;
mod fleet;
mod lesson;
mod membership;
mod pressure;
mod preview;
pub mod reading;
mod rewriting;
mod routes;
mod sealed;
mod shared;
mod snapshot;
mod sources;
mod takeover;
pub mod tls;

pub use lesson::{Lesson, VisitStory};
pub use membership::{
    Listing, Membership, Merged, NODES_MAX, REGISTER, Registration, Registrations, SourceView, Told, merge,
    read_announcement,
};
pub use pressure::{Pressure, Scarce};
pub use preview::{Effect, Group, Outlook, Preview};
pub use rewriting::Rewriting;
pub use routes::{Route, RouteMatch, Routes};
pub use sealed::{Carried, SealedCookie};
pub use shared::{Gateway, Handovers, StartError, configured_secret, unix_ms};
pub use snapshot::{ListenerSetup, Snapshot, SnapshotError, Target, Upstream};
pub use sources::Sources;
