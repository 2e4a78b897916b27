//! The configuration file: read, checked, and handed on as one [`Config`].
//!
//! The file becomes a tree of values with their places; readers turn it into [`model`] types and collect every problem
//! they meet; checks across sections follow. Whoever gets a [`Config`] may rely on what its fields say: names are
//! unique, references lead somewhere, limits are not zero.

pub mod model;

pub use model::Config;
