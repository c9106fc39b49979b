//! What an instance plays, and which part of it answers a request.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{Request, Response, StatusCode};
use serde_json::json;

use crate::answer::{self, Body};
use crate::bookinfo::{self, Hosts};
use crate::client::Client;
use crate::desk::Desk;
use crate::identity::Identity;
use crate::{colour, product, stand_in};

/// A role and what it needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Asks order-history on each request.
    Product {
        /// The URL that is asked.
        order_history: String,
        /// A header that is not handed on.
        drop: Option<HeaderName>,
    },
    /// Answers with its zone.
    OrderHistory {
        /// How long it works on a request, on average.
        work: Option<Duration>,
    },
    /// Answers with a colour, and with the page that shows the colours of many answers.
    Colour {
        /// The name of the colour.
        colour: String,
        /// So many of a hundred answers are failures.
        errors: u32,
    },
    /// Bookinfo's page.
    Productpage(Hosts),
    /// Bookinfo's facts about a book.
    Details,
    /// Bookinfo's reviews; the version decides on the stars.
    Reviews(Hosts),
    /// Bookinfo's numbers of stars.
    Ratings,
    /// Answers whatever is asked, in place of an application that is not at hand.
    StandIn,
}

impl Role {
    /// The role's name, which is the name of its service too unless the environment says otherwise.
    pub fn name(&self) -> &'static str {
        match self {
            Role::Product { .. } => "product",
            Role::OrderHistory { .. } => "order-history",
            Role::Colour { .. } => "colour",
            Role::Productpage(_) => "productpage",
            Role::Details => "details",
            Role::Reviews(_) => "reviews",
            Role::Ratings => "ratings",
            Role::StandIn => "stand-in",
        }
    }

    /// The port it listens on unless told otherwise.
    pub fn default_port(&self) -> u16 {
        match self {
            Role::Productpage(_) | Role::Details | Role::Reviews(_) | Role::Ratings => 9080,
            Role::Product { .. } | Role::OrderHistory { .. } | Role::Colour { .. } | Role::StandIn => 8080,
        }
    }
}

/// An instance of a role.
pub struct App {
    role: Role,
    identity: Identity,
    client: Client,
    /// How many colours were asked for.
    answers: AtomicU32,
    desk: Desk,
}

/// Whether the next answer is a failure, so that `percent` of them are, evenly spread.
fn fails(answers: &AtomicU32, percent: u32) -> bool {
    let before = answers.fetch_add(1, Ordering::Relaxed) % 100;
    (before + 1) * percent / 100 > before * percent / 100
}

impl App {
    /// An instance that plays `role` as `identity`.
    pub fn new(role: Role, identity: Identity) -> App {
        App { role, identity, client: Client::new(None), answers: AtomicU32::new(0), desk: Desk::default() }
    }

    /// Answers a request that arrived on `port`.
    pub async fn answer(&self, request: Request<Incoming>, port: u16) -> Response<Body> {
        let (identity, client) = (&self.identity, &self.client);
        if request.uri().path() == "/healthz" {
            return answer::text(StatusCode::OK, "ok\n");
        }
        match &self.role {
            Role::Product { order_history, drop } => product::answer(&request, identity, client, order_history, drop.as_ref()).await,
            Role::OrderHistory { work } => {
                if let Some(work) = work {
                    self.desk.work(*work).await;
                }
                answer::json(StatusCode::OK, &product::with(identity, json!({"orders": ["tea", "rope", "ink"]})))
            }
            Role::Colour { colour, errors } => colour::answer(&request, identity, colour, fails(&self.answers, *errors)),
            Role::Productpage(hosts) => bookinfo::productpage::answer(request, client, hosts).await,
            Role::Details => bookinfo::details::answer(&request),
            Role::Reviews(hosts) => bookinfo::reviews::answer(&request, identity, client, hosts).await,
            Role::Ratings => bookinfo::ratings::answer(&request),
            Role::StandIn => stand_in::answer(request, identity, port).await,
        }
    }
}
