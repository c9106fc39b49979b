//! Answers that the proxy gives itself: redirects and fixed responses.

use crate::object::virtual_service::{DirectResponse, Redirect};
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
use envoy_types::pb::envoy::config::route::v3::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use envoy_types::pb::envoy::config::route::v3::{DirectResponseAction, RedirectAction};

/// A redirect, for requests that came in on `port`.
pub(super) fn redirect(redirect: &Redirect, port: u16) -> RedirectAction {
    let code = match redirect.redirect_code.unwrap_or(301) {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    };
    let derived = (redirect.derive_port == "FROM_REQUEST_PORT").then_some(port);
    // As Istio: Envoy would write out the scheme's own port too.
    let own = match redirect.scheme.as_str() {
        "https" => 443,
        _ => 80,
    };
    let port = redirect.port.or(derived).filter(|port| *port != own);
    let path = (!redirect.uri.is_empty()).then(|| PathRewriteSpecifier::PathRedirect(redirect.uri.clone()));
    let scheme = (!redirect.scheme.is_empty()).then(|| SchemeRewriteSpecifier::SchemeRedirect(redirect.scheme.clone()));
    RedirectAction {
        host_redirect: redirect.authority.clone(),
        port_redirect: port.unwrap_or_default().into(),
        path_rewrite_specifier: path,
        scheme_rewrite_specifier: scheme,
        response_code: code.into(),
        ..Default::default()
    }
}

/// A fixed response.
pub(super) fn response(direct: &DirectResponse) -> DirectResponseAction {
    let body = direct
        .body
        .as_ref()
        .map(|body| DataSource { specifier: Some(data_source::Specifier::InlineString(body.string.clone())), ..Default::default() });
    DirectResponseAction { status: direct.status, body, ..Default::default() }
}
