//! Filters' configurations (ECDS), each a resource of its own that changes without a new listener.

use super::{any, millis, uint};
use crate::bootstrap;
use crate::mesh::Module;
use crate::mesh::plugin::{CANARY, Filter, LOCALITY, Plugin};
use crate::object::wasm_plugin::FailStrategy;
use envoy_types::pb::envoy::config::core::v3::async_data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::http_uri::HttpUpstreamType;
use envoy_types::pb::envoy::config::core::v3::{
    AsyncDataSource, DataSource, HttpUri, RemoteDataSource, RetryPolicy, TypedExtensionConfig, data_source,
};
use envoy_types::pb::envoy::extensions::filters::http::fault::v3::{FaultAbort, HttpFault, fault_abort};
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::wasm::v3::{FailurePolicy, PluginConfig, VmConfig, plugin_config};
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use envoy_types::pb::google::protobuf::StringValue;
use prost::Message;
use std::path::Path;

/// How long a module may take to come.
const FETCH: u64 = 30_000;
/// How often Envoy asks for the module of a filter that its listener waits for, every 1 to 10 s: until it is there.
const ATTEMPTS: u32 = 1_000_000;

/// The resource of a plugin with the JSON that its filter is sent, for a proxy that has the plugin's module in a file, or not.
pub(crate) fn build(plugin: &Plugin, config: &str, has: bool) -> TypedExtensionConfig {
    // A panic takes all plugins of its VM with it, so each filter has a VM of its own; and Weir's filters fail open.
    let (vm_id, root_id, failure_policy) = match &plugin.filter {
        Filter::Canary(_) => (CANARY.to_string(), CANARY.to_string(), FailurePolicy::FailOpen),
        Filter::Locality(_) => (LOCALITY.to_string(), LOCALITY.to_string(), FailurePolicy::FailOpen),
        Filter::Foreign { name, fail, .. } => (plugin.resource_name(), name.clone(), failure_policy(*fail)),
    };
    let code = match &plugin.module {
        Module::Missing => return TypedExtensionConfig { name: plugin.resource_name(), typed_config: any(unavailable()) },
        Module::File { path, .. } => local(path),
        Module::Served { sha256 } if has => local(&bootstrap::module(sha256)),
        Module::Served { sha256 } => Specifier::Remote(remote(sha256)),
    };
    let code = AsyncDataSource { specifier: Some(code) };
    let vm = VmConfig { vm_id, runtime: "envoy.wasm.runtime.v8".into(), code: Some(code), ..Default::default() };
    let config = PluginConfig {
        name: plugin.resource_name(),
        root_id,
        configuration: if config.is_empty() { None } else { any(StringValue { value: config.into() }) },
        failure_policy: failure_policy.into(),
        vm: Some(plugin_config::Vm::VmConfig(vm)),
        ..Default::default()
    };
    TypedExtensionConfig { name: plugin.resource_name(), typed_config: any(Wasm { config: Some(config) }) }
}

/// The same for a proxy that runs an earlier state of the filter, if this has a module that is fetched: asked so, Envoy keeps the earlier
/// state and rejects this until it has the module. `attempt` makes other bytes of it, since those that Envoy rejected it takes no notice of
/// any more, and answers that it has them.
pub(crate) fn update(resource: &[u8], attempt: u64) -> Option<TypedExtensionConfig> {
    let mut resource = TypedExtensionConfig::decode(resource).ok()?;
    let filter = resource.typed_config.as_mut()?;
    let mut wasm = Wasm::decode(filter.value.as_slice()).ok()?;
    let plugin_config::Vm::VmConfig(vm) = wasm.config.as_mut()?.vm.as_mut()?;
    vm.nack_on_code_cache_miss = true;
    let Specifier::Remote(remote) = vm.code.as_mut()?.specifier.as_mut()? else { return None };
    let uri = remote.http_uri.as_mut()?;
    uri.uri = format!("{}?attempt={attempt}", uri.uri);
    filter.value = wasm.encode_to_vec();
    Some(resource)
}

/// Stands in for a filter without which no request may pass.
fn unavailable() -> HttpFault {
    let all = FractionalPercent { numerator: 100, denominator: DenominatorType::Hundred.into() };
    let abort = FaultAbort { error_type: Some(fault_abort::ErrorType::HttpStatus(503)), percentage: Some(all), ..Default::default() };
    HttpFault { abort: Some(abort), ..Default::default() }
}

fn local(path: &Path) -> Specifier {
    Specifier::Local(DataSource { specifier: Some(data_source::Specifier::Filename(path.display().to_string())), ..Default::default() })
}

fn remote(sha256: &str) -> RemoteDataSource {
    let uri = HttpUri {
        uri: format!("https://{}/modules/{sha256}.wasm", bootstrap::CLUSTER),
        http_upstream_type: Some(HttpUpstreamType::Cluster(bootstrap::CLUSTER.into())),
        timeout: millis(FETCH),
    };
    let retry_policy = RetryPolicy { num_retries: uint(ATTEMPTS), ..Default::default() };
    RemoteDataSource { http_uri: Some(uri), sha256: sha256.into(), retry_policy: Some(retry_policy) }
}

fn failure_policy(strategy: FailStrategy) -> FailurePolicy {
    match strategy {
        FailStrategy::FailClose => FailurePolicy::FailClosed,
        FailStrategy::FailOpen => FailurePolicy::FailOpen,
        FailStrategy::FailReload => FailurePolicy::FailReload,
    }
}
