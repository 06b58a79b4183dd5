//! Sync groups, and whose packet it is.

use std::net::Ipv4Addr;

use super::*;
use crate::vrrp::{Cause, ChecksumForm, Effect, GROUP_V4, HOP_LIMIT, Interval, Priority, State, Version};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const DOWN: Duration = Duration::from_millis(361);
/// Until something that is there again counts.
const HOLD: Duration = Duration::from_millis(500);

fn interface(name: &str) -> InterfaceName {
    InterfaceName::new(name).unwrap()
}

fn member(name: &str, vrid: u8, group: Option<&str>) -> Member {
    let addresses = Addresses::V4(vec![Ipv4Addr::new(10, 0, vrid, 100)]);
    let mut settings = Settings::new(Vrid::new(vrid).unwrap(), addresses);
    settings.interval = Interval::from_centiseconds(10).unwrap();
    let tracking = Tracking::new([(name.to_owned(), Effect::Fault), ("pool".to_owned(), Effect::Takes(50))]);
    Member { interface: interface(name), settings, tracking, group: group.map(str::to_owned) }
}

/// Two routers, inside and outside, and their clock.
struct Fixture {
    node: Node,
    now: Duration,
    done: Vec<(usize, Command)>,
}

impl Fixture {
    fn new(group: Option<&str>) -> Self {
        let node = Node::new([member("inside", 1, group), member("outside", 2, group)]).unwrap();
        let mut fixture = Self { node, now: Duration::from_secs(1), done: Vec::new() };
        for index in 0..2 {
            fixture.node.set_source(fixture.now, RouterId(index), Some(OWN.into()));
        }
        for object in ["inside", "outside", "pool"] {
            fixture.set_tracked(object, true);
        }
        fixture.node.start(fixture.now, |_| false);
        fixture.take();
        fixture
    }

    fn active(group: Option<&str>) -> Self {
        let mut fixture = Self::new(group);
        fixture.run_for(DOWN);
        assert_eq!(fixture.states(), [State::Active; 2]);
        fixture
    }

    fn set_tracked(&mut self, name: &str, is_there: bool) {
        let missing = Reading::Missing("gone".into());
        self.node.take_reading(self.now, name, if is_there { &Reading::There } else { &missing });
        self.take();
    }

    fn take(&mut self) {
        self.done =
            std::iter::from_fn(|| self.node.poll_command()).map(|(id, command)| (id.0, command)).collect();
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.node.poll_timeout()
            && due <= end
        {
            self.node.handle_timeout(due);
        }
        self.now = end;
        self.take();
    }

    fn hear(&mut self, name: &str, vrid: u8, priority: u8) {
        let advert = member(name, vrid, None).settings.advert(Version::V3, Priority::new(priority));
        let ends = Ends::V4(PEER, GROUP_V4);
        let message = advert.build(&ends, ChecksumForm::MessageOnly).unwrap();
        let envelope = Envelope { ends, hop_limit: HOP_LIMIT };
        self.node.handle_packet(self.now, &interface(name), &envelope, &message).unwrap();
        self.take();
    }

    fn states(&self) -> Vec<State> {
        self.node.routers().map(|(_, router)| router.state()).collect()
    }

    fn causes(&self) -> Vec<(usize, State, Cause)> {
        let change = |(index, command): &(usize, Command)| match command {
            Command::Changed { state, cause } => Some((*index, *state, *cause)),
            _ => None,
        };
        self.done.iter().filter_map(change).collect()
    }
}

#[test]
fn without_a_group_each_router_goes_its_own_way() {
    let mut fixture = Fixture::active(None);
    fixture.hear("inside", 1, 200);
    assert_eq!(fixture.states(), [State::Backup, State::Active]);
}

#[test]
fn a_group_claims_only_when_all_its_members_may() {
    let mut fixture = Fixture::new(Some("nat"));
    for _ in 0..20 {
        fixture.run_for(Duration::from_millis(100));
        fixture.hear("outside", 2, 200);
        assert_eq!(fixture.states(), [State::Backup; 2], "inside alone does not go");
    }
    fixture.run_for(DOWN);
    assert_eq!(fixture.states(), [State::Active; 2]);
}

