//! Against captured frames, broken ones, and a member that is told what to do.

mod captures;
mod hostile;
mod member;
mod sessions;
