//! Follows the files: a new world after every change of them.

use super::state::State;
use super::watch::Watch;
use super::{Sources, Texts};
use crate::world::{World, report};
use std::sync::Arc;
use tokio::sync::watch;
use weir_mesh::mesh::Options;
use weir_mesh::mesh::canary::Orders;
use weir_mesh::object::Objects;

/// The world of these files; objects that cannot be read stay as they were `before`.
pub fn world(before: &Objects, texts: &Texts, options: &Options) -> World {
    let mut read = texts.read();
    let mut findings = std::mem::take(&mut read.findings);
    let objects = before.update(read);
    objects.note_kept(before, &mut findings);
    World::new(objects, findings, options)
}

/// Rebuilds the world whenever the files no longer read as `texts`, or something else holds for canaries, until nobody listens; what is in
/// force is written to `state`.
pub async fn run(
    sources: Sources,
    mut watch: Watch,
    mut texts: Texts,
    options: Options,
    mut orders: watch::Receiver<Orders>,
    state: Option<State>,
    publish: watch::Sender<Arc<World>>,
) {
    let first = publish.borrow().clone();
    save(state.as_ref(), first).await;
    while !publish.is_closed() {
        let other_orders = tokio::select! {
            () = watch.changed() => false,
            Ok(()) = orders.changed() => true,
        };
        let options = Options { orders: orders.borrow_and_update().clone(), ..options.clone() };
        let (sources, before, old) = (sources.clone(), publish.borrow().clone(), std::mem::take(&mut texts));
        let rebuilt = tokio::task::spawn_blocking(move || {
            let start = std::time::Instant::now();
            let texts = sources.read();
            let world = (texts != old || other_orders).then(|| world(&before.objects, &texts, &options)).inspect(|world| {
                report(&before.findings, &world.findings);
                tracing::info!(objects = world.objects.iter().count(), took = ?start.elapsed(), "a new state");
            });
            (world, texts)
        });
        match rebuilt.await {
            Ok((world, now)) => {
                texts = now;
                if let Some(world) = world.map(Arc::new) {
                    publish.send_replace(world.clone());
                    save(state.as_ref(), world).await;
                }
            }
            Err(error) => tracing::error!("reading the files failed, the last state stays: {error}"),
        }
    }
}

/// Not before the nodes are told: they do not wait for a disk.
async fn save(state: Option<&State>, world: Arc<World>) {
    let Some(state) = state.cloned() else { return };
    let saved = tokio::task::spawn_blocking(move || state.save(&world.objects)).await;
    if let Err(error) = saved.map_err(Into::into).flatten() {
        tracing::warn!("the objects in force are not written, a control plane that starts again may lack some: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn an_edit_makes_a_new_world_and_a_broken_file_keeps_its_objects_until_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let service =
            |name: &str| format!("{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{ports: [{{port: 80}}]}}}}\n");
        std::fs::write(&file, service("one")).unwrap();
        let sources = Sources(vec![folder.path().to_path_buf()]);
        let watch = Watch::new(&sources);
        let options = Options { marked: true, ..Default::default() };
        let texts = sources.read();
        let (publish, mut worlds) = watch::channel(Arc::new(world(&Objects::default(), &texts, &options)));
        let engine = tokio::spawn(run(sources, watch, texts, options, watch::channel(Orders::default()).1, None, publish));
        let names = |world: &World| world.objects.iter().map(|object| object.key.name.clone()).collect::<Vec<_>>();
        let mut after = async |change: &dyn Fn()| {
            change();
            tokio::time::timeout(Duration::from_secs(5), worlds.changed()).await.expect("no new world").unwrap();
            let world = worlds.borrow_and_update().clone();
            (names(&world), world.findings.len())
        };
        let write = |text: &[u8]| std::fs::write(&file, text).unwrap();
        let one = |name: &str| vec![name.to_string()];
        assert_eq!(after(&|| write(service("two").as_bytes())).await, (one("two"), 0));
        assert_eq!(after(&|| write(b"a: [")).await, (one("two"), 1));
        assert_eq!(after(&|| write(service("three").as_bytes())).await, (one("three"), 0));
        assert_eq!(after(&|| write(b"\xff")).await, (one("three"), 1), "no text");
        assert_eq!(after(&|| std::fs::remove_file(&file).unwrap()).await, (vec![], 0));
        drop(engine);
    }

    #[tokio::test]
    async fn a_control_plane_that_starts_while_a_file_is_broken_serves_its_last_good_state() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let state = State::within(&folder.path().join("state")).unwrap();
        let service = "{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {ports: [{port: 80}]}}\n";
        let options = Options { marked: true, ..Default::default() };
        let sources = Sources(vec![file.clone()]);
        for text in [service, "a: [", "a: ["] {
            std::fs::write(&file, text).unwrap();
            let world = world(&state.load().0, &sources.read(), &options);
            let names: Vec<_> = world.objects.iter().map(|object| object.key.name.clone()).collect();
            assert_eq!((names, world.findings.len()), (vec!["one".to_string()], usize::from(text != service)), "{text}");
            save(Some(&state), Arc::new(world)).await;
        }
    }
}
