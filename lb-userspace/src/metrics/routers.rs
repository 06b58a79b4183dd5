//! The metrics of virtual routers.

use prometheus::Result;

use super::{
    Observation, RouterSample,
    page::{Page, Samples},
};
use crate::vrrp::State;

/// Writes them; without virtual routers, nothing.
pub(super) fn write(page: &mut Page, observation: &Observation) -> Result<()> {
    let routers = &observation.routers;
    let states = Samples::new(routers.iter().flat_map(|router| {
        State::ALL.map(|state| {
            let labels = [("router", &*router.name), ("state", state.label()), ("vip", &*router.vip)];
            (router.state == state.label(), labels)
        })
    }));
    let help = "1 for the state that a virtual router is in, 0 for the others.";
    states.write(page, "lb_vrrp_state", help, |is| (*is).into())?;
    let transitions = routers.iter().flat_map(|router| {
        let labels = |state, cause| [("cause", cause), ("router", &*router.name), ("state", state)];
        router.transitions.iter().map(move |(state, cause, count)| (*count, labels(*state, *cause)))
    });
    let help = "Changes of a virtual router to a state, by cause.";
    Samples::new(transitions).write(page, "lb_vrrp_transitions_total", help, |count| *count)?;
    plain(page, routers)?;
    takeovers(page, routers)?;
    tracked(page, routers)?;
    rejected(page, observation)
}

fn takeovers(page: &mut Page, routers: &[RouterSample]) -> Result<()> {
    let took = routers.iter().filter_map(|router| Some((router.takeover?, [("router", &*router.name)])));
    let help = "How long the last takeover took, from the last advert that was heard to the announcement of the VIPs.";
    Samples::new(took).write_text(page, "lb_vrrp_takeover_seconds", help, |took, text| {
        text.push_str(&took.as_secs_f64().to_string());
    })?;
    let failures =
        routers.iter().filter_map(|router| Some((router.notify_failures?, [("router", &*router.name)])));
    let help = "Runs of a virtual router's hook that failed.";
    Samples::new(failures).write(page, "lb_vrrp_notify_failures_total", help, |failures| *failures)
}

fn tracked(page: &mut Page, routers: &[RouterSample]) -> Result<()> {
    let samples = Samples::new(routers.iter().flat_map(|router| {
        router
            .tracked
            .iter()
            .map(|tracked| (tracked, [("name", tracked.name.as_str()), ("router", &*router.name)]))
    }));
    let help = "1 if what a virtual router tracks is there, 0 if it is missing or not known yet.";
    samples.write(page, "lb_vrrp_tracked_up", help, |tracked| (tracked.state == "up").into())?;
    let help = "1 if it keeps the virtual router from taking part, else 0.";
    samples.write(page, "lb_vrrp_tracked_fault", help, |tracked| tracked.fault.into())?;
    let help = "What it adds to the priority at present, below 0 too.";
    samples.write_text(page, "lb_vrrp_tracked_priority", help, |tracked, text| {
        text.push_str(&tracked.priority.to_string());
    })
}

fn plain(page: &mut Page, routers: &[RouterSample]) -> Result<()> {
    type Figure = (&'static str, &'static str, fn(&&RouterSample) -> u64);
    let figures: [Figure; 6] = [
        ("lb_vrrp_priority", "Priority of a virtual router, with all it tracks counted in.", |router| {
            router.priority.into()
        }),
        (
            "lb_vrrp_standby",
            "1 if a virtual router leaves others active after a planned switchover, until it is released.",
            |router| router.standby.into(),
        ),
        (
            "lb_vrrp_adverts_sent_total",
            "Adverts sent, one for each receiver (a multicast group is one) and version.",
            |router| router.sent,
        ),
        ("lb_vrrp_adverts_received_total", "Adverts of other machines that were taken.", |router| {
            router.received
        }),
        (
            "lb_vrrp_announcements_total",
            "How often the network was told where the VIPs are: gratuitous ARP or unsolicited Neighbor Advertisements for all of them.",
            |router| router.announcements,
        ),
        (
            "lb_vrrp_claims_total",
            "How often other machines announced VIPs that were active here.",
            |router| router.claims,
        ),
    ];
    let samples = Samples::new(routers.iter().map(|router| (router, [("router", &*router.name)])));
    figures.into_iter().try_for_each(|(name, help, value)| samples.write(page, name, help, value))
}

fn rejected(page: &mut Page, observation: &Observation) -> Result<()> {
    let labelled = |router, reason| [("reason", reason), ("router", router)];
    let of_routers = observation.routers.iter().flat_map(|router| {
        router.rejected.iter().map(move |(reason, count)| (*count, labelled(&*router.name, *reason)))
    });
    let unknown = observation.unknown_adverts.iter();
    let unknown = unknown.map(|(reason, count)| (*count, labelled("", *reason)));
    let help = "VRRP packets that were rejected and changed nothing, by reason; without a router: for none that there is.";
    Samples::new(of_routers.chain(unknown)).write(page, "lb_vrrp_rejected_total", help, |count| *count)
}
