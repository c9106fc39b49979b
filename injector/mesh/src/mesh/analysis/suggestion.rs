//! What a user may have meant by a name that leads nowhere.

use crate::mesh::{Mesh, host};

/// A service of another namespace, or with a name nearly the same.
pub(super) fn suggestion(mesh: &Mesh, host: &str) -> String {
    let wanted = host::first_label(host);
    let near = mesh
        .services
        .values()
        .map(|service| (distance(&service.name, wanted), service))
        .filter(|(distance, _)| *distance <= 2 && *distance < wanted.len());
    match near.min_by_key(|(distance, service)| (*distance, service.host.clone())) {
        Some((_, service)) => format!(" (is {} meant?)", service.host),
        None => String::new(),
    }
}

/// The one of several names that is nearly the same; of two that are it as much neither.
pub(super) fn among<'n>(names: impl IntoIterator<Item = &'n str>, wanted: &str) -> String {
    let mut near: Vec<_> = names.into_iter().map(|name| (distance(name, wanted), name)).collect();
    near.sort_unstable();
    match near.as_slice() {
        [(best, _), (second, _), ..] if best == second => String::new(),
        [(best, name), ..] if *best <= 2 && *best < wanted.len() => format!(" (is {name} meant?)"),
        _ => String::new(),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut previous = i;
        let mut next = vec![i + 1];
        for (above, right) in row.iter().skip(1).zip(b.chars()) {
            let best = (previous + usize::from(left != right)).min(above + 1).min(next.last().map_or(0, |last| last + 1));
            next.push(best);
            previous = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn counts_edits() {
        for (a, b, edits) in [("reviews", "reviews", 0), ("reveiws", "reviews", 2), ("review", "reviews", 1), ("", "ab", 2), ("x", "", 1)] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
