//! The outline of a Wasm module: its sections.

use anyhow::{Context, Result};

const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// A section: its number in the specification, and its content.
pub(crate) struct Section<'m> {
    id: u8,
    content: &'m [u8],
}

/// The sections in their order.
pub(crate) fn sections(module: &[u8]) -> Result<Vec<Section<'_>>> {
    let mut rest = module.strip_prefix(HEADER).context("not a Wasm module of version 1")?;
    let mut sections = Vec::new();
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let (content, after) = after.split_at_checked(size).context("a section is cut short")?;
        sections.push(Section { id, content });
        rest = after;
    }
    Ok(sections)
}

impl Section<'_> {
    pub(crate) fn size(&self) -> usize {
        self.content.len()
    }

    pub(crate) fn name(&self) -> String {
        const NAMES: [&str; 14] = [
            "",
            "types",
            "imports",
            "functions",
            "tables",
            "memory",
            "globals",
            "exports",
            "start",
            "elements",
            "code",
            "data",
            "data count",
            "tags",
        ];
        if self.id == 0 {
            let name = number(self.content).ok().and_then(|(length, after)| after.get(..length));
            return String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
        }
        NAMES.get(usize::from(self.id)).map_or_else(|| self.id.to_string(), |name| (*name).into())
    }
}

/// An unsigned LEB128 number and what follows it.
fn number(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok((value, bytes.get(place + 1..).unwrap_or_default()));
        }
    }
    anyhow::bail!("a number is cut short or too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_sections_and_their_sizes() {
        let module = [HEADER, &[1, 4, 1, 0x60, 0, 0], &[7, 5, 1, 1, b'b', 0, 1], &[0, 3, 1, b'x', 9]].concat();
        let names: Vec<_> = sections(&module).unwrap().iter().map(|section| (section.name(), section.size())).collect();
        assert_eq!(names, [("types".into(), 4), ("exports".into(), 5), ("x".into(), 3)]);
    }

    #[test]
    fn refuses_what_is_no_module() {
        assert!(sections(b"").is_err());
        assert!(sections(b"\0asm\x01\0\0\0\x07\x09\x02").is_err());
    }
}
