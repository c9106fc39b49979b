//! The modules that the control plane serves, by their sha256.

use super::digest;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What is served, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<RwLock<BTreeMap<String, Bytes>>>);

impl Store {
    /// Takes a module in; its sha256.
    pub fn put(&self, module: Bytes) -> String {
        let sha256 = digest(&module);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sha256.clone(), module);
        sha256
    }

    /// No longer serves a module.
    pub fn remove(&self, sha256: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(sha256);
    }

    /// The module at a path of the server, `/modules/SHA256.wasm`.
    pub fn at(&self, path: &str) -> Option<Bytes> {
        let sha256 = path.strip_prefix("/modules/")?.strip_suffix(".wasm")?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(sha256).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_at_its_hash_alone() {
        let store = Store::default();
        let sha256 = store.put("abc".into());
        assert_eq!(store.at(&format!("/modules/{sha256}.wasm")), Some("abc".into()));
        for path in [format!("/modules/{sha256}"), format!("/modules/../{sha256}.wasm"), "/modules/weir-canary.wasm".into(), "/".into()] {
            assert_eq!(store.at(&path), None, "{path}");
        }
    }
}
