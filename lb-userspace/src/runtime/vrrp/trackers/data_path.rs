//! The data path: the program is on all interfaces, and works.

use std::{sync::Arc, time::Duration};

use super::Teller;
use crate::{
    control::Handle,
    loader::Trial,
    net::{NetError, Requests},
    runtime::{Clock, attached::AttachedList},
    vrrp::{DATA_PATH, Reading, RiseFall},
};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks in a row that have to contradict what is believed: an interface that is made anew gets the program back by itself.
const RISE: u32 = 2;
const FALL: u32 = 2;

/// Looks at it again and again.
pub(super) async fn follow(
    control: Handle,
    attached: AttachedList,
    trial: Arc<Trial>,
    clock: Clock,
    mut teller: Teller,
) {
    let mut requests = None;
    let mut counts = RiseFall::new(RISE, FALL);
    loop {
        let next = clock.now() + LOOK_EVERY;
        match problem(&control, &attached, &trial, &mut requests).await {
            // That netlink does not answer says nothing of the data path.
            Err(error) => tracing::debug!(%error, "VRRP cannot look at the data path"),
            Ok(None) => {
                if counts.take(true) {
                    teller.tell(DATA_PATH, Reading::There);
                }
            }
            Ok(Some(problem)) => {
                if !counts.take(false) {
                    teller.tell(DATA_PATH, Reading::Missing(problem.into()));
                }
            }
        }
        clock.sleep_until(Some(next)).await;
    }
}

/// What is wrong with it.
async fn problem(
    control: &Handle,
    attached: &AttachedList,
    trial: &Arc<Trial>,
    requests: &mut Option<Requests>,
) -> Result<Option<String>, NetError> {
    let tried = tokio::task::spawn_blocking({
        let trial = Arc::clone(trial);
        move || trial.run()
    });
    if let Ok(Err(error)) = tried.await {
        return Ok(Some(format!("the program does not work: {error}")));
    }
    let requests = match requests {
        Some(requests) => requests,
        None => requests.insert(Requests::open()?),
    };
    let attached = attached.snapshot();
    for interface in &control.snapshot().config.interfaces {
        if !attached.iter().any(|attached| attached.name == interface.as_str()) {
            return Ok(Some(format!("the program is not on {interface}")));
        }
        match requests.xdp_program(interface.as_str()).await? {
            Some(id) if id == trial.id() => {}
            Some(_) => return Ok(Some(format!("another XDP program is on {interface}"))),
            None => return Ok(Some(format!("the program is not on {interface} any more"))),
        }
    }
    Ok(None)
}
