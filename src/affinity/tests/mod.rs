//! The table as its users see it: scripts of requests and answers.

mod capacity;
mod journal;
mod merging;
mod operate;
mod placement;
mod semantics;
mod simulation;
mod stress;
mod trouble;
pub(super) mod world;

use super::*;
use world::World;

/// Runs a script and compares every decision. See [`World::run`] for the language.
fn check(world: &mut World, script: &str) {
    world.run(script);
}
