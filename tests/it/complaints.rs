//! What people have complained of in servers like this one, and which test here sees to it that they need not. A test
//! checks that all that is named below exists.
//!
//! | complaint | guarded by |
//! | --- | --- |
//! | 1 answers cut wrongly over UDP | `wire.txt`, `additionals_go_before_answers_do`, `section_8_2_7_truncated_responses` |
//! | 2 more than 64 KiB over TCP fails | `a_service_that_no_message_holds_is_a_subset_over_tcp` |
//! | 3 clients without TCP | `wire.txt`, `a_positive_answer_has_addresses_and_no_authority`, `an_answer_has_no_more_addresses_than_it_may` |
//! | 4 NXDOMAIN where NODATA is right | `names.txt`, `every_no_is_the_right_one_with_the_soa_and_nothing_else`, `rfc4592_2_2_1_wildcards`, `names_come_with_their_empty_non_terminals_and_go_with_them` |
//! | 5 negatives without a proper SOA | `every_no_is_the_right_one_with_the_soa_and_nothing_else`, `negative_answers_carry_the_apex_soa_with_the_lesser_ttl`, `master_file.txt` |
//! | 6 delegations without NS and glue | `wire.txt`, `master_file.txt` |
//! | 7 answers before everything was read | `before_zookeeper_is_there_the_answer_is_servfail`, `a_zone_that_was_never_read_is_servfail_and_never_nxdomain` |
//! | 8 down with the store | `thirty_seconds_without_zookeeper_lose_no_answer`, `a_start_without_zookeeper_answers_from_the_cache_file_and_says_that_it_is_stale` |
//! | 9 stale where the truth is known | `every_change_shows_and_the_staleness_is_printed`, `after_every_storm_every_name_is_what_zookeeper_holds` |
//! | 10 case matters somewhere | `names.txt`, `services_that_differ_in_case_are_one_in_dns`, `services_that_differ_only_in_case_are_one_and_it_is_told_with_both_paths` |
//! | 11 names that are no host names | `forms.txt`, `long_elements_are_cut_and_told_apart`, `other_scripts_become_punycode` |
//! | 12 SRV targets that are not the instance | `every_srv_target_is_the_instance_and_nobody_else` |
//! | 13 no addresses with SRV | `names.txt`, `haproxy_follows_srv_records_with_their_weights_and_addresses` |
//! | 14 TXT where nobody asked for it | `forms.txt`, `only_what_is_listed_is_shown_and_in_the_order_of_the_list` |
//! | 15 weights rounded or lost | `weights_and_priorities_arrive_as_they_are` |
//! | 16 no primary and backup | `weights_and_priorities_arrive_as_they_are` |
//! | 17 RFC 2782 forms missing | `names.txt`, `forms.txt` |
//! | 18 one tag only | `forms.txt`, `several_tags_are_an_and_in_any_order` |
//! | 19 one domain only | `a_static_zone_stands_beside_zones_over_parts_of_one_registry` |
//! | 20 who counts as healthy | `instances_that_are_not_up_leave_and_the_name_stays`, `it_rises_and_falls_after_as_many_results_in_a_row_as_the_rules_say` |
//! | 21 no maintenance of a whole service | `what_is_drained_leaves_every_servers_answers_at_once_and_stays_registered`, `a_drain_ends_by_itself_also_while_zookeeper_is_away` |
//! | 22 times to live out of hand | `names.txt`, `an_address_is_there_as_long_as_anybody_is_and_has_the_least_time_to_live` |
//! | 23 forwarding stops at the first trouble | `servfail_refused_and_a_referral_lead_to_the_next_and_nxdomain_is_final`, `an_upstream_that_is_dead_or_silent_is_passed_over`, `forwarding_in_a_circle_is_noticed_and_ends` |
//! | 24 instances that are host names | `host_names_are_flattened_with_the_lesser_ttl`, `hosts_are_flattened_and_never_beside_an_alias`, `a_host_whose_addresses_are_not_known_yet_is_servfail_and_not_an_empty_answer` |
//! | 25 registrations that vanish silently | `a_restart_takes_over_what_the_killed_process_left`, `what_was_deleted_during_a_cut_is_restored_after_it` |
//! | 26 one instance gets nearly all connections | `a_dual_stack_client_that_asks_for_a_and_then_aaaa_gets_each_address_first_as_often`, `the_first_record_on_the_wire_is_drawn_by_weight_among_the_lowest_priority` |
//! | 27 a secondary refuses a hundred records of a kind | `more_than_a_hundred_services_go_into_bind_as_it_is_shipped`, `a_service_that_outgrows_bind_is_told_where_it_is_served` |
//! | 28 an alias beside other data | `hosts_are_flattened_and_never_beside_an_alias`, `an_alias_in_the_zone_file_hides_the_service_of_that_name_everywhere` |
//! | 29 "not known yet" said as "there is none" | `a_host_whose_addresses_are_not_known_yet_is_servfail_and_not_an_empty_answer` |
//! | 30 alias chains that end at the border of a zone | `an_alias_into_another_zone_of_this_server_is_followed`, `an_alias_to_a_name_outside_is_followed_for_those_who_may_recurse` |
//! | 31 a service that becomes the name server | `a_service_called_ns_is_not_taken_for_the_name_server_of_the_zone`, `the_made_up_name_server_is_where_somebody_listens` |
//! | 32 upstreams without EDNS | `a_name_server_that_does_not_know_edns_is_asked_without_it_from_then_on` |
//! | 33 link-local name servers | `a_link_local_name_server_is_asked_through_its_interface`, `link_local_clients_are_answered_and_link_local_name_servers_asked` |
//! | 34 glue left out in silence | `rfc9471_a_referral_has_all_glue_of_its_domain_or_says_that_it_has_not` |
//! | 35 addresses that nobody can reach, and mapped ones | `what_no_client_can_use_is_not_served_and_what_can_be_read_is` |
//! | 36 serials that go back | `with_a_cache_file_serials_do_not_go_back_either`, `whoever_allows_transfers_and_keeps_no_serials_is_warned` |
//! | 37 names cut in ways that nobody can guess | `names_of_63_bytes_are_whole_and_longer_ones_are_cut_in_every_form` |
//! | 38 one endpoint written twice | `of_two_znodes_of_one_endpoint_the_ephemeral_one_is_served_and_else_the_younger` |
//! | 39 datagrams larger than announced | `a_datagram_that_is_larger_than_announced_is_read`, `what_no_datagram_holds_comes_over_tcp` |
//! | 40 odd records of others | `a_record_without_data_is_passed_on` |
//! | 41 local names sent upstream | `localhost_is_answered_here`, `private_reverse_names_go_upstream_or_nowhere_as_the_configuration_says_and_ours_stay_ours` |
//! | 42 addresses that come later | `an_address_that_moves_to_this_host_after_the_start_is_answered_on` |
//! | 43 master files that others read | `a_master_file_and_what_it_includes_are_read_again_when_they_change`, `master_file.txt` |
//! | 44 truncated answers for clients without TCP | `a_client_without_edns_gets_what_fits_and_one_with_it_an_empty_truncated_answer` |
//! | 45 limits that are not told | `there_is_a_bound_on_questions_on_their_way`, `a_name_server_that_does_not_answer_is_reported_by_its_name_until_it_does` |

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

