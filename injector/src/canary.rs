//! The control plane's half of the canary governor: sums up what the proxies saw, and says what part of its users a canary may have in
//! the whole mesh. It never writes a user's object: what it says is a field of the policy that filters are sent.
//!
//! Proxies send each block of answers that they compared ([`report`]); [`ledger`], which is pure, plays them by the code that the proxies
//! run; [`engine`] drives it. Of several replicas the one that leads does, with what the others tell it, and keeps what it knows where the
//! others find it ([`crate::kubernetes::canaries`]); a mesh from files keeps it in a file ([`store`]).
//!
//! A report is a claim of one pod. It can do no more than hold a canary back that its proxy has a policy for, or speak for it: a canary
//! that is bad is held back in each proxy by what that proxy saw itself, whatever others claim.

pub mod command;
pub mod engine;
#[cfg(test)]
mod fixtures;
pub mod ledger;
pub mod page;
mod recent;
pub mod report;
pub mod store;
pub mod waiting;
