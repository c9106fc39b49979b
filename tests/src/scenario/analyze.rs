//! `weir analyze` on the demos, and on a copy with names that are misspelt.

use crate::Figure;
use crate::tools::{copy_files, project, texts, type_weir};
use anyhow::{Result, ensure};
use std::path::Path;
use tempfile::TempDir;

/// The demos' folders.
pub const DEMOS: [&str; 3] = ["deploy/demos/locality", "deploy/demos/canary", "deploy/demos/bookinfo"];

/// A gateway, a host and a subset of the canary demo, each misspelt: what stands there, and the line that stands there then.
pub const MISSPELT: [(&str, &str, &str); 3] = [
    ("    - canary\n    - mesh", "    - canari\n    - mesh", "- canari"),
    ("host: colour\n            subset: stable", "host: color\n            subset: stable", "host: color"),
    ("subset: canary", "subset: kanary", "subset: kanary"),
];

/// A copy of the canary demo whose `traffic.yaml` is changed.
pub fn demo_with(changes: impl IntoIterator<Item = (&'static str, &'static str)>) -> Result<TempDir> {
    let copy = TempDir::with_prefix("weir-tests-")?;
    copy_files(&project("deploy/demos/canary"), copy.path())?;
    let file = copy.path().join("traffic.yaml");
    let mut text = std::fs::read_to_string(&file)?;
    for (from, to) in changes {
        ensure!(text.contains(from), "{from:?} in {text}");
        text = text.replacen(from, to, 1);
    }
    std::fs::write(&file, text)?;
    Ok(copy)
}

/// The demo with all that is misspelt.
pub fn misspelt() -> Result<TempDir> {
    demo_with(MISSPELT.map(|(from, to, _)| (from, to)))
}

/// Where `traffic.yaml` has this line, from 1.
pub fn line_of(folder: &Path, text: &str) -> Result<usize> {
    let file = std::fs::read_to_string(folder.join("traffic.yaml"))?;
    let place = file.lines().position(|line| line.trim() == text);
    Ok(1 + place.ok_or_else(|| anyhow::anyhow!("no line {text:?} in {file}"))?)
}

/// Nothing is found in the demos, and in the copy three things at their lines, and the policy whose testers' subset is gone with them.
pub fn finds_what_is_misspelt() -> Result<Figure> {
    let demos = type_weir(&project(""), &[&["analyze"], &DEMOS[..]].concat())?;
    let copy = misspelt()?;
    let found = texts(&type_weir(copy.path(), &["analyze", "."])?).0;
    let expected = MISSPELT.iter().map(|(_, _, line)| Ok(format!("traffic.yaml:{}:", line_of(copy.path(), line)?)));
    let expected = expected.chain([Ok("weir.yaml:34:".into())]).collect::<Result<Vec<_>>>()?;
    let at_its_line = |(finding, place): &(&str, &String)| finding.trim_start_matches("./").starts_with(place.as_str());
    let right = found.lines().zip(&expected).filter(at_its_line).count();
    let (wrong, all) = (texts(&demos).0.lines().count(), found.lines().count());
    let measured = format!("{wrong}; {right} of {all} at the right line");
    let kept = demos.status.success() && (wrong, right, all) == (0, expected.len(), expected.len());
    Ok(Figure::new("weir analyze on the demos; with host, subset, gateway misspelt", "nothing; 4 findings at their lines", measured, kept))
}