#[test]
fn every_test_that_guards_a_complaint_exists() {
    let table = include_str!("complaints.rs").lines().filter(|line| line.starts_with("//! | "));
    let named: BTreeSet<&str> = table.clone().flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    assert!(table.count() == 47 && named.len() > 30, "{named:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut text) = (vec![root.join("src"), root.join("tests")], String::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    for name in named {
        let is_there = match name.strip_suffix(".txt") {
            Some(_) => root.join("tests/scenarios").join(name).exists(),
            None => text.contains(&format!("fn {name}()")) || text.contains(&format!("    {name}: ")),
        };
        assert!(is_there, "there is no {name}");
    }
}

/// A server over this registry, once `service` is there.
async fn serve(tree: &str, service: &str) -> Running {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, format!("/services\n{tree}")).unwrap();
    let server =
        Running::start(&format!("[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n", seed.display()));
    eventually("the registry", async || {
        (!dig(server.dns, &format!("A {service} +tcp")).answer.is_empty()).then_some(())
    })
    .await;
    server
}

/// consul #3850, coredns #5362: some 1,400 SRV records with their targets are all that a message holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_no_message_holds_is_a_subset_over_tcp() {
    let mut tree = "  /crowd\n    /providers\n".to_owned();
    for i in 0..6000 {
        let _ = writeln!(tree, "      /10.1.{}.{}:80", i / 250, i % 250);
    }
    let server = serve(&tree, "crowd.service").await;
    for (kind, least) in [("SRV", 1000), ("A", 1500)] {
        let answer = dig(server.dns, &format!("{kind} crowd.service +tcp"));
        assert_eq!((&*answer.status, answer.has_flag("tc")), ("NOERROR", false), "{kind}");
        let count = answer.answer.len();
        assert!((least..6000).contains(&count), "{count} {kind} records in {} bytes", answer.size);
        let others: BTreeSet<String> =
            dig(server.dns, &format!("{kind} crowd.service +tcp")).answer.into_iter().collect();
        assert!(
            answer.answer.iter().any(|record| !others.contains(record)),
            "always the same part of the {kind} records"
        );
        let over_udp = dig(server.dns, &format!("{kind} crowd.service +ignore"));
        assert!(over_udp.has_flag("tc") && over_udp.answer.is_empty() && over_udp.size <= 1232, "{kind}");
    }
    server.stop().await;
}

