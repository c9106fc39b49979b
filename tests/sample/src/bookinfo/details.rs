//! The role `details`: facts about a book.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use super::book;
use crate::answer::{self, Body};

/// `/details/N` answers with the same facts whatever the book's number is.
pub fn answer(request: &Request<Incoming>) -> Response<Body> {
    match book(request.uri().path(), "/details/") {
        Some(id) => answer::json(
            StatusCode::OK,
            &json!({
                "id": id,
                "author": "William Shakespeare",
                "year": 1594,
                "type": "paperback",
                "pages": 128,
                "publisher": "Weir Press",
                "language": "English",
                "ISBN-10": "0000000000",
                "ISBN-13": "978-0000000002",
            }),
        ),
        None => answer::not_found(),
    }
}
