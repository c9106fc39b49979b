//! The role `colour`: answers with a colour, so that a page full of answers shows how traffic is split.

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use crate::answer::{self, Body};
use crate::identity::Identity;
use crate::product::with;

/// `/colour` answers with the colour, in the header `x-colour` too; `/` with the page that asks for it many times.
/// If it `fails`, the colour is a failure.
pub fn answer(request: &Request<Incoming>, identity: &Identity, colour: &str, fails: bool) -> Response<Body> {
    match request.uri().path() {
        "/" => answer::html(include_str!("colour.html")),
        "/colour" if fails => answer::text(StatusCode::INTERNAL_SERVER_ERROR, "no colour\n"),
        "/colour" => {
            let mut response = answer::json(StatusCode::OK, &with(identity, json!({"colour": colour})));
            if let Ok(value) = HeaderValue::from_str(colour) {
                response.headers_mut().insert("x-colour", value);
            }
            response
        }
        _ => answer::not_found(),
    }
}
