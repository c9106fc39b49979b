//! The role `reviews`: two reviews, and their stars from `ratings` in the versions that show stars.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Hosts, ask, book};
use crate::answer::{self, Body};
use crate::client::Client;
use crate::forward;
use crate::identity::Identity;

const REVIEWS: [(&str, &str); 2] = [
    ("Reviewer1", "Two pairs of twins, one town, and not a straight answer all day. I laughed at every door that opened."),
    ("Reviewer2", "Quick and warm, if thin beside the later plays. Read it aloud with friends and lose track of who is who."),
];

/// The colour of a version's stars and how long it waits for them. The times are those of Istio's sample,
/// whose fault injection examples rely on v2 being the patient one.
fn stars(version: &str) -> Option<(&'static str, Duration)> {
    match version {
        "v2" => Some(("black", Duration::from_secs(10))),
        "v3" => Some(("red", Duration::from_millis(2500))),
        _ => None,
    }
}

/// `/reviews/N` answers with the reviews; stars that cannot be had are an error in their place.
pub async fn answer(request: &Request<Incoming>, identity: &Identity, client: &Client, hosts: &Hosts) -> Response<Body> {
    let Some(id) = book(request.uri().path(), "/reviews/") else {
        return answer::not_found();
    };
    let ratings = match stars(&identity.version) {
        None => None,
        Some((colour, patience)) => {
            let path = format!("/ratings/{id}");
            let answer = ask(client, &hosts.ratings, &path, forward::headers(request.headers()), patience).await;
            Some((colour, answer.ok()))
        }
    };
    let reviews: Vec<Value> = REVIEWS.iter().map(|(reviewer, text)| review(reviewer, text, ratings.as_ref())).collect();
    answer::json(StatusCode::OK, &json!({"id": id.to_string(), "podname": identity.pod, "clustername": "", "reviews": reviews}))
}

fn review(reviewer: &str, text: &str, ratings: Option<&(&str, Option<Value>)>) -> Value {
    let mut review = json!({"reviewer": reviewer, "text": text});
    let rating = ratings.map(|(colour, answer)| {
        match answer.as_ref().and_then(|answer| answer.get("ratings")).and_then(|ratings| ratings.get(reviewer)) {
            Some(stars) => json!({"stars": stars, "color": colour}),
            None => json!({"error": "The stars are unavailable at the moment."}),
        }
    });
    if let (Some(review), Some(rating)) = (review.as_object_mut(), rating) {
        review.insert("rating".to_owned(), rating);
    }
    review
}
