//! Who this instance is: the part of every answer that tells which pod gave it.

use serde::{Deserialize, Serialize};

/// The identity an instance puts into its answers. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The service, from `SERVICE`, else the role's name.
    pub service: String,
    /// The pod, from `POD_NAME`.
    pub pod: String,
    /// The pod's namespace, from `POD_NAMESPACE`.
    pub namespace: String,
    /// The version, from `VERSION`; it decides which stars the role `reviews` shows.
    pub version: String,
    /// The zone, from `ZONE`.
    pub zone: String,
}

impl Identity {
    /// Reads the identity from the environment, for an instance that plays `role`.
    pub fn from_env(role: &str) -> Identity {
        let read = |name: &str| std::env::var(name).unwrap_or_default();
        let service = Some(read("SERVICE")).filter(|name| !name.is_empty()).unwrap_or_else(|| role.to_owned());
        Identity { service, pod: read("POD_NAME"), namespace: read("POD_NAMESPACE"), version: read("VERSION"), zone: read("ZONE") }
    }
}
