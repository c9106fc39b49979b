//! Server-side apply of one object, with this program's own field manager: fields that others own are left to them, or it is an error
//! that names them.

use super::reference::Reference;
use crate::kubernetes::access::message;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::Status;
use serde_json::Value;
use std::fmt;

/// Who owns the fields that this program applies.
pub const MANAGER: &str = "weir";

/// How objects are applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Whether fields are taken from other managers.
    pub force: bool,
    /// Whether the API server only says what would come of it.
    pub dry_run: bool,
}

/// Why an object was not applied.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Others own fields, and want them otherwise: each field with its owner.
    Conflict(Vec<(String, String)>),
    /// The cluster does not have the kind.
    Unknown,
    /// Something that it needs is not there, as its namespace.
    Lacking(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refused::Conflict(fields) => {
                let fields: Vec<_> = fields.iter().map(|(field, manager)| format!("{field} belongs to {manager}")).collect();
                f.write_str(&fields.join(", "))
            }
            Refused::Unknown => f.write_str("the cluster does not have this kind"),
            Refused::Lacking(text) | Refused::Other(text) => f.write_str(text),
        }
    }
}

/// Applies it; what the cluster then has.
pub async fn apply(client: &Client, object: &Value, how: How) -> Result<DynamicObject, Refused> {
    let reference = Reference::of(object);
    let params = PatchParams { dry_run: how.dry_run, force: how.force, field_manager: Some(MANAGER.into()), field_validation: None };
    let applied = reference.api(client).patch(&reference.name, &params, &Patch::Apply(object)).await;
    applied.map_err(|error| match error {
        kube::Error::Api(status) => refused(&status),
        error => Refused::Other(message(&error)),
    })
}

fn refused(status: &Status) -> Refused {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let conflicts = causes.filter(|cause| cause.reason == "FieldManagerConflict");
    // `conflict with "kubectl" using apps/v1`
    let manager = |text: &str| text.split('"').nth(1).unwrap_or(text).to_string();
    let conflicts: Vec<_> = conflicts.map(|cause| (cause.field.trim_start_matches('.').to_string(), manager(&cause.message))).collect();
    match status.code {
        409 if !conflicts.is_empty() => Refused::Conflict(conflicts),
        404 if status.details.as_ref().is_none_or(|details| details.name.is_empty()) => Refused::Unknown,
        404 => Refused::Lacking(status.message.clone()),
        _ => Refused::Other(status.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_conflict_names_each_field_and_its_owner() {
        let status = serde_json::from_value(json!({
            "status": "Failure", "code": 409, "reason": "Conflict", "message": "Apply failed with 2 conflicts",
            "details": {"causes": [
                {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl-scale\" using apps/v1", "field": ".spec.replicas"},
                {"reason": "FieldManagerConflict", "message": "conflict with \"argocd\" using apps/v1", "field": ".metadata.labels.app"},
            ]},
        }));
        let refused = refused(&status.unwrap());
        assert_eq!(refused.to_string(), "spec.replicas belongs to kubectl-scale, metadata.labels.app belongs to argocd");
    }

    #[test]
    fn what_is_no_conflict_of_fields_is_told_as_the_api_server_says_it() {
        let status = |code: u16| serde_json::from_value(json!({"code": code, "message": "no"})).unwrap();
        assert_eq!(refused(&status(409)), Refused::Other("no".into()));
        // As the API server answers where it serves nothing.
        assert_eq!(refused(&status(404)), Refused::Unknown);
        let namespace = serde_json::from_value(json!({"code": 404, "message": "no", "details": {"kind": "namespaces", "name": "mesh"}}));
        assert_eq!(refused(&namespace.unwrap()), Refused::Lacking("no".into()));
    }
}
