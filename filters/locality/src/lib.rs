//! The locality filter.
