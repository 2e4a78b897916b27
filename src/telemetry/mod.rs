//! What Castile tells about itself: the access log, and the log of events.

mod access_log;
mod events;
mod record;

pub use access_log::{AccessLog, Lines};
pub use events::init_events;
pub use record::{Format, Record};