#[test]
fn a_group_takes_all_addresses_before_it_announces_any_and_announces_all_at_once() {
    let fixture = Fixture::active(Some("nat"));
    let kinds: Vec<_> =
        fixture.done.iter().map(|(index, command)| (*index, std::mem::discriminant(command))).collect();
    let at = |index: usize, command: Command| {
        kinds.iter().position(|kind| *kind == (index, std::mem::discriminant(&command))).unwrap()
    };
    let takes = [0, 1].map(|index| at(index, Command::Take { accept: true }));
    let announces = [0, 1].map(|index| at(index, Command::Announce));
    assert_eq!((takes, announces), ([0, 1], [2, 3]), "{:?}", fixture.done);
}

#[test]
fn what_clients_connect_to_is_announced_last() {
    let mut fixture = Fixture::new(Some("nat"));
    fixture.node.set_serving(RouterId(0), true);
    fixture.run_for(DOWN);
    let announcing = fixture.done.iter().filter(|(_, command)| *command == Command::Announce);
    assert_eq!(announcing.map(|(index, _)| *index).collect::<Vec<_>>(), [1, 0]);
    assert!(matches!(fixture.done[..], [(_, Command::Take { .. }), (_, Command::Take { .. }), ..]));
}

#[test]
fn adverts_of_a_group_go_together_again_after_one_was_out_of_turn() {
    for (apart, group, joins) in [(1, Some("nat"), true), (30, Some("nat"), false), (1, None, false)] {
        let mut fixture = Fixture::active(group);
        fixture.run_for(Duration::from_millis(50));
        fixture.hear("inside", 1, 0);
        fixture.run_for(Duration::from_millis(apart));
        fixture.hear("outside", 2, 0);
        fixture.run_for(Duration::from_millis(250));
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..300 {
            fixture.run_for(Duration::from_millis(1));
            for index in [0, 1] {
                let sends = |(of, command): &(usize, Command)| {
                    *of == index && matches!(command, Command::Send { .. })
                };
                if fixture.done.iter().any(sends) {
                    times[index].push(fixture.now);
                }
            }
        }
        assert_eq!(times[0].len(), 3, "{apart} ms, {group:?}: {times:?}");
        assert_eq!(times[0] == times[1], joins, "{apart} ms, {group:?}: {times:?}");
        let steps = times.iter().flat_map(|times| times.windows(2)).map(|pair| pair[1] - pair[0]);
        assert!(steps.into_iter().all(|step| step == Duration::from_millis(100)), "{times:?}");
    }
}

#[test]
fn after_a_conflict_on_one_network_the_addresses_of_the_whole_group_are_announced() {
    for priority in [1, 0] {
        let mut fixture = Fixture::active(Some("nat"));
        fixture.run_for(Duration::from_millis(50));
        fixture.hear("outside", 2, priority);
        for index in 0..2 {
            assert!(
                fixture.done.contains(&(index, Command::Announce)),
                "priority {priority}: {:?}",
                fixture.done
            );
        }
        fixture.hear("outside", 2, priority);
        assert!(!fixture.done.contains(&(1, Command::Announce)), "a flood is not answered by a flood");
    }
    let mut alone = Fixture::active(None);
    alone.hear("outside", 2, 1);
    assert!(!alone.done.contains(&(0, Command::Announce)));
}

#[test]
fn a_group_gives_up_together_and_says_so_to_the_other_networks() {
    let mut fixture = Fixture::active(Some("nat"));
    fixture.hear("inside", 1, 200);
    assert_eq!(fixture.states(), [State::Backup; 2]);
    assert_eq!(fixture.causes()[1], (1, State::Backup, Cause::Group));
    let resigned = fixture.done.iter().any(|(index, command)| {
        *index == 1 && matches!(command, Command::Send { advert, .. } if advert.priority == Priority::STOPS)
    });
    assert!(resigned, "the successor need not wait on the other network");
    assert!(fixture.done.contains(&(1, Command::Release)));
}

