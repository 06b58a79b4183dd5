//! What RFC 9568 demands of a router, and RFC 3768 of version 2, each with the tests that prove it: what is demanded is done, and what
//! is not is not.

use std::{fs, path::Path};

/// A requirement: document and section, what it demands, the tests that show that it is met, and those that show that nothing else
/// does.
struct Requirement(&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const REQUIREMENTS: &[Requirement] = &[
    Requirement(
        "9568 5.1.1.3, 5.1.2.3",
        "what arrives with another TTL or hop limit than 255 is discarded",
        &["the_hop_limit_is_255_unless_peers_are_farther_away"],
        &[
            "the_hop_limit_is_255_unless_peers_are_farther_away",
            "a_run_with_a_flood_of_invalid_adverts_is_the_same_run",
        ],
    ),
    Requirement(
        "9568 5.2.2, 7.1",
        "an unknown type is discarded",
        &["adverts_of_keepalived_are_read_and_built_byte_for_byte"],
        &["each_check_has_its_rejection"],
    ),
    Requirement(
        "9568 5.2.4",
        "the owner of the addresses has priority 255",
        &["the_owner_is_active_at_once", "a_priority_stays_within_1_to_254_and_an_owner_an_owner"],
        &["startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises"],
    ),
    Requirement(
        "9568 5.2.4",
        "who backs up has priority 1 to 254",
        &["a_priority_stays_within_1_to_254_and_an_owner_an_owner"],
        &["settings_of_which_no_advert_can_be_made_are_refused"],
    ),
    Requirement(
        "9568 5.2.5, erratum 8299",
        "a count of 0 is ignored",
        &["what_is_built_is_read_again"],
        &["each_check_has_its_rejection", "what_a_packet_cannot_say_is_not_built"],
    ),
    Requirement(
        "9568 5.2.6",
        "the reserved bits are sent as 0 and ignored",
        &["adverts_of_keepalived_are_read_and_built_byte_for_byte"],
        &["what_is_reserved_is_ignored_and_sent_as_zero"],
    ),
    Requirement(
        "9568 5.2.8, 7.1",
        "the checksum is verified, of IPv6 with a pseudo-header",
        &[
            "both_checksums_of_version_3_over_ipv4_are_right_and_told_apart",
            "adverts_of_keepalived_are_read_and_built_byte_for_byte",
        ],
        &["version_2_and_ipv6_have_one_checksum", "one_wrong_bit_is_always_noticed"],
    ),
    Requirement(
        "9568 5.2.9, erratum 8300",
        "the first IPv6 address is link-local",
        &["adverts_of_keepalived_are_read_and_built_byte_for_byte"],
        &["settings_of_which_no_advert_can_be_made_are_refused"],
    ),
    Requirement(
        "9568 5.2.9",
        "the addresses are of the packet's family",
        &["what_is_built_is_read_again"],
        &["what_a_packet_cannot_say_is_not_built"],
    ),
    Requirement(
        "9568 6.1",
        "Skew_Time and Active_Down_Interval are computed of priority and Active_Adver_Interval",
        &["skew_and_down_interval_follow_the_rfc_to_the_nanosecond"],
        &["the_skew_of_version_2_is_a_part_of_a_second_whatever_the_interval"],
    ),
    Requirement(
        "9568 6.4.1",
        "Startup makes the owner active, and others backup for an Active_Down_Interval of their own interval",
        &["the_owner_is_active_at_once"],
        &["startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises"],
    ),
    Requirement(
        "9568 6.4.2",
        "a backup answers neither ARP nor Neighbor Solicitations, and accepts nothing for the addresses: it does not hold them",
        &[
            "the_higher_priority_wins_and_its_interval_is_learned",
            "after_any_trouble_there_is_one_owner_and_no_change_without_a_cause",
        ],
        &["startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises"],
    ),
    Requirement(
        "9568 6.4.2",
        "Shutdown of a backup cancels Active_Down_Timer",
        &["shutdown_of_a_backup_says_nothing"],
        &["a_router_that_is_not_started_does_nothing"],
    ),
    Requirement(
        "9568 6.4.2",
        "when Active_Down_Timer fires: an advert, an announcement of each address, Adver_Timer, active",
        &[
            "startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises",
            "an_active_router_advertises_each_interval",
        ],
        &["a_backup_that_overslept_listens_for_a_whole_interval", "a_lost_advert_or_two_fail_nothing_over"],
    ),
    Requirement(
        "9568 6.4.2",
        "priority 0 sets Active_Down_Timer to Skew_Time",
        &["priority_0_makes_a_backup_wait_for_the_skew_only"],
        &["a_higher_or_equal_priority_sets_the_timer_and_teaches_the_interval"],
    ),
    Requirement(
        "9568 6.4.2",
        "without preemption, or of at least the own priority: the interval is learned and Active_Down_Timer set",
        &[
            "a_higher_or_equal_priority_sets_the_timer_and_teaches_the_interval",
            "a_lower_priority_is_left_active_by_a_backup_that_does_not_preempt",
        ],
        &["a_lower_priority_is_discarded_by_a_backup_that_preempts"],
    ),
    Requirement(
        "9568 6.4.2",
        "with preemption, a lower priority is discarded",
        &[
            "a_lower_priority_is_discarded_by_a_backup_that_preempts",
            "the_highest_priority_is_active_in_the_end_where_all_preempt",
        ],
        &["a_lower_priority_is_left_active_by_a_backup_that_does_not_preempt"],
    ),
    Requirement(
        "9568 6.4.3",
        "an active router accepts packets for the addresses if it owns them or Accept_Mode is true, else it does not",
        &[
            "startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises",
            "the_owner_is_active_at_once",
        ],
        &["without_accept_mode_packets_for_the_addresses_are_not_taken"],
    ),
    Requirement(
        "9568 6.4.3",
        "Shutdown of an active router cancels Adver_Timer and sends priority 0",
        &["shutdown_of_an_active_router_sends_priority_0_and_releases"],
        &["shutdown_of_a_backup_says_nothing"],
    ),
    Requirement(
        "9568 6.4.3",
        "when Adver_Timer fires: an advert, and the timer again",
        &["an_active_router_advertises_each_interval", "a_late_timer_does_not_slow_the_adverts_down"],
        &["an_active_router_answers_one_that_stops"],
    ),
    Requirement(
        "9568 6.4.3",
        "priority 0 is answered by an advert, and Adver_Timer begins again",
        &["an_active_router_answers_one_that_stops"],
        &["a_router_that_stops_is_no_successor"],
    ),
    Requirement(
        "9568 6.4.3",
        "a higher priority, or an equal one from a greater address (unsigned), makes an active router backup, which learns the interval",
        &[
            "the_higher_priority_wins_and_its_interval_is_learned",
            "of_equal_priorities_the_greater_address_wins",
        ],
        &["of_equal_priorities_the_greater_address_wins", "the_winner_asserts_itself_and_announces_again"],
    ),
    Requirement(
        "9568 6.4.3",
        "others are discarded and answered by an advert at once",
        &[
            "the_winner_asserts_itself_and_announces_again",
            "a_partition_has_two_owners_and_heals_to_the_better_one_within_an_interval",
        ],
        &["the_higher_priority_wins_and_its_interval_is_learned"],
    ),
    Requirement(
        "9568 7.1",
        "the version is verified",
        &[
            "with_both_versions_both_are_sent_at_the_configured_rate",
            "adverts_of_keepalived_are_read_and_built_byte_for_byte",
        ],
        &["each_check_has_its_rejection", "a_version_that_is_not_configured_is_rejected"],
    ),
    Requirement(
        "9568 7.1",
        "the packet is complete",
        &["an_ipv4_packet_is_opened_by_its_own_lengths", "what_is_built_is_read_again"],
        &["each_check_has_its_rejection", "arbitrary_bytes_never_panic"],
    ),
    Requirement(
        "9568 7.1, erratum 8298",
        "the VRID is configured on the interface",
        &["without_a_group_each_router_goes_its_own_way"],
        &["another_virtual_router_is_rejected", "packets_for_no_router_are_counted"],
    ),
    Requirement(
        "9568 7.1, erratum 8301",
        "the interval is not 0",
        &["intervals_are_within_what_a_packet_can_say", "what_is_built_is_read_again"],
        &["each_check_has_its_rejection"],
    ),
    Requirement(
        "9568 7.1",
        "what fails a check is discarded",
        &["a_run_with_a_flood_of_invalid_adverts_is_the_same_run"],
        &["a_rejected_packet_changes_no_state_and_no_timer"],
    ),
    Requirement(
        "9568 7.1 (SHOULD)",
        "another interval and other addresses are noticed, and not a reason to discard",
        &["a_higher_or_equal_priority_sets_the_timer_and_teaches_the_interval"],
        &["two_owners_are_noticed"],
    ),
    Requirement(
        "9568 7.2",
        "the fields are those of the virtual router, and the checksum is right",
        &[
            "adverts_of_keepalived_are_read_and_built_byte_for_byte",
            "what_is_accepted_is_rebuilt_but_for_what_is_reserved",
        ],
        &["what_a_packet_cannot_say_is_not_built"],
    ),
    Requirement(
        "9568 7.2",
        "adverts come from the primary address, of IPv6 from the link-local one, and go to the group",
        &["startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises"],
        &["without_an_address_to_send_from_it_does_not_take_part"],
    ),
    Requirement(
        "9568 8.1.2, 8.2.2",
        "announcements wait until the addresses are there",
        &["startup_waits_for_the_down_interval_and_then_takes_announces_and_advertises"],
        &["a_foreign_announcement_of_an_address_is_answered"],
    ),
    Requirement(
        "9568 8.4.2",
        "with both versions, both are sent at the configured rate, even if sub-second",
        &["with_both_versions_both_are_sent_at_the_configured_rate"],
        &["a_version_that_is_not_configured_is_rejected"],
    ),
    Requirement(
        "9568 8.4.2",
        "with both versions, a backup goes by the rate of the active router, of version 2 in seconds",
        &["with_both_versions_a_backup_goes_by_the_rate_of_a_version_2_router"],
        &["with_both_versions_version_2_is_ignored_from_who_sends_version_3"],
    ),
    Requirement(
        "3768 7.1",
        "version 2: type and password of the authentication are those configured",
        &["the_password_is_what_keepalived_sends"],
        &[
            "version_2_needs_the_same_interval_and_authentication",
            "version_2_has_no_ipv6_and_no_other_authentication",
        ],
    ),
    Requirement(
        "3768 7.1",
        "version 2: the interval is the one configured",
        &["version_2_counts_in_seconds"],
        &["version_2_needs_the_same_interval_and_authentication"],
    ),
];

/// What RFC 9568 demands of who runs the commands, or of nobody here: section, demand, where it belongs.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "5.1.1.2, 5.1.2.2",
        "what is sent to the group is not forwarded",
        "the kernel forwards no link-local multicast",
    ),
    ("5.1.1.3, 5.1.2.3", "adverts are sent with 255", "who runs Command::Send"),
    ("6.1", "Neighbor Discovery is not dropped without Accept_Mode", "who runs Command::Take"),
    (
        "6.4.2, 6.4.3, 8.2.3",
        "Router Advertisements",
        "a load balancer sends none: it is nobody's default router",
    ),
    (
        "6.4.2, 6.4.3, 7.2, 8.1.2, 8.2.2",
        "the virtual MAC",
        "an option of who runs Command::Send and Command::Take",
    ),
    (
        "6.4.3",
        "the solicited-node group is joined, solicitations answered",
        "the kernel, once it has the address",
    ),
    ("7.4", "the virtual MAC is no source of interface identifiers", "the kernel"),
    ("8.1.3", "proxy ARP", "there is none"),
];

fn sources(directory: &Path, text: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_requirement_is_proven_both_ways_by_tests_that_exist() {
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/vrrp"), &mut text);
    for Requirement(section, demand, positive, negative) in REQUIREMENTS {
        assert!(!positive.is_empty() && !negative.is_empty(), "{section}: {demand}");
        for test in positive.iter().chain(*negative) {
            assert!(text.contains(&format!("fn {test}(")), "{section}: there is no test {test}");
        }
    }
    assert!(ELSEWHERE.iter().all(|(_, demand, place)| !demand.is_empty() && !place.is_empty()));
}
