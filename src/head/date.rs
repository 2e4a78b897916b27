//! Dates in cookies.
