//! The project's own images, as its Dockerfiles make them, from what is built here: and Envoy's, under its official name.

use crate::image::Image;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Weir's image, as the chart names it.
pub const WEIR: &str = concat!("docker.io/library/weir:", env!("CARGO_PKG_VERSION"));
/// The same as another build, whose modules are other bytes: to upgrade to.
pub const NEXT: &str = "docker.io/library/weir:next";
/// The image of the demos.
pub const SAMPLE: &str = "docker.io/library/weir-sample:latest";
/// Envoy, as the chart names it.
pub const ENVOY: &str = "docker.io/envoyproxy/envoy:v1.40.0";

const MODULES: [&str; 2] = ["weir-canary.wasm", "weir-locality.wasm"];
/// A section that means nothing (<https://webassembly.github.io/spec/core/binary/modules.html#custom-section>): 0, its length, its name.
const OTHER: &[u8] = b"\x00\x05\x04next";

/// All of them, from the folder of built programs (`target/debug`), that of the modules beside it, and an Envoy.
pub fn all(built: &Path, envoy: &Path) -> Result<Vec<Image>> {
    let nobody = "65532:65532";
    let program = |name: &str| (format!("/usr/local/bin/{name}").into(), built.join(name));
    let above = built.parent().context("a folder above the programs")?;
    let (modules, next) = (above.join("modules"), above.join("modules-next"));
    std::fs::create_dir_all(&next)?;
    for name in MODULES {
        let module = std::fs::read(modules.join(name)).with_context(|| format!("{name} is not there: `make build` brings it"))?;
        std::fs::write(next.join(name), [&module, OTHER].concat())?;
    }
    let weir = |modules: &Path| {
        let modules = MODULES.map(|name| (format!("/usr/local/modules/{name}").into(), modules.join(name)));
        [program("weir")].into_iter().chain(modules).collect()
    };
    let images = [
        image(WEIR, weir(&modules), &["/usr/local/bin/weir"], nobody),
        image(NEXT, weir(&next), &["/usr/local/bin/weir"], nobody),
        image(SAMPLE, vec![program("weir-sample")], &["/usr/local/bin/weir-sample"], nobody),
        // The official image has a shell, which a proxy that drains needs, and starts with Envoy's name.
        image(
            ENVOY,
            vec![
                ("/usr/local/bin/envoy".into(), envoy.into()),
                ("/bin/bash".into(), "/bin/bash".into()),
                ("/bin/sleep".into(), "/bin/sleep".into()),
            ],
            &[],
            "0:0",
        ),
    ];
    for file in images.iter().flat_map(|image| image.files.values()) {
        ensure!(file.is_file(), "{} is not there: `make build` brings it", file.display());
    }
    Ok(images.into())
}

fn image(name: &str, files: Vec<(PathBuf, PathBuf)>, entrypoint: &[&str], user: &str) -> Image {
    Image {
        names: vec![name.into()],
        files: files.into_iter().collect(),
        entrypoint: entrypoint.iter().map(ToString::to_string).collect(),
        user: user.into(),
    }
}