#[test]
fn a_fault_of_one_member_is_a_fault_of_all_and_ends_with_it() {
    let mut fixture = Fixture::active(Some("nat"));
    fixture.set_tracked("inside", false);
    assert_eq!(fixture.states(), [State::Fault; 2]);
    assert_eq!(fixture.causes(), [(0, State::Fault, Cause::Fault), (1, State::Fault, Cause::Group)]);
    fixture.set_tracked("outside", false);
    fixture.set_tracked("inside", true);
    fixture.run_for(HOLD);
    assert_eq!(fixture.states(), [State::Fault; 2]);
    fixture.set_tracked("outside", true);
    assert_eq!(fixture.states(), [State::Fault; 2], "it has to prove itself");
    fixture.run_for(HOLD);
    assert_eq!(fixture.states(), [State::Backup; 2]);
    fixture.run_for(DOWN);
    assert_eq!(fixture.states(), [State::Active; 2]);
}

#[test]
fn a_planned_switchover_moves_the_whole_group_and_neither_network_lacks_its_addresses() {
    let mut fixture = Fixture::active(Some("nat"));
    assert!(fixture.node.hand_over(fixture.now, RouterId(0), Afterwards::Stay));
    fixture.take();
    fixture.hear("inside", 1, 50);
    assert_eq!(fixture.states(), [State::Backup, State::Active], "outside waits for its own successor");
    fixture.hear("outside", 2, 50);
    assert_eq!(fixture.states(), [State::Backup; 2]);
    for _ in 0..10 {
        fixture.hear("inside", 1, 50);
        fixture.hear("outside", 2, 50);
        fixture.run_for(Duration::from_millis(100));
        assert_eq!(fixture.states(), [State::Backup; 2]);
    }
    fixture.node.resume(fixture.now, RouterId(1));
    for _ in 0..5 {
        fixture.hear("inside", 1, 50);
        fixture.hear("outside", 2, 50);
        fixture.run_for(Duration::from_millis(100));
    }
    assert_eq!(fixture.states(), [State::Active; 2]);
}

#[test]
fn half_a_switchover_ends_with_both_given_up() {
    let mut fixture = Fixture::active(Some("nat"));
    fixture.node.hand_over(fixture.now, RouterId(0), Afterwards::Stay);
    for _ in 0..5 {
        fixture.hear("inside", 1, 50);
        fixture.run_for(Duration::from_millis(100));
    }
    assert_eq!(
        fixture.states(),
        [State::Backup; 2],
        "inside has another active router, so outside must not be ours"
    );
}

#[test]
fn a_group_that_gives_up_by_force_is_active_again_only_when_it_is_released() {
    let mut fixture = Fixture::active(Some("nat"));
    fixture.node.hand_over(fixture.now, RouterId(0), Afterwards::Leave);
    fixture.hear("inside", 1, 50);
    fixture.run_for(Duration::from_secs(5));
    assert_eq!(fixture.states(), [State::Backup; 2], "outside is on no machine");
    assert!(!fixture.node.is_about_to_claim(RouterId(0)));
    fixture.node.resume(fixture.now, RouterId(0));
    assert_eq!(fixture.states(), [State::Active; 2], "nobody was heard for long");
    assert!(!fixture.node.is_about_to_claim(RouterId(0)), "it is");
}

#[test]
fn a_group_is_not_about_to_claim_while_one_member_leaves_another_router_active() {
    let mut fixture = Fixture::new(Some("nat"));
    assert!(fixture.node.is_about_to_claim(RouterId(0)));
    fixture.hear("outside", 2, 200);
    assert!(!fixture.node.is_about_to_claim(RouterId(0)) && !fixture.node.is_about_to_claim(RouterId(1)));
}

