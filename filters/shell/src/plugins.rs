//! The configurations of a filter in one VM.

use crate::host::{self, Level};
use crate::{Filter, counters};
use std::cell::RefCell;
use std::rc::Rc;

/// The plugins of one VM: mostly one, and more where several WasmPlugins for one proxy have the same module.
///
/// Envoy makes a context for each configuration and for each request. Neither is kept here: to be told of both ends of every
/// request would cost more than to ask Envoy, where there are several plugins, which one a request is for.
#[derive(Debug)]
pub struct Plugins<F>(RefCell<Vec<Plugin<F>>>);

#[derive(Debug)]
struct Plugin<F> {
    name: Box<[u8]>,
    filter: Rc<F>,
}

impl<F> Default for Plugins<F> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<F: Filter> Plugins<F> {
    /// Takes the configuration of the plugin that Envoy configures, in place of its last one. Whether it is good.
    pub fn configure(&self) -> bool {
        let filter = match F::new(&host::configuration()) {
            Ok(filter) => Rc::new(filter),
            Err(error) => {
                host::log(Level::Error, &error);
                return false;
            }
        };
        let plugin = Plugin { name: called(), filter };
        let mut plugins = self.0.borrow_mut();
        plugins.retain(|other| other.name != plugin.name);
        plugins.push(plugin);
        host::tick_every(F::TICK);
        counters::define(F::COUNTERS);
        crate::on_tick();
        true
    }

    /// The plugin that Envoy calls.
    pub fn current(&self) -> Option<Rc<F>> {
        let plugins = self.0.borrow();
        let plugin = match plugins.as_slice() {
            [only] => Some(only),
            several => {
                let called = called();
                several.iter().find(|plugin| plugin.name == called)
            }
        };
        plugin.map(|plugin| Rc::clone(&plugin.filter))
    }
}

/// The name of the plugin that Envoy calls.
fn called() -> Box<[u8]> {
    host::property("plugin_name").unwrap_or_default()
}
