//! `product`, `order-history` and `colour`.

use serde_json::json;
use weir_sample::app::Role;

use crate::{get, identity, json, nowhere, start, text, url};

#[tokio::test]
async fn product_answers_with_its_zone_and_order_historys() {
    let order_history = start(Role::OrderHistory { work: None }, identity("history-1", "v1", "b")).await;
    let product = start(Role::Product { order_history: url(&order_history, "/"), drop: None }, identity("product-1", "v1", "a")).await;

    let answer = get(&url(&product, "/"), &[]).await;

    assert_eq!(answer.status, 200);
    assert_eq!(
        json(&answer),
        json!({
            "service": "shop", "pod": "product-1", "namespace": "test", "version": "v1", "zone": "a",
            "orderHistory": {
                "status": 200, "servedBy": null, "orders": ["tea", "rope", "ink"],
                "service": "shop", "pod": "history-1", "namespace": "test", "version": "v1", "zone": "b",
            },
        })
    );
}

#[tokio::test]
async fn product_hands_on_the_user_and_the_trace() {
    let asked = start(Role::StandIn, identity("stand-in", "", "")).await;
    let product = start(Role::Product { order_history: url(&asked, "/"), drop: None }, identity("", "", "")).await;

    let answer = get(&url(&product, "/"), &[("cookie", "user=ada"), ("baggage", "weir=1"), ("accept", "text/html")]).await;

    let seen = json(&answer)["orderHistory"]["headers"].clone();
    assert_eq!(seen, json!({"baggage": "weir=1", "cookie": "user=ada", "host": asked.addresses[0].to_string()}));
}

#[tokio::test]
async fn product_answers_502_with_the_reason_if_order_history_fails() {
    let failing = start(Role::StandIn, identity("stand-in", "", "")).await;
    let product = start(Role::Product { order_history: url(&failing, "/status/503"), drop: None }, identity("", "", "a")).await;
    let answer = get(&url(&product, "/"), &[]).await;
    assert_eq!((answer.status.as_u16(), &json(&answer)["orderHistory"]["status"]), (502, &json!(503)));

    let (_kept, nowhere) = nowhere();
    let product = start(Role::Product { order_history: format!("http://{nowhere}/"), drop: None }, identity("", "", "a")).await;
    let answer = get(&url(&product, "/"), &[]).await;
    assert_eq!(answer.status, 502);
    let reason = json(&answer)["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("order-history did not answer: ") && reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn colour_answers_with_its_colour_and_with_the_page() {
    let colour = start(Role::Colour { colour: "green".into(), errors: 0 }, identity("colour-1", "canary", "c")).await;

    let answer = get(&url(&colour, "/colour"), &[]).await;
    assert_eq!(
        json(&answer),
        json!({"colour": "green", "service": "shop", "pod": "colour-1", "namespace": "test", "version": "canary", "zone": "c"})
    );
    assert_eq!((&answer.headers["x-colour"], &answer.headers["cache-control"]), (&"green".parse().unwrap(), &"no-store".parse().unwrap()));

    let page = get(&url(&colour, "/"), &[]).await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(text(&page).contains(r#"fetch("colour""#) && !text(&page).contains("https://"));
    assert_eq!(get(&url(&colour, "/nothing"), &[]).await.status, 404);
}