#[test]
fn a_group_of_owners_is_active_at_once() {
    let owner = |name, vrid| {
        let mut member = member(name, vrid, Some("nat"));
        member.settings.priority = Priority::OWNER;
        member.tracking = Tracking::default();
        member
    };
    let mut node = Node::new([owner("inside", 1), owner("outside", 2)]).unwrap();
    for index in 0..2 {
        node.set_source(Duration::ZERO, RouterId(index), Some(OWN.into()));
    }
    node.start(Duration::ZERO, |_| false);
    assert!(node.routers().all(|(_, router)| router.state() == State::Active));
}

#[test]
fn a_restarted_group_keeps_or_gives_up_together() {
    let restarted = || {
        let mut fixture = Fixture::new(Some("nat"));
        fixture.node.stop();
        fixture.node.start(fixture.now, |_| true);
        fixture.take();
        fixture
    };
    let mut fixture = restarted();
    fixture.run_for(Duration::from_millis(100));
    assert_eq!(fixture.states(), [State::Active; 2]);
    assert!(!fixture.done.iter().any(|(_, command)| *command == Command::Release));
    let mut fixture = restarted();
    fixture.hear("inside", 1, 200);
    assert_eq!(fixture.states(), [State::Backup; 2]);
    for index in 0..2 {
        assert!(fixture.done.contains(&(index, Command::Release)), "router {index}");
    }
}

impl Fixture {
    /// Reads another configuration, with the same interfaces.
    fn reconfigure(&mut self, members: &[Member]) -> Vec<Option<usize>> {
        let origins = self.node.reconfigure(self.now, members.to_vec()).unwrap();
        for index in 0..members.len() {
            self.node.set_source(self.now, RouterId(index), Some(OWN.into()));
        }
        for object in ["inside", "outside", "third", "pool"] {
            self.node.take_reading(self.now, object, &Reading::There);
        }
        self.node.start(self.now, |_| false);
        self.take();
        origins.into_iter().map(|origin| origin.map(|id| id.0)).collect()
    }

    fn adverts(&self, of: usize) -> Vec<u8> {
        let sent = |(index, command): &(usize, Command)| match command {
            Command::Send { advert, .. } if *index == of => Some(advert.priority.number()),
            _ => None,
        };
        self.done.iter().filter_map(sent).collect()
    }
}

#[test]
fn a_reload_that_changes_nothing_does_nothing() {
    for group in [None, Some("nat")] {
        let mut fixture = Fixture::active(group);
        let due = fixture.node.poll_timeout();
        fixture.reconfigure(&[member("inside", 1, group), member("outside", 2, group)]);
        assert_eq!((fixture.done.len(), fixture.node.poll_timeout()), (0, due));
    }
}

#[test]
fn unchanged_routers_go_on_whatever_is_added_removed_or_moved() {
    let mut fixture = Fixture::active(None);
    let origins = fixture.reconfigure(&[member("third", 3, None), member("outside", 2, None)]);
    assert_eq!(
        origins,
        [None, Some(1), Some(0)],
        "the new one, the one that goes on, and the one that leaves"
    );
    assert_eq!(fixture.states(), [State::Backup, State::Active, State::Active]);
    assert_eq!(fixture.causes(), [(0, State::Backup, Cause::Started)]);
    assert_eq!((fixture.adverts(1), fixture.adverts(2)), (vec![], vec![0]), "the one that leaves says so");
    assert!(fixture.node.leaves(RouterId(2)));
    fixture.hear("inside", 1, 50);
    assert!(fixture.done.contains(&(2, Command::Release)), "when its successor is heard");
    assert_eq!(fixture.node.forget_stopped(), 2);
    fixture.run_for(DOWN);
    assert_eq!(fixture.states(), [State::Active; 2]);
}

#[test]
fn a_router_that_leaves_without_a_successor_gives_up_after_all() {
    let mut fixture = Fixture::active(None);
    fixture.reconfigure(&[member("outside", 2, None)]);
    assert_eq!(fixture.node.forget_stopped(), 2);
    fixture.run_for(Duration::from_millis(400));
    assert!(fixture.done.contains(&(1, Command::Release)));
    assert_eq!(fixture.node.forget_stopped(), 1);
    assert_eq!(fixture.states(), [State::Active]);
}

