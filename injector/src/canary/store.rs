//! Where what is known of canaries is kept, so that a control plane that starts again goes on where the last one ended.

use super::ledger::Kept;
use crate::files::write_atomically;
use crate::kubernetes::canaries::Shared;
use anyhow::{Context, Result};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot};

/// Who waits until something is kept, and is told why it is not.
type Waits = oneshot::Sender<Result<(), String>>;

/// Where it is kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// Nowhere: a control plane that starts again knows nothing.
    Nowhere,
    /// In a file.
    File(File),
    /// Where all replicas find it.
    Shared(Box<Shared>),
}

/// Keeps one thing after the other, without holding up who has more.
#[derive(Clone, Debug)]
pub struct Store(mpsc::UnboundedSender<(Kept, Option<Waits>)>);

impl Store {
    /// At a place.
    pub fn at(place: Place) -> Store {
        let (send, mut receive) = mpsc::unbounded_channel::<(Kept, Option<Waits>)>();
        tokio::spawn(async move {
            while let Some((mut kept, waits)) = receive.recv().await {
                let mut wait: Vec<Waits> = waits.into_iter().collect();
                // The last one says all.
                while let Ok((newer, waits)) = receive.try_recv() {
                    kept = newer;
                    wait.extend(waits);
                }
                let saved = place.save(kept).await.map_err(|error| format!("it is in force, and is not kept: {error:#}"));
                if let Err(error) = &saved {
                    tracing::warn!("what is known of canaries: {error}");
                }
                for waits in wait {
                    let _ = waits.send(saved.clone());
                }
            }
        });
        Store(send)
    }

    /// Keeps this, and tells who waits for it.
    pub fn keep(&self, kept: Kept, waits: Option<Waits>) {
        let _ = self.0.send((kept, waits));
    }
}

impl Place {
    async fn save(&self, kept: Kept) -> Result<()> {
        match self {
            Place::Nowhere => Ok(()),
            Place::File(file) => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || file.save(&kept)).await?
            }
            Place::Shared(shared) => shared.save(&kept).await,
        }
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct File(PathBuf);

impl File {
    /// In a folder that is there.
    pub fn within(folder: &Path) -> File {
        File(folder.join("canaries.json"))
    }

    /// What was kept last; nothing if there is none.
    pub fn load(&self) -> Result<Kept> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("reading {}", self.0.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", self.0.display())),
        }
    }

    /// Keeps it.
    pub fn save(&self, kept: &Kept) -> Result<()> {
        write_atomically(&self.0, &serde_json::to_string(kept)?)
    }
}
