//! Bookinfo's four services together.

use std::collections::BTreeSet;

use serde_json::json;
use weir_sample::app::Role;
use weir_sample::bookinfo::Hosts;
use weir_sample::server::Server;

use crate::{get, identity, json, post, start, text, url};

/// Bookinfo with reviews of `version`, of which the page is what is asked.
struct Bookinfo {
    page: Server,
    reviews: Server,
    _rest: [Server; 2],
}

async fn bookinfo(version: &str) -> Bookinfo {
    let details = start(Role::Details, identity("details-1", "v1", "")).await;
    let ratings = start(Role::Ratings, identity("ratings-1", "v1", "")).await;
    let address = |server: &Server| server.addresses[0].to_string();
    let mut hosts = Hosts { details: address(&details), ratings: address(&ratings), reviews: String::new() };
    let reviews = start(Role::Reviews(hosts.clone()), identity("reviews-1", version, "")).await;
    hosts.reviews = address(&reviews);
    Bookinfo { page: start(Role::Productpage(hosts), identity("", "", "")).await, reviews, _rest: [details, ratings] }
}

#[tokio::test]
async fn the_page_has_no_stars_with_v1_black_ones_with_v2_and_red_ones_with_v3() {
    for (version, stars) in [("v1", None), ("v2", Some("stars black")), ("v3", Some("stars red"))] {
        let shop = bookinfo(version).await;
        let page = get(&url(&shop.page, "/productpage"), &[]).await;

        assert_eq!(page.status, 200);
        assert!(text(&page).contains("William Shakespeare") && text(&page).contains("reviews-1"), "{}", text(&page));
        match stars {
            Some(stars) => assert_eq!(text(&page).matches(stars).count(), 2, "{version}"),
            None => assert!(!text(&page).contains("stars "), "{version}"),
        }
    }
}

#[tokio::test]
async fn the_services_answer_in_the_fields_of_istios_sample() {
    let shop = bookinfo("v3").await;

    let reviews = json(&get(&url(&shop.page, "/api/v1/products/0/reviews"), &[]).await);
    assert_eq!((&reviews["id"], &reviews["podname"], &reviews["clustername"]), (&json!("0"), &json!("reviews-1"), &json!("")));
    assert_eq!(reviews["reviews"][0]["reviewer"], "Reviewer1");
    assert_eq!(reviews["reviews"][1]["rating"], json!({"stars": 4, "color": "red"}));

    let ratings = json(&get(&url(&shop.page, "/api/v1/products/0/ratings"), &[]).await);
    assert_eq!(ratings, json!({"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}));

    let details = json(&get(&url(&shop.page, "/api/v1/products/0"), &[]).await);
    let fields: BTreeSet<&str> = details.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["ISBN-10", "ISBN-13", "author", "id", "language", "pages", "publisher", "type", "year"].into());

    let products = json(&get(&url(&shop.page, "/api/v1/products"), &[]).await);
    let fields: BTreeSet<&str> = products[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["descriptionHtml", "id", "title"].into());
}

#[tokio::test]
async fn signing_in_sets_a_cookie_and_names_the_user() {
    let shop = bookinfo("v1").await;

    let answer = post(&url(&shop.page, "/login"), "username=ada&password=").await;
    assert_eq!((answer.status.as_u16(), answer.headers["location"].to_str().unwrap()), (303, "/productpage"));
    assert_eq!(answer.headers["set-cookie"], "user=ada; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(get(&url(&shop.page, "/login?username=ada"), &[]).await.headers["set-cookie"], answer.headers["set-cookie"]);
    assert_eq!(post(&url(&shop.page, "/login"), "username=a%0d%0ab").await.status, 400);

    let page = get(&url(&shop.page, "/productpage"), &[("cookie", "theme=dark; user=ada")]).await;
    assert!(text(&page).contains("Signed in as <strong>ada</strong>"));
    let answer = get(&url(&shop.page, "/logout"), &[]).await;
    assert_eq!(answer.headers["set-cookie"], "user=; Path=/; Max-Age=0");
}

#[tokio::test]
async fn the_user_goes_to_the_services_as_end_user() {
    let asked = start(Role::StandIn, identity("", "", "")).await;
    let host = asked.addresses[0].to_string();
    let page = start(Role::Productpage(Hosts { details: host.clone(), reviews: host.clone(), ratings: host }), identity("", "", "")).await;

    let seen = json(&get(&url(&page, "/api/v1/products/0"), &[("cookie", "user=ada"), ("end-user", "eve")]).await);

    assert_eq!((&seen["headers"]["end-user"], &seen["path"]), (&json!("ada"), &json!("/details/0")));
}

#[tokio::test]
async fn what_is_not_to_be_had_is_said_to_be_unavailable() {
    let Bookinfo { page, reviews, _rest: [details, ratings] } = bookinfo("v2").await;
    ratings.stop().await;
    let answer = get(&url(&page, "/productpage"), &[]).await;
    assert_eq!(text(&answer).matches("The stars are unavailable").count(), 2);

    reviews.stop().await;
    details.stop().await;
    let answer = get(&url(&page, "/productpage"), &[]).await;
    assert_eq!(answer.status, 200);
    assert!(text(&answer).contains("Sorry, the reviews of this book") && text(&answer).contains("Sorry, the details of this book"));
    assert_eq!(get(&url(&page, "/api/v1/products/0/reviews"), &[]).await.status, 500);
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let shop = bookinfo("v1").await;
    assert_eq!(get(&url(&shop.page, "/static/bookinfo.css"), &[]).await.headers["content-type"], "text/css; charset=utf-8");
    for path in ["/static/nothing", "/api/v1/products/1", "/admin"] {
        assert_eq!(get(&url(&shop.page, path), &[]).await.status, 404, "{path}");
    }
    assert_eq!(get(&url(&shop.reviews, "/reviews/zero"), &[]).await.status, 404);
}
