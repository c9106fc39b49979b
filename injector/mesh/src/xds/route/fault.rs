//! Faults, by Envoy's own filter.

use super::fraction;
use crate::object::virtual_service::{Abort, Fault, grpc_code};
use crate::xds::{any, duration};
use envoy_types::pb::envoy::extensions::filters::common::fault::v3::{FaultDelay, fault_delay};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{FaultAbort, HttpFault, fault_abort};
use envoy_types::pb::google::protobuf::Any;

/// The filter's configuration for one route. Without a percentage a fault hits no request, as in Istio.
pub(super) fn per_route(fault: &Fault) -> Option<(String, Any)> {
    let delay = fault.delay.as_ref().and_then(|delay| {
        Some(FaultDelay {
            fault_delay_secifier: Some(fault_delay::FaultDelaySecifier::FixedDelay(duration(delay.fixed_delay?.0)?)),
            percentage: Some(fraction(delay.percentage.map(|percent| percent.value).or(delay.percent).unwrap_or_default())),
        })
    });
    let abort = fault.abort.as_ref().and_then(|abort| {
        Some(FaultAbort {
            error_type: Some(error_type(abort)?),
            percentage: Some(fraction(abort.percentage.map(|percent| percent.value).unwrap_or_default())),
            ..Default::default()
        })
    });
    let config = any(HttpFault { delay, abort, ..Default::default() })?;
    Some(("envoy.filters.http.fault".into(), config))
}

fn error_type(abort: &Abort) -> Option<fault_abort::ErrorType> {
    let by_grpc = || abort.grpc_status.as_deref().and_then(grpc_code).map(fault_abort::ErrorType::GrpcStatus);
    abort.http_status.map(fault_abort::ErrorType::HttpStatus).or_else(by_grpc)
}
