//! The outline of a Wasm module: its sections, and the exports in one of them.

use anyhow::{Context, Result, ensure};

const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const EXPORTS: u8 = 7;

/// A section: its number in the specification, and its content.
pub(crate) struct Section<'m> {
    pub(crate) id: u8,
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

/// The module without the exports that `keep` refuses. What they referred to stays, for wasm-opt to remove.
pub(crate) fn without_exports(module: &[u8], keep: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
    let mut out = HEADER.to_vec();
    for section in sections(module)? {
        out.push(section.id);
        if section.id == EXPORTS {
            let content = kept_exports(section.content, &keep)?;
            write_number(&mut out, content.len());
            out.extend(content);
        } else {
            write_number(&mut out, section.content.len());
            out.extend(section.content);
        }
    }
    Ok(out)
}

fn kept_exports(content: &[u8], keep: impl Fn(&str) -> bool) -> Result<Vec<u8>> {
    let (count, mut rest) = number(content)?;
    let mut kept = 0;
    let mut entries: Vec<u8> = Vec::new();
    for _ in 0..count {
        let entry = rest;
        let (length, after) = number(rest)?;
        let (name, after) = after.split_at_checked(length).context("an export's name is cut short")?;
        // The kind is one byte, and then comes the index.
        let (_, after) = number(after.get(1..).context("an export is cut short")?)?;
        rest = after;
        if keep(std::str::from_utf8(name)?) {
            kept += 1;
            entries.extend(entry.get(..entry.len() - rest.len()).unwrap_or_default());
        }
    }
    ensure!(rest.is_empty(), "bytes are left behind the exports");
    let mut out = Vec::new();
    write_number(&mut out, kept);
    out.extend(entries);
    Ok(out)
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

fn write_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_the_exports_that_are_not_kept_and_nothing_else() {
        let module = |exports: &[u8]| [HEADER, &[1, 4, 1, 0x60, 0, 0], exports, &[0, 3, 1, b'x', 9]].concat();
        let before = module(&[7, 9, 2, 1, b'a', 0, 0, 1, b'b', 0, 1]);
        let after = module(&[7, 5, 1, 1, b'b', 0, 1]);
        assert_eq!(without_exports(&before, |name| name == "b").unwrap(), after);
        assert_eq!(without_exports(&before, |_| true).unwrap(), before);
        let names: Vec<_> = sections(&after).unwrap().iter().map(|section| (section.name(), section.size())).collect();
        assert_eq!(names, [("types".into(), 4), ("exports".into(), 5), ("x".into(), 3)]);
    }

    #[test]
    fn refuses_what_is_no_module() {
        assert!(sections(b"").is_err());
        assert!(sections(b"\0asm\x01\0\0\0\x07\x09\x02").is_err());
        assert!(without_exports(b"\0asm\x01\0\0\0\x07\x02\x01\x05", |_| true).is_err());
    }
}
