//! Filters' configurations (ECDS), each a resource of its own that changes without a new listener.

use super::any;
use crate::mesh::plugin::{CANARY, Filter, LOCALITY, Plugin};
use crate::object::wasm_plugin::FailStrategy;
use envoy_types::pb::envoy::config::core::v3::{AsyncDataSource, DataSource, TypedExtensionConfig, async_data_source, data_source};
use envoy_types::pb::envoy::extensions::filters::http::wasm::v3::Wasm;
use envoy_types::pb::envoy::extensions::wasm::v3::{FailurePolicy, PluginConfig, VmConfig, plugin_config};
use envoy_types::pb::google::protobuf::StringValue;

/// The resource of a plugin with the JSON that its filter is sent.
pub(crate) fn build(plugin: &Plugin, config: &str) -> TypedExtensionConfig {
    // A panic takes all plugins of its VM with it, so each filter has a VM of its own; and Weir's filters fail open.
    let (vm_id, root_id, failure_policy) = match &plugin.filter {
        Filter::Canary(_) => (CANARY.to_string(), CANARY.to_string(), FailurePolicy::FailOpen),
        Filter::Locality(_) => (LOCALITY.to_string(), LOCALITY.to_string(), FailurePolicy::FailOpen),
        Filter::Foreign { name, fail, .. } => (plugin.resource_name(), name.clone(), failure_policy(*fail)),
    };
    let file = data_source::Specifier::Filename(plugin.module.display().to_string());
    let code = AsyncDataSource {
        specifier: Some(async_data_source::Specifier::Local(DataSource { specifier: Some(file), ..Default::default() })),
    };
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

fn failure_policy(strategy: FailStrategy) -> FailurePolicy {
    match strategy {
        FailStrategy::FailClose => FailurePolicy::FailClosed,
        FailStrategy::FailOpen => FailurePolicy::FailOpen,
        FailStrategy::FailReload => FailurePolicy::FailReload,
    }
}