#[test]
fn a_router_that_is_back_before_it_has_left_never_left() {
    let mut fixture = Fixture::active(None);
    fixture.reconfigure(&[member("outside", 2, None)]);
    let origins = fixture.reconfigure(&[member("inside", 1, None), member("outside", 2, None)]);
    assert_eq!(origins, [Some(1), Some(0)]);
    assert_eq!(fixture.adverts(0), [100], "who prepares to take over is told");
    fixture.run_for(Duration::from_secs(1));
    assert_eq!(fixture.states(), [State::Active; 2]);
    assert!(fixture.causes().is_empty());
}

#[test]
fn what_can_be_changed_in_place_leaves_the_state_as_it_is() {
    let mut fixture = Fixture::active(None);
    let mut changed = member("inside", 1, None);
    changed.settings.priority = Priority::new(150);
    changed.settings.interval = Interval::from_centiseconds(20).unwrap();
    changed.settings.addresses = Addresses::V4(vec![Ipv4Addr::new(10, 0, 1, 101)]);
    fixture.reconfigure(&[changed, member("outside", 2, None)]);
    assert!(fixture.causes().is_empty());
    assert!(fixture.done.contains(&(0, Command::Take { accept: true })));
    assert!(fixture.done.contains(&(0, Command::Announce)));
    assert_eq!(fixture.adverts(0).last(), Some(&150));
    fixture.run_for(Duration::from_millis(200));
    assert_eq!((fixture.adverts(0).len(), fixture.adverts(1).len()), (1, 2), "each with its interval");
}