/// coredns #6149, consul #1481: what no datagram holds, musl before 1.2.4 does not see at all, and who sorts addresses
/// always takes the same one.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_no_more_addresses_than_it_may() {
    let (seed, mut tree) = (scratch("seed.tree"), "/services\n  /crowd\n    /providers\n".to_owned());
    for i in 0..100 {
        let _ = writeln!(tree, "      /10.0.0.{i}:80\n      /[2001:db8::{i}]:80");
    }
    std::fs::write(&seed, tree).unwrap();
    let server = Running::start_with(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:0\"]\nmax_answers = 2\n",
        seed.display()
    ));
    eventually("the registry", async || (dig(server.dns, "A crowd.service").status == "NOERROR").then_some(())).await;
    for words in ["A crowd.service +noedns", "AAAA crowd.service +tcp"] {
        let mut told = BTreeSet::new();
        for _ in 0..40 {
            let answer = dig(server.dns, &format!("{words} +ignore"));
            assert_eq!((answer.answer.len(), answer.has_flag("tc")), (2, false), "{words}: {answer:?}");
            told.extend(answer.data());
        }
        assert!(told.len() > 20, "always the same ones: {told:?}");
    }
    assert_eq!(dig(server.dns, "SRV crowd.service +tcp").answer.len(), 200, "an instance that is missing is gone");
    server.stop().await;
}

/// consul #189 and others: DNS has no case.
#[tokio::test(flavor = "multi_thread")]
async fn services_that_differ_in_case_are_one_in_dns() {
    let tree = "  /Api\n    /providers\n      /10.0.0.1:80\n  /api\n    /providers\n      /10.0.0.2:80\n";
    let server = serve(tree, "api.service").await;
    for name in ["api.service", "API.SERVICE", "aPi.service"] {
        assert_eq!(dig(server.dns, &format!("A {name}")).data(), ["10.0.0.1", "10.0.0.2"], "{name}");
        assert!(dig(server.dns, &format!("A {name}")).answer.iter().all(|record| record.starts_with(name)), "{name}");
    }
    server.stop().await;
}

/// consul #832, mesos-dns #115.
#[tokio::test(flavor = "multi_thread")]
async fn every_srv_target_is_the_instance_and_nobody_else() {
    let tree =
        "  /db\n    /providers\n      /10.0.0.1:1\n      /10.0.0.2:1\n      /10.0.0.2:2\n      /[2001:db8::3]:1\n";
    let server = serve(tree, "db.service").await;
    let mut seen = BTreeSet::new();
    for record in dig(server.dns, "SRV db.service").data() {
        let (port, target) =
            record.rsplit_once(' ').map(|(front, target)| (front.rsplit(' ').next().unwrap(), target)).unwrap();
        let (v4, v6) =
            (dig(server.dns, &format!("A {target}")).data(), dig(server.dns, &format!("AAAA {target}")).data());
        assert_eq!(v4.len() + v6.len(), 1, "{target}: {v4:?} {v6:?}");
        seen.insert(format!("{} {port}", v4.concat() + &v6.concat()));
        let pointer = dig(server.dns, &format!("ANY {target}"));
        assert_eq!(pointer.status, "NOERROR");
    }
    assert_eq!(seen, BTreeSet::from(["10.0.0.1 1", "10.0.0.2 1", "10.0.0.2 2", "2001:db8::3 1"].map(str::to_owned)));
    server.stop().await;
}

/// coredns #3930, consul #23728: what the registry says goes out as it is; 0 is the operator's to say.
#[tokio::test(flavor = "multi_thread")]
async fn weights_and_priorities_arrive_as_they_are() {
    let mut tree = "  /w\n    /providers\n".to_owned();
    for (last, weight, priority) in [(1, 0, 0), (2, 1, 0), (3, 65_535, 65_535), (4, 256, 7)] {
        let _ = write!(tree, "      /10.0.0.{last}:80\n        weight = {weight}\n        priority = {priority}\n");
    }
    let server = serve(&tree, "w.service").await;
    assert_eq!(
        dig(server.dns, "SRV w.service").data(),
        [
            "0 0 80 10-0-0-1.addr.service.",
            "0 1 80 10-0-0-2.addr.service.",
            "65535 65535 80 10-0-0-3.addr.service.",
            "7 256 80 10-0-0-4.addr.service.",
        ]
    );
    server.stop().await;
}
