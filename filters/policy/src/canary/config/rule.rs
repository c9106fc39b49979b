//! Which requests a rule means.

use crate::Error;
use crate::json::{Object, Read, Value};
use serde::Serialize;

/// A subset for requests with a certain header, cookie or claim: exactly one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{"required": ["header"]}, {"required": ["cookie"]}, {"required": ["jwtClaim"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Override {
    /// The header to match.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"name": "x-tester", "exact": "yes"}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Match>,
    /// The cookie to match.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"name": "tester", "exact": "yes"}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Match>,
    /// The verified claim to match, a text, named as in `key`.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"name": "team", "oneOf": ["shop", "search"]}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_claim: Option<Match>,
    /// The subset (or first label of the host) that serves a request that matches.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["v2"])))]
    pub subset: String,
}

/// Requests for which all that is given holds: at least one of `header`, `cookie`, `jwtClaim` and `source`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("anyOf" = [{"required": ["header"]}, {"required": ["cookie"]}, {"required": ["jwtClaim"]}, {"required": ["source"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// The header to match.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"name": "x-group", "exact": "beta"}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Match>,
    /// The cookie to match.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"name": "country", "oneOf": ["de", "fr"]}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Match>,
    /// The verified claim to match, a text, named as in `key`.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"name": "plan", "exact": "free"}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_claim: Option<Match>,
    /// Who sends the request: the workload whose sidecar, or the gateway that, runs the filter.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [{"namespace": "shop", "workload": "frontend"}])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Caller>,
    /// So many percent of these users, the same ones in all rules, and more as it grows. A request without a user is not among them.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100), extend("examples" = [50])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
}

/// A name and the values it may have: exactly one of `exact` and `oneOf`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("oneOf" = [{"required": ["exact"]}, {"required": ["oneOf"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Match {
    /// The name of the header, cookie or claim.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["x-group"])))]
    pub name: String,
    /// The whole value, with case.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["beta"])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// The whole values, with case, such as a list of users.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = [["beta", "staff"]])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<String>>,
}

/// Pods that call, by their namespace, their workload, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("anyOf" = [{"required": ["namespace"]}, {"required": ["workload"]}]))
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Caller {
    /// The namespace.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["shop"])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the Deployment, StatefulSet or other owner of the pods, as Istio's `source.workload.name`.
    #[cfg_attr(feature = "schema", schemars(extend("examples" = ["frontend"])))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
}

impl Read for Override {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .optional("header", &mut read.header)
            .optional("cookie", &mut read.cookie)
            .optional("jwtClaim", &mut read.jwt_claim)
            .required("subset", &mut read.subset)
            .end()?;
        Ok(read)
    }
}

impl Read for Rule {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?
            .optional("header", &mut read.header)
            .optional("cookie", &mut read.cookie)
            .optional("jwtClaim", &mut read.jwt_claim)
            .optional("source", &mut read.source)
            .optional("percent", &mut read.percent)
            .end()?;
        Ok(read)
    }
}

impl Read for Match {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?.required("name", &mut read.name).optional("exact", &mut read.exact).optional("oneOf", &mut read.one_of).end()?;
        Ok(read)
    }
}

impl Read for Caller {
    fn read(value: Value) -> Result<Self, Error> {
        let mut read = Self::default();
        Object::of(value)?.optional("namespace", &mut read.namespace).optional("workload", &mut read.workload).end()?;
        Ok(read)
    }
}
