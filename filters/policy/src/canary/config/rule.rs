//! Which requests a rule means.

use crate::Error;
use crate::json::{Object, Read, Value};
use serde::Serialize;

/// A subset for requests with a certain header, cookie or claim: exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{"required": ["header"]}, {"required": ["cookie"]}, {"required": ["jwtClaim"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Override {
    /// The header to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Match>,
    /// The cookie to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Match>,
    /// The verified claim to match, a text, named as in `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_claim: Option<Match>,
    /// The subset (or first label of the host) that serves a request that matches.
    pub subset: String,
}

/// Requests for which all that is given holds: at least one of `header`, `cookie`, `jwtClaim` and `source`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("anyOf" = [{"required": ["header"]}, {"required": ["cookie"]}, {"required": ["jwtClaim"]}, {"required": ["source"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// The header to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Match>,
    /// The cookie to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Match>,
    /// The verified claim to match, a text, named as in `key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_claim: Option<Match>,
    /// Who sends the request: the workload whose sidecar, or the gateway that, runs the filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Caller>,
    /// So many percent of these users, the same ones in all rules, and more as it grows. A request without a user is not among them.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
}

/// A name and the values it may have: exactly one of `exact` and `oneOf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{"required": ["exact"]}, {"required": ["oneOf"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Match {
    /// The name of the header, cookie or claim.
    pub name: String,
    /// The whole value, with case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The whole values, with case, such as a list of users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<String>>,
}

/// Pods that call, by their namespace, their workload, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("anyOf" = [{"required": ["namespace"]}, {"required": ["workload"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Caller {
    /// The namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the Deployment, StatefulSet or other owner of the pods, as Istio's `source.workload.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
}

impl Read for Override {
    fn read(value: Value) -> Result<Self, Error> {
        let mut object = Object::of(value, &["header", "cookie", "jwtClaim", "subset"])?;
        Ok(Self {
            header: object.optional("header")?,
            cookie: object.optional("cookie")?,
            jwt_claim: object.optional("jwtClaim")?,
            subset: object.required("subset")?,
        })
    }
}

impl Read for Rule {
    fn read(value: Value) -> Result<Self, Error> {
        let mut object = Object::of(value, &["header", "cookie", "jwtClaim", "source", "percent"])?;
        Ok(Self {
            header: object.optional("header")?,
            cookie: object.optional("cookie")?,
            jwt_claim: object.optional("jwtClaim")?,
            source: object.optional("source")?,
            percent: object.optional("percent")?,
        })
    }
}

impl Read for Match {
    fn read(value: Value) -> Result<Self, Error> {
        let mut object = Object::of(value, &["name", "exact", "oneOf"])?;
        Ok(Self { name: object.required("name")?, exact: object.optional("exact")?, one_of: object.optional("oneOf")? })
    }
}

impl Read for Caller {
    fn read(value: Value) -> Result<Self, Error> {
        let mut object = Object::of(value, &["namespace", "workload"])?;
        Ok(Self { namespace: object.optional("namespace")?, workload: object.optional("workload")? })
    }
}
