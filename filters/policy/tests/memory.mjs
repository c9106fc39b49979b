// How much memory a module takes with 1,000 policies, when new ones have come while the old ones hold: at most 2 MB.
// node memory.mjs canary|locality MODULE

import { readFileSync } from "node:fs";

const MOST = 2_000_000;
const POLICIES = 1_000;
/** The ABI's answers. */
const [OK, NOT_FOUND] = [0, 1];

const [kind, file] = process.argv.slice(2);
const each = (make) => Array.from({ length: POLICIES }, (_, place) => make(`service-${place}.namespace.svc.cluster.local`));
/** As the control plane sends them. */
const policies = {
  canary: {
    version: 1,
    canaries: each((host) => ({
      hosts: [host], stable: "v1", train: host, key: [{ cookie: "user" }, { header: "x-user-id" }],
      override: [{ header: { name: "x-tester", exact: "yes" }, subset: "v2" }], governor: { proxies: 8 },
    })),
  },
  locality: {
    version: 1,
    locality: { region: "r", zone: "a" },
    services: each((host) => ({ hosts: [host], spill: {}, zones: [["r/b", "r/c"]] })),
  },
};
const json = Buffer.from(JSON.stringify(policies[kind]));

const memory = () => exports.memory.buffer;
/** Hands bytes over in memory that the module allocates. */
function handOver(bytes, data, size) {
  const place = exports.proxy_on_memory_allocate(bytes.length);
  new Uint8Array(memory()).set(bytes, place);
  new DataView(memory()).setUint32(data, place, true);
  new DataView(memory()).setUint32(size, bytes.length, true);
  return OK;
}
const host = {
  proxy_get_buffer_bytes: (_buffer, _start, _length, data, size) => handOver(json, data, size),
  proxy_log: (_level, data, size) => (console.error(Buffer.from(new Uint8Array(memory(), data, size)).toString()), OK),
  proxy_get_property: () => NOT_FOUND,
  proxy_get_shared_data: () => NOT_FOUND,
};
const module = new WebAssembly.Module(readFileSync(file));
const imports = {};
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  (imports[from] ??= {})[name] = host[name] ?? (() => OK);
}
const { exports } = new WebAssembly.Instance(module, imports);
exports._initialize();
for (let time = 0; time < 4; time++) {
  if (!exports.proxy_on_configure(1, json.length)) {
    throw new Error(`${file} refuses the policies`);
  }
}
const bytes = memory().byteLength;
console.log(`${file}: ${bytes} bytes of memory with ${POLICIES} policies (${json.length} bytes of JSON), of ${MOST} at most`);
process.exitCode = bytes > MOST ? 1 : 0;
