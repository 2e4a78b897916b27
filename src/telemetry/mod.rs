//! What Castile tells about itself: the access log, the log of events, and metrics.

mod access_log;
pub mod audit;
mod events;
pub mod metrics;
mod record;
pub mod series;

pub use access_log::{AccessLog, Lines};
pub use audit::Audit;
pub use events::init_events;
pub use record::{Format, Record};
