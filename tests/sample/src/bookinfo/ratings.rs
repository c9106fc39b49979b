//! The role `ratings`: how many stars each reviewer gives a book.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use super::book;
use crate::answer::{self, Body};

/// `/ratings/N` answers with the same stars whatever the book's number is.
pub fn answer(request: &Request<Incoming>) -> Response<Body> {
    match book(request.uri().path(), "/ratings/") {
        Some(id) => answer::json(StatusCode::OK, &json!({"id": id, "ratings": {"Reviewer1": 5, "Reviewer2": 4}})),
        None => answer::not_found(),
    }
}
