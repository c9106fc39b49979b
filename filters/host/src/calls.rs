//! The host's side of the proxy-wasm ABI 0.2.1, as far as the filters use it.

use crate::{Headers, Proxy, proxy};

/// The ABI's answers.
const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;
/// The ABI's header maps.
const RESPONSE_HEADERS: u32 = 2;

unsafe extern "C" {
    fn proxy_on_memory_allocate(size: usize) -> *mut u8;
}

/// Hands bytes over in memory that the filter allocated.
unsafe fn hand_over(value: Option<Vec<u8>>, data: *mut *mut u8, size: *mut usize) -> u32 {
    let Some(value) = value else { return NOT_FOUND };
    // SAFETY: the filter gives places for the pointer and the size, and allocates as many bytes as asked for.
    unsafe {
        let memory = proxy_on_memory_allocate(value.len());
        memory.copy_from(value.as_ptr(), value.len());
        *data = memory;
        *size = value.len();
    }
    OK
}

unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    // SAFETY: the filter gives a slice of its own, for the time of the call.
    unsafe { std::slice::from_raw_parts(data, size) }
}

unsafe fn text(data: *const u8, size: usize) -> String {
    // SAFETY: as in `bytes`.
    String::from_utf8_lossy(unsafe { bytes(data, size) }).into_owned()
}

