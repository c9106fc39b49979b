//! The role `productpage`: the page for people, the same as JSON for programs, and a log-in that is only a name.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::{Hosts, ask, page};
use crate::answer::{self, Body};
use crate::client::Client;
use crate::forward;

/// How long a service may take, and how often reviews are asked: the values of Istio's sample, see `reviews`.
const TIMEOUT: Duration = Duration::from_secs(3);
const REVIEWS_ATTEMPTS: usize = 2;

/// The longest form that a log-in may send.
const LONGEST_FORM: usize = 1024;

/// Answers by path; anything else is not found.
pub async fn answer(request: Request<Incoming>, client: &Client, hosts: &Hosts) -> Response<Body> {
    let upstream = Upstream { client, hosts, headers: headers(request.headers()) };
    match request.uri().path() {
        "/" => answer::see_other("/productpage"),
        "/productpage" => {
            let (details, reviews) = tokio::join!(upstream.details(), upstream.reviews());
            answer::html(page::render(user(request.headers()).as_deref(), details.ok().as_ref(), reviews.ok().as_ref()))
        }
        "/login" => login(request).await,
        "/logout" => with_cookie("user=; Path=/; Max-Age=0"),
        "/static/bookinfo.css" => answer::whole(StatusCode::OK, "text/css; charset=utf-8", include_str!("bookinfo.css")),
        "/api/v1/products" => answer::json(StatusCode::OK, &json!([page::product()])),
        "/api/v1/products/0" => pass_on(upstream.details().await, "the details"),
        "/api/v1/products/0/reviews" => pass_on(upstream.reviews().await, "the reviews"),
        "/api/v1/products/0/ratings" => pass_on(upstream.ratings().await, "the stars"),
        _ => answer::not_found(),
    }
}

struct Upstream<'a> {
    client: &'a Client,
    hosts: &'a Hosts,
    headers: HeaderMap,
}

impl Upstream<'_> {
    async fn details(&self) -> Result<Value, u16> {
        ask(self.client, &self.hosts.details, "/details/0", self.headers.clone(), TIMEOUT).await
    }

    async fn reviews(&self) -> Result<Value, u16> {
        let mut answer = Err(500);
        for _ in 0..REVIEWS_ATTEMPTS {
            answer = ask(self.client, &self.hosts.reviews, "/reviews/0", self.headers.clone(), TIMEOUT).await;
            if answer.is_ok() {
                break;
            }
        }
        answer
    }

    async fn ratings(&self) -> Result<Value, u16> {
        ask(self.client, &self.hosts.ratings, "/ratings/0", self.headers.clone(), TIMEOUT).await
    }
}

fn pass_on(answer: Result<Value, u16>, what: &str) -> Response<Body> {
    match answer {
        Ok(value) => answer::json(StatusCode::OK, &value),
        Err(status) => answer::json(
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            &json!({"error": format!("Sorry, {what} of this book are unavailable at the moment.")}),
        ),
    }
}

/// What is handed on, with the user who is logged in as `end-user`, the header that Istio's examples route by.
fn headers(incoming: &HeaderMap) -> HeaderMap {
    let mut headers = forward::headers(incoming);
    if let Some(user) = user(incoming).and_then(|user| HeaderValue::from_str(&user).ok()) {
        headers.insert("end-user", user);
    }
    headers
}

/// The user in the cookie `user`.
fn user(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let user = cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix("user="))?;
    is_name(user).then(|| user.to_owned())
}

/// Takes `username` from the query of a GET or the form of a POST.
async fn login(request: Request<Incoming>) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Ok(form) = Limited::new(request.into_body(), LONGEST_FORM).collect().await else {
        return answer::text(StatusCode::PAYLOAD_TOO_LARGE, "that is too much for a name\n");
    };
    let form = String::from_utf8_lossy(&form.to_bytes()).into_owned();
    match form.split('&').chain(query.split('&')).find_map(|pair| pair.strip_prefix("username=")) {
        None | Some("") => answer::see_other("/productpage"),
        Some(name) if is_name(name) => with_cookie(&format!("user={name}; Path=/; HttpOnly; SameSite=Lax")),
        Some(_) => answer::text(StatusCode::BAD_REQUEST, "a name is up to 64 letters, digits, dots, dashes and underscores\n"),
    }
}

/// Names that need no escaping in a form, a cookie, a header or the page.
fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn with_cookie(cookie: &str) -> Response<Body> {
    let mut response = answer::see_other("/productpage");
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}
