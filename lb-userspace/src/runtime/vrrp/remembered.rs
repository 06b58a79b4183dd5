//! What is remembered of switchovers over a restart, written by a task that keeps no advert waiting.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinHandle};

use crate::{
    config::{StandbyFile, Standbys},
    model::RouterName,
    vrrp::Standby,
};

/// What is, or is about to be, in the file.
#[derive(Debug)]
pub(super) struct Remembered {
    wanted: watch::Sender<Standbys>,
    writer: JoinHandle<()>,
}

impl Remembered {
    /// What was remembered. Must be called in a tokio runtime.
    pub(super) fn read(file: StandbyFile) -> Self {
        let standbys = file.read().unwrap_or_else(|error| {
            let path = file.path().display();
            tracing::error!(%path, %error, "VRRP: what was remembered of switchovers cannot be read");
            Standbys::new()
        });
        let (wanted, mut changes) = watch::channel(standbys);
        let file = Arc::new(file);
        let writer = tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let (file, standbys) = (Arc::clone(&file), changes.borrow_and_update().clone());
                let written = tokio::task::spawn_blocking(move || write(&file, &standbys));
                if let Err(error) = written.await {
                    tracing::error!(%error, "VRRP: a switchover is not remembered");
                }
            }
        });
        Self { wanted, writer }
    }

    /// What is remembered of a router.
    pub(super) fn of(&self, name: &RouterName) -> Option<Standby> {
        self.wanted.borrow().get(name).copied()
    }

    /// What is to be remembered.
    pub(super) fn set(&self, standbys: Standbys) {
        self.wanted.send_if_modified(|remembered| {
            let differs = *remembered != standbys;
            *remembered = standbys;
            differs
        });
    }

    /// Waits until all is written.
    pub(super) async fn end(self) {
        let Self { wanted, writer } = self;
        drop(wanted);
        if writer.await.is_err() {
            tracing::error!("VRRP: a switchover may not be remembered");
        }
    }
}

fn write(file: &StandbyFile, standbys: &Standbys) {
    if let Err(error) = file.write(standbys) {
        let path = file.path().display();
        tracing::error!(%path, %error, "VRRP: a switchover is not remembered over a restart");
    }
}
