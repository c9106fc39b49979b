//! Bookinfo: Istio's well-known example, unchanged in what it shows.

use crate::{Figure, Mesh};
use anyhow::Result;
use hyper::Request;
use std::time::Duration;
use weir_sample::client::Client;

/// The pages and what is not one.
pub async fn pages(mesh: &impl Mesh) -> Result<Figure> {
    let client = Client::new(Some(mesh.gateway()));
    let get = async |path: &str| -> Result<(u16, String)> {
        let request = Request::get(format!("http://books.example{path}")).body(http_body_util::Full::default())?;
        let answer = client.send(request, Duration::from_secs(10)).await?;
        Ok((answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()))
    };
    let (page, html) = get("/productpage").await?;
    let stars = html.contains("black") || html.contains("red");
    let (style, _) = get("/static/bookinfo.css").await?;
    let (other, _) = get("/nothing-here").await?;
    let kept = (page, style, other) == (200, 200, 404) && stars;
    let measured = format!("{page}{}, {style}, {other}", if stars { " with stars" } else { "" });
    Ok(Figure::new("bookinfo: /productpage, /static, elsewhere", "200 with stars, 200, 404", measured, kept))
}

/// Reviews are split over v2 (black) and v3 (red).
pub async fn reviews(mesh: &impl Mesh) -> Result<Figure> {
    let report = mesh.count("http://books.example/api/v1/products/0/reviews", 1000, &["/reviews/0/rating/color"]).await?;
    let black = report.values.get("black").copied().unwrap_or_default();
    let red = report.values.get("red").copied().unwrap_or_default();
    let kept = report.failed == 0 && black + red == 1000 && black.abs_diff(500) <= 80;
    Ok(Figure::new(
        "bookinfo: reviews v2:v3 over 1,000",
        "50/50 +- 8 points, never v1",
        format!("{black}:{red}, {} failed", report.failed),
        kept,
    ))
}
