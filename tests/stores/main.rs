//! What every store that gateways share must do ([`castile::store::shared`]), shown with each of them, and with real servers.
//!
//! Servers come from `tests/fleet/install`. Where one cannot be had its tests say so and pass; `CASTILE_STORES=required` makes
//! them fail instead.

mod memory;
mod redis;
mod server;
mod suite;
