//! The configuration file: read, checked, and handed on as one [`Config`].
//!
//! The file becomes a tree of values with their places ([`tree`]); readers ([`sections`], on top of [`read`]) turn it into
//! [`model`] types and collect every problem they meet; checks across sections follow. Whoever gets a [`Config`] may rely
//! on what its fields say: names are unique, references lead somewhere, limits are not zero, rules compile.
//!
//! The readers also describe themselves, so the JSON Schema and `--effective` come from the same lines that read.

pub mod forms;
pub mod model;
pub mod pending;
pub mod presets;
pub mod read;
pub mod schema;
pub mod sections;
pub mod show;
pub mod tree;
pub mod units;

mod check;
mod environment;
mod include;
mod load;
mod places;
mod restart;
mod show_rules;
mod warn;
mod watch;

#[cfg(test)]
mod tests;

pub use load::{Loaded, parse_nodes, parse_sticky, read_sticky};
pub use model::Config;
pub use places::{Place, Places, Problem};
pub use restart::{NeedsRestart, needs_restart};
pub use watch::{Sources, Stamps};
