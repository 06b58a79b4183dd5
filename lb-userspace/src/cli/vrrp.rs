//! `lbctl vrrp`.

use std::time::Duration;

use hyper::{Method, body::Bytes};

use super::{
    args::{RoutersArg, VrrpCommand},
    commands::Session,
    failure::{Exit, Failure},
    render,
};
use crate::api::{ClientError, VirtualRouter, encode};

/// Where all of them are.
const PATH: &str = "/v1/vrrp";
/// Between two looks at the virtual routers.
const PAUSE: Duration = Duration::from_millis(50);
/// How often `lbd` may be out of reach in a row while an outcome is waited for: it may be restarted meanwhile.
const PATIENCE: u32 = 300;

type Text = Result<String, Failure>;

pub(super) async fn vrrp(session: &Session, command: VrrpCommand) -> Text {
    match command {
        VrrpCommand::Status => {
            let routers: Vec<VirtualRouter> = session.client.get(PATH).await?;
            session.show(&routers, |routers| render::virtual_routers(routers, session.style))
        }
        VrrpCommand::Failover { routers, force, wait } => {
            let query = if force { "?force=true" } else { "" };
            let mut switched = switch_over(session, &routers, &format!("failover{query}")).await?;
            if wait {
                let is_under_way =
                    |router: &VirtualRouter| router.switchover.as_deref() == Some("handing-over");
                switched = settled(session, switched, is_under_way).await?;
                outcome(&switched)?;
            }
            session.show(&switched, |routers| render::switched(routers))
        }
        VrrpCommand::Release { routers, wait } => {
            let mut switched = switch_over(session, &routers, "release").await?;
            if wait {
                switched = settled(session, switched, |router| router.taking_over).await?;
            }
            session.show(&switched, |routers| render::switched(routers))
        }
    }
}

/// Asks for a switchover, and returns the virtual routers that take part.
async fn switch_over(
    session: &Session,
    routers: &RoutersArg,
    what: &str,
) -> Result<Vec<VirtualRouter>, Failure> {
    let path = match &routers.router {
        Some(name) => format!("{PATH}/{}/{what}", encode(name)),
        None => format!("{PATH}/{what}"),
    };
    let switched: Vec<VirtualRouter> = session.client.json(Method::POST, &path, Bytes::new()).await?;
    if switched.is_empty() {
        let message = "there is no virtual router: the configuration has no [[vrrp]]";
        return Err(Failure::new(Exit::NotFound, message));
    }
    Ok(switched)
}

/// Looks at virtual routers until none of them is under way any more.
async fn settled(
    session: &Session,
    mut routers: Vec<VirtualRouter>,
    is_under_way: impl Fn(&VirtualRouter) -> bool,
) -> Result<Vec<VirtualRouter>, Failure> {
    let names: Vec<String> = routers.iter().map(|router| router.name.clone()).collect();
    let mut unreachable = 0;
    while routers.iter().any(&is_under_way) {
        tokio::time::sleep(PAUSE).await;
        match session.client.get::<Vec<VirtualRouter>>(PATH).await {
            Ok(all) => {
                unreachable = 0;
                routers = all.into_iter().filter(|router| names.contains(&router.name)).collect();
            }
            Err(ClientError::Connect { .. } | ClientError::Protocol { .. }) if unreachable < PATIENCE => {
                unreachable += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(routers)
}

/// Whether another machine is active for all of them.
fn outcome(routers: &[VirtualRouter]) -> Result<(), Failure> {
    let named = |is: &dyn Fn(&&VirtualRouter) -> bool| {
        let names: Vec<&str> = routers.iter().filter(is).map(|router| router.name.as_str()).collect();
        Some(names.join(", ")).filter(|names| !names.is_empty())
    };
    if let Some(names) = named(&|router| router.switchover.as_deref() == Some("no-successor")) {
        let message = format!(
            "{names}: no other machine took over within 4 advert intervals, so this one remains active; look at the other machine, or give \
             the VIPs up all the same with --force"
        );
        return Err(Failure::new(Exit::Negative, message));
    }
    if let Some(names) = named(&|router| router.state == "active") {
        let message =
            format!("{names}: this machine is active again: it was released, or the other one stopped");
        return Err(Failure::new(Exit::Conflict, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(name: &str, state: &str, switchover: Option<&str>) -> VirtualRouter {
        VirtualRouter {
            name: name.to_owned(),
            state: state.to_owned(),
            switchover: switchover.map(str::to_owned),
            ..VirtualRouter::default()
        }
    }

    #[test]
    fn a_failover_succeeds_when_this_machine_is_active_for_none_of_them() {
        let handed = router("outside", "backup", Some("standby"));
        outcome(&[handed.clone(), router("inside", "fault", Some("standby"))]).unwrap();
        let failure =
            outcome(&[handed.clone(), router("inside", "active", Some("no-successor"))]).unwrap_err();
        assert_eq!(failure.exit, Exit::Negative);
        assert!(failure.message.starts_with("inside: no other machine took over"), "{failure}");
        let failure = outcome(&[handed, router("inside", "active", None)]).unwrap_err();
        assert_eq!(failure.exit, Exit::Conflict);
    }
}