fn headers(proxy: &mut Proxy, map: u32) -> &mut Headers {
    if map == RESPONSE_HEADERS { &mut proxy.response } else { &mut proxy.request }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_log(_: u32, data: *const u8, size: usize) -> u32 {
    // SAFETY: as in `bytes`.
    let line = unsafe { text(data, size) };
    proxy(|proxy| proxy.log.push(line));
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_log_level(level: *mut u32) -> u32 {
    // SAFETY: the filter gives a place for the level.
    unsafe { *level = if proxy(|proxy| proxy.debug) { 1 } else { 2 } };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32 {
    // SAFETY: the filter gives a place for the time.
    unsafe { *time = proxy(|proxy| proxy.now) * 1_000_000 };
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_buffer_bytes(_: u32, _: usize, _: usize, data: *mut *mut u8, size: *mut usize) -> u32 {
    // SAFETY: as in `hand_over`. The only buffer the filters read is their configuration.
    unsafe { hand_over(Some(proxy(|proxy| proxy.config.clone())), data, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_header_map_value(map: u32, name: *const u8, length: usize, data: *mut *mut u8, size: *mut usize) -> u32 {
    // SAFETY: as in `bytes` and `hand_over`.
    unsafe {
        let name = text(name, length);
        let value = proxy(|proxy| headers(proxy, map).iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone()));
        hand_over(value, data, size)
    }
}

/// The number of headers, the sizes of all names and values, and then these, each with a zero behind it.
#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32 {
    let number = |number: usize| u32::try_from(number).expect("a short header").to_le_bytes();
    let pairs = proxy(|proxy| {
        let headers = headers(proxy, map);
        let mut pairs = number(headers.len()).to_vec();
        pairs.extend(headers.iter().flat_map(|(name, value)| [number(name.len()), number(value.len())]).flatten());
        pairs.extend(headers.iter().flat_map(|(name, value)| [name.as_bytes(), b"\0", value, b"\0"]).flatten());
        pairs
    });
    // SAFETY: as in `hand_over`.
    unsafe { hand_over(Some(pairs), data, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_replace_header_map_value(map: u32, name: *const u8, length: usize, value: *const u8, size: usize) -> u32 {
    // SAFETY: as in `bytes`.
    let (name, value) = unsafe { (text(name, length), bytes(value, size).to_vec()) };
    proxy(|proxy| {
        let headers = headers(proxy, map);
        headers.retain(|(header, _)| *header != name);
        headers.push((name, value));
    });
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_remove_header_map_value(map: u32, name: *const u8, length: usize) -> u32 {
    // SAFETY: as in `bytes`.
    let name = unsafe { text(name, length) };
    proxy(|proxy| headers(proxy, map).retain(|(header, _)| *header != name));
    OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_set_property(path: *const u8, length: usize, value: *const u8, size: usize) -> u32 {
    // SAFETY: as in `bytes`.
    let (name, value) = unsafe { (text(path, length), bytes(value, size).to_vec()) };
    proxy(|proxy| proxy.state.insert(name, value));
    OK
}

/// As a property, headers of one name are one value.
fn joined(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    let values = headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.clone());
    values.reduce(|all, next| [all, next].join(b",".as_slice()))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_property(path: *const u8, length: usize, data: *mut *mut u8, size: *mut usize) -> u32 {
    // SAFETY: as in `bytes` and `hand_over`.
    unsafe {
        let path = text(path, length).replace('\0', ".");
        let value = proxy(|proxy| match path.strip_prefix("request.headers.") {
            Some(name) => joined(&proxy.request, name),
            None if path == "plugin_name" => Some(proxy.plugin.clone().into()),
            None => proxy.properties.get(&path).cloned(),
        });
        hand_over(value, data, size)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_define_metric(_: u32, name: *const u8, length: usize, id: *mut u32) -> u32 {
    // SAFETY: as in `bytes`; the filter gives a place for the number.
    unsafe {
        let name = text(name, length);
        *id = proxy(|proxy| {
            let known = proxy.counters.iter().position(|(known, _)| *known == name);
            let place = known.unwrap_or_else(|| {
                proxy.counters.push((name, 0));
                proxy.counters.len() - 1
            });
            u32::try_from(place).expect("few counters")
        });
    }
    OK
}

#[unsafe(no_mangle)]
extern "C" fn proxy_increment_metric(id: u32, by: i64) -> u32 {
    proxy(|proxy| match proxy.counters.get_mut(id as usize) {
        Some((_, value)) => {
            *value += by;
            OK
        }
        None => NOT_FOUND,
    })
}

/// Gauges are kept with the counters.
#[unsafe(no_mangle)]
extern "C" fn proxy_record_metric(id: u32, value: u64) -> u32 {
    proxy(|proxy| match proxy.counters.get_mut(id as usize) {
        Some((_, known)) => {
            *known = i64::try_from(value).expect("a small value");
            OK
        }
        None => NOT_FOUND,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_get_shared_data(key: *const u8, length: usize, data: *mut *mut u8, size: *mut usize, version: *mut u32) -> u32 {
    // SAFETY: as in `bytes` and `hand_over`; the filter gives a place for the number.
    unsafe {
        let key = text(key, length);
        let known = proxy(|proxy| proxy.shared.get(&key).cloned());
        *version = known.as_ref().map_or(0, |(_, version)| *version);
        hand_over(known.map(|(value, _)| value), data, size)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_set_shared_data(key: *const u8, length: usize, value: *const u8, size: usize, version: u32) -> u32 {
    // SAFETY: as in `bytes`.
    let (key, value) = unsafe { (text(key, length), bytes(value, size).to_vec()) };
    proxy(|proxy| {
        let known = proxy.shared.get(&key).map_or(0, |(_, version)| *version);
        if version != 0 && version != known {
            return CAS_MISMATCH;
        }
        proxy.shared.insert(key, (value, known + 1));
        OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn proxy_http_call(
    cluster: *const u8,
    length: usize,
    headers: *const u8,
    headers_size: usize,
    body: *const u8,
    body_size: usize,
    _: *const u8,
    _: usize,
    _: u32,
    id: *mut u32,
) -> u32 {
    // SAFETY: as in `bytes`; the filter gives a place for the number.
    unsafe {
        let call = (text(cluster, length), text(headers, headers_size), bytes(body, body_size).to_vec());
        *id = proxy(|proxy| {
            proxy.posts.push(call);
            u32::try_from(proxy.posts.len()).expect("few calls")
        });
    }
    OK
}

/// Random enough for tests.
#[unsafe(no_mangle)]
unsafe extern "C" fn random_get(data: *mut u8, size: usize) -> u32 {
    for place in 0..size {
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), place);
        // SAFETY: the filter gives as many places as it says.
        unsafe { *data.add(place) = random.to_le_bytes()[0] };
    }
    OK
}

/// Tests let time pass by themselves.
#[unsafe(no_mangle)]
extern "C" fn proxy_set_tick_period_milliseconds(_: u32) -> u32 {
    OK
}
