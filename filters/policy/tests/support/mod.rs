//! Requests for policies.

#![allow(dead_code, reason = "each test uses some of it")]

pub mod model;

use weir_policy::canary::{Decision, Input, Policy, Verdict};

pub const HOST: &str = "reviews.default.svc.cluster.local";

/// A policy with this canary for [`HOST`].
pub fn policy(canary: &str) -> Policy {
    with("", canary)
}

/// A policy with these fields of its own, each with its comma, and this canary for [`HOST`].
pub fn with(fields: &str, canary: &str) -> Policy {
    Policy::parse(format!(r#"{{"version":1,{fields}"canaries":[{{"hosts":["{HOST}"],{canary}}}]}}"#).as_bytes()).unwrap()
}

/// What becomes of a request for [`HOST`] with these headers and attributes, from 192.0.2.7.
pub fn verdict<'p>(policy: &'p Policy, headers: &[(&str, &str)], random: Option<u128>) -> Verdict<'p> {
    let of = |name: &str| headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_bytes());
    let read = |input: Input<'_>| match input {
        Input::Header(name) | Input::Joined(name) | Input::Attribute(name) => of(name),
        Input::Cookies => None,
        Input::SourceAddress => Some(b"192.0.2.7:4711".as_slice()),
    };
    policy.decide(policy.for_host(HOST.as_bytes()), read, || random)
}

/// The version that serves it.
pub fn decide<'p>(policy: &'p Policy, headers: &[(&str, &str)]) -> Decision<'p> {
    verdict(policy, headers, None).decision.unwrap()
}

/// The bucket of a user in `x-user-id`.
pub fn bucket(policy: &Policy, user: &str) -> u16 {
    match decide(policy, &[("x-user-id", user)]) {
        Decision::Bucket { bucket, .. } => bucket,
        other => panic!("{other}"),
    }
}