#[test]
fn a_member_that_joins_a_group_does_not_cost_the_others_their_addresses() {
    let mut fixture = Fixture::active(Some("nat"));
    let group = Some("nat");
    fixture.reconfigure(&[
        member("inside", 1, group),
        member("outside", 2, group),
        member("third", 3, group),
    ]);
    assert_eq!(fixture.states(), [State::Active, State::Active, State::Backup]);
    fixture.run_for(DOWN);
    assert_eq!(fixture.states(), [State::Active; 3]);
    fixture.reconfigure(&[member("inside", 1, None), member("outside", 2, group), member("third", 3, group)]);
    fixture.hear("inside", 1, 200);
    assert_eq!(fixture.states(), [State::Backup, State::Active, State::Active], "it left the group");
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing() {
    let mut fixture = Fixture::active(None);
    let twice = [member("inside", 1, None), member("inside", 1, None)];
    assert!(fixture.node.reconfigure(fixture.now, twice).is_err());
    fixture.run_for(Duration::from_millis(100));
    assert_eq!((fixture.adverts(0).len(), fixture.adverts(1).len()), (1, 1));
}

#[test]
fn a_weight_changes_the_priority() {
    let mut fixture = Fixture::active(Some("nat"));
    fixture.set_tracked("pool", false);
    assert!(fixture.node.routers().all(|(_, router)| router.priority() == Priority::new(50)));
    assert_eq!(fixture.done.len(), 2, "each says so at once: {:?}", fixture.done);
}

#[test]
fn a_weight_of_one_member_counts_once_for_all_of_its_group() {
    let with = |vrid, objects: &[(&str, i16)]| {
        let mut member = member("inside", vrid, Some("nat"));
        let effect = |(name, weight): &(&str, i16)| ((*name).to_owned(), Effect::of_weight(*weight));
        member.tracking = Tracking::new(objects.iter().map(effect));
        member
    };
    let members = [with(1, &[("pool", -50), ("uplink", 10)]), with(2, &[("pool", -50)]), with(3, &[])];
    let mut node = Node::new(members).unwrap();
    let priorities =
        |node: &Node| node.routers().map(|(_, router)| router.priority().number()).collect::<Vec<_>>();
    node.start(Duration::ZERO, |_| false);
    node.take_reading(Duration::ZERO, "uplink", &Reading::There);
    node.take_reading(Duration::ZERO, "pool", &Reading::Missing("gone".into()));
    assert_eq!(priorities(&node), [60; 3]);
    let shown: Vec<_> = node.tracked(RouterId(2)).map(|(name, _, impact)| (name, impact)).collect();
    assert_eq!(shown, [("pool", Impact::Priority(-50)), ("uplink", Impact::Priority(10))]);
    node.take_reading(Duration::ZERO, "pool", &Reading::There);
    assert_eq!(node.poll_timeout(), Some(HOLD));
    node.handle_timeout(HOLD);
    assert_eq!(priorities(&node), [110; 3]);
}

#[test]
fn the_start_waits_for_what_is_tracked_and_not_for_ever() {
    let start = || {
        let mut node = Node::new([member("inside", 1, None)]).unwrap();
        node.set_source(Duration::ZERO, RouterId(0), Some(OWN.into()));
        node.start(Duration::ZERO, |_| false);
        node
    };
    let state = |node: &Node| node.routers().next().unwrap().1.state();
    let mut node = start();
    node.take_reading(Duration::ZERO, "inside", &Reading::There);
    assert_eq!(state(&node), State::Initialize, "the pool is not known");
    node.take_reading(Duration::ZERO, "pool", &Reading::There);
    assert_eq!(state(&node), State::Backup);
    let mut node = start();
    let due = node.poll_timeout().unwrap();
    assert!(due <= Duration::from_secs(2));
    node.handle_timeout(due);
    assert_eq!(state(&node), State::Fault, "what is not known is missing");
    let mut node = start();
    assert!(!node.hand_over(Duration::ZERO, RouterId(0), Afterwards::Stop));
    node.handle_timeout(due);
    assert_eq!(state(&node), State::Initialize, "it was stopped before it began");
}

#[test]
fn a_restarted_router_keeps_its_addresses_until_what_it_tracks_is_known_to_be_missing() {
    let mut node = Node::new([member("inside", 1, None)]).unwrap();
    node.set_source(Duration::ZERO, RouterId(0), Some(OWN.into()));
    node.start(Duration::ZERO, |_| true);
    let mut done = Vec::new();
    for _ in 0..5 {
        let due = node.poll_timeout().unwrap();
        node.handle_timeout(due);
        done.extend(std::iter::from_fn(|| node.poll_command()).map(|(_, command)| command));
    }
    assert_eq!(node.routers().next().unwrap().1.state(), State::Active);
    assert!(!done.contains(&Command::Release), "{done:?}");
    node.take_reading(Duration::from_secs(9), "inside", &Reading::Missing("gone".into()));
    assert_eq!(node.routers().next().unwrap().1.state(), State::Fault);
}

#[test]
fn packets_for_no_router_are_counted() {
    let mut fixture = Fixture::new(None);
    let envelope = Envelope { ends: Ends::V4(PEER, GROUP_V4), hop_limit: HOP_LIMIT };
    let ends_v6 = Ends::V6("fe80::1".parse().unwrap(), crate::vrrp::GROUP_V6);
    let other_family = Envelope { ends: ends_v6, ..envelope };
    for (name, envelope, message) in [
        ("inside", envelope, &[0x31, 2][..]),
        ("elsewhere", envelope, &[0x31, 1]),
        ("inside", other_family, &[0x31, 1]),
        ("inside", envelope, &[0x31, 0]),
        ("inside", envelope, &[0x31]),
        ("inside", envelope, &[0x31, 1]),
    ] {
        assert!(fixture.node.handle_packet(fixture.now, &interface(name), &envelope, message).is_err());
    }
    let expected = [((None, "length"), 1), ((None, "vrid"), 4), ((Some(RouterId(0)), "length"), 1)];
    assert_eq!(fixture.node.rejected(), &expected.into_iter().collect());
}

#[test]
fn virtual_routers_that_cannot_be_told_apart_are_refused() {
    let duplicate = Node::new([member("inside", 1, None), member("inside", 1, None)]);
    assert_eq!(duplicate.unwrap_err(), InvalidNode::Duplicate(RouterId(0), RouterId(1)));
    assert!(Node::new([member("inside", 1, None), member("outside", 1, None)]).is_ok());
}
