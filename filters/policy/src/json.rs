//! Reads JSON into a configuration, so that an error names the path of what is wrong.

use crate::Error;
use serde::de::DeserializeOwned;

/// The only version of the configurations so far.
const VERSION: u32 = 1;

pub(crate) fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let config = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| Error::new(error.path().to_string(), error.inner().to_string()))?;
    deserializer.end().map_err(|error| Error::new(".", error.to_string()))?;
    Ok(config)
}

pub(crate) fn version(version: u32) -> Result<(), Error> {
    if version == VERSION { Ok(()) } else { Err(Error::new("version", format!("expected {VERSION}, found {version}"))) }
}
