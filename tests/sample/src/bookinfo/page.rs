//! Bookinfo's page as HTML, from the JSON of details and reviews.

use serde_json::{Value, json};

const TITLE: &str = "The Comedy of Errors";
const SUMMARY: &str = "Two brothers, parted as babies, share a name, a face and, without knowing it, a town. Their servants are twins as well. \
    Within a day wives, goldsmiths and officers of the law have all met the wrong one.";

/// The only product there is.
pub fn product() -> Value {
    json!({"id": 0, "title": TITLE, "descriptionHtml": SUMMARY})
}

/// The whole page; what could not be had is `None` and said to be unavailable.
pub fn render(user: Option<&str>, details: Option<&Value>, reviews: Option<&Value>) -> String {
    let parts = [
        ("{{title}}", escape(TITLE)),
        ("{{summary}}", escape(SUMMARY)),
        ("{{session}}", session(user)),
        ("{{details}}", details.map_or_else(|| unavailable("details"), facts)),
        ("{{reviews}}", reviews.map_or_else(|| unavailable("reviews"), all_reviews)),
    ];
    parts.iter().fold(include_str!("productpage.html").to_owned(), |page, (slot, part)| page.replace(slot, part))
}

fn session(user: Option<&str>) -> String {
    match user {
        Some(user) => format!(r#"<p>Signed in as <strong>{}</strong> <a href="/logout">Sign out</a></p>"#, escape(user)),
        None => r#"<form action="/login" method="post"><label for="username">Name</label>
          <input id="username" name="username" required maxlength="64" pattern="[A-Za-z0-9._\-]+" autocomplete="username">
          <button>Sign in</button></form>"#
            .to_owned(),
    }
}

fn unavailable(what: &str) -> String {
    format!(r#"<p class="unavailable" role="status">Sorry, the {what} of this book are unavailable at the moment.</p>"#)
}

fn facts(details: &Value) -> String {
    let rows = [
        ("Author", "author"),
        ("First played", "year"),
        ("Binding", "type"),
        ("Pages", "pages"),
        ("Publisher", "publisher"),
        ("Language", "language"),
        ("ISBN-10", "ISBN-10"),
        ("ISBN-13", "ISBN-13"),
    ];
    let rows: String = rows.iter().map(|(label, field)| format!("<dt>{label}</dt><dd>{}</dd>\n", text(&details[*field]))).collect();
    format!("<dl>\n{rows}</dl>")
}

fn all_reviews(reviews: &Value) -> String {
    let list = reviews["reviews"].as_array().map(Vec::as_slice).unwrap_or_default();
    let list: String = list.iter().map(review).collect();
    format!(r#"{list}<p class="served">Served by <code>{}</code></p>"#, text(&reviews["podname"]))
}

fn review(review: &Value) -> String {
    format!(
        "<blockquote>\n{}<p>{}</p>\n<footer>{}</footer>\n</blockquote>\n",
        stars(&review["rating"]),
        text(&review["text"]),
        text(&review["reviewer"])
    )
}

/// Five stars, as many of them full as were given; nothing where the version shows none.
fn stars(rating: &Value) -> String {
    if let Some(error) = rating["error"].as_str() {
        return format!(r#"<p class="unavailable">{}</p>"#, escape(error));
    }
    let (Some(given), Some(colour)) = (rating["stars"].as_u64(), rating["color"].as_str()) else {
        return String::new();
    };
    let given = given.min(5) as usize;
    let (full, empty) = ("★".repeat(given), "☆".repeat(5 - given));
    format!(r#"<p class="stars {0}" role="img" aria-label="{given} of 5 stars, {0}">{full}{empty}</p>"#, escape(colour)) + "\n"
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| escape(&value.to_string()), escape)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_as_many_full_stars_as_were_given_in_the_versions_colour() {
        assert_eq!(
            stars(&json!({"stars": 4, "color": "red"})),
            "<p class=\"stars red\" role=\"img\" aria-label=\"4 of 5 stars, red\">★★★★☆</p>\n"
        );
        assert_eq!(stars(&Value::Null), "");
    }

    #[test]
    fn what_others_answered_cannot_become_markup() {
        let page = render(
            None,
            None,
            Some(&json!({"podname": "<script>", "reviews": [{"text": "<b>", "reviewer": "\"", "rating": {"stars": 1, "color": "<i>"}}]})),
        );
        assert!(!page.contains("<script>") && !page.contains("<b>") && !page.contains("<i>"));
    }
}
