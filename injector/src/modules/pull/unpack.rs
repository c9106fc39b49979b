//! A module out of what it came in: as it is, compressed, or in an archive.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use std::io::Read;

/// The largest module, in bytes.
pub const LIMIT: usize = 32 << 20;
/// The name of the module in an archive (<https://github.com/solo-io/wasm/blob/master/spec/spec-compat.md>).
const FILE: &str = "plugin.wasm";

/// The module in `bytes`.
pub fn unpack(bytes: Bytes) -> Result<Bytes> {
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) { read(flate2::read::GzDecoder::new(&*bytes)).context("gzip")? } else { bytes };
    let bytes = if bytes.get(257..262) == Some(b"ustar") { file(&bytes)? } else { bytes };
    if !bytes.starts_with(b"\0asm") {
        bail!("what came is no WebAssembly module");
    }
    Ok(bytes)
}

fn file(archive: &[u8]) -> Result<Bytes> {
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry.context("the archive cannot be read")?;
        if entry.path().is_ok_and(|path| path.file_name().is_some_and(|name| name == FILE)) {
            return read(entry);
        }
    }
    bail!("the archive holds no {FILE}")
}

fn read(from: impl Read) -> Result<Bytes> {
    let mut bytes = Vec::new();
    from.take(LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > LIMIT {
        bail!("the module is larger than {LIMIT} bytes");
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn tar(name: &str, body: &[u8]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        archive.append_data(&mut header, name, body).unwrap();
        archive.into_inner().unwrap()
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_module_comes_as_it_is_compressed_or_in_an_archive() {
        let module = b"\0asm\x01\0\0\0".as_slice();
        for packed in [module.to_vec(), gzip(module), tar("plugin.wasm", module), gzip(&tar("./dir/plugin.wasm", module))] {
            assert_eq!(unpack(packed.into()).unwrap(), module);
        }
    }

    #[test]
    fn what_is_no_module_or_too_large_is_refused() {
        let refused = |bytes: Vec<u8>| unpack(bytes.into()).unwrap_err().to_string();
        for bytes in [vec![], b"<html>".to_vec(), vec![0x1f, 0x8b, 0], tar("other.wasm", b"\0asm"), gzip(&vec![0; LIMIT + 1])] {
            refused(bytes);
        }
        assert_eq!(refused(b"<html>".to_vec()), "what came is no WebAssembly module");
        assert_eq!(refused(tar("other.wasm", b"\0asm")), "the archive holds no plugin.wasm");
    }
}
