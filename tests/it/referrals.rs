//! Referrals: the addresses of name servers in the delegated domain are had from the parent or from nobody (RFC 9471).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::harness::app::{Running, scratch};
use crate::harness::dig::{Response, dig};
use crate::harness::eventually;
use crate::harness::secondary::{Kind, Secondary};

/// A zone that delegates `sub` to 13 servers in it, `far` to servers beside it, and `mixed` to both.
fn zone() -> String {
    let mut text = "$ORIGIN service.\n$TTL 60\n@ SOA ns x 7 60 60 60 60\n@ NS ns\nns A 192.0.2.1\n".to_owned();
    for i in 0..13 {
        let _ = writeln!(text, "sub NS ns-number-{i}.with-a-long-name.of-the-operator.sub");
        let _ = writeln!(text, "ns-number-{i}.with-a-long-name.of-the-operator.sub A 192.0.2.{i}\n AAAA 2001:db8::{i}");
        let _ = writeln!(text, "far NS ns-number-{i}.of-somebody-else\nns-number-{i}.of-somebody-else A 192.0.2.{i}");
        let _ = writeln!(text, " AAAA 2001:db8::{i}\nmixed NS ns-number-{i}.of-somebody-else");
    }
    text + "mixed NS a.mixed\nmixed NS b.mixed\na.mixed A 192.0.2.77\nb.mixed AAAA 2001:db8::77\n"
}

fn serve() -> Running {
    let file = scratch("service.zone");
    std::fs::write(&file, zone()).unwrap();
    Running::start(&format!("[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n", file.display()))
}

fn sections(response: &Response) -> [BTreeSet<String>; 2] {
    [&response.authority, &response.additional].map(|section| section.iter().cloned().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc9471_a_referral_has_all_glue_of_its_domain_or_says_that_it_has_not() {
    let server = serve();
    let whole = dig(server.dns, "A x.sub.service +norec +tcp");
    assert_eq!((whole.authority.len(), whole.additional.len()), (13, 26));
    assert!(whole.answer.is_empty() && !whole.has_flag("aa") && !whole.has_flag("tc"), "{whole:?}");
    assert!(whole.size < 1100, "{}: names are not compressed", whole.size);
    for size in (512..=1232).step_by(8) {
        let answer = dig(server.dns, &format!("A x.sub.service +norec +ignore +bufsize={size}"));
        assert!(answer.size <= size, "{} of {size}", answer.size);
        assert_eq!((answer.authority.len(), answer.has_flag("aa")), (13, false), "{size}");
        assert_eq!(answer.has_flag("tc"), answer.additional.len() < 26, "{size}: {}", answer.additional.len());
        assert_eq!(answer.additional.len() == 26, size >= whole.size, "{size} for {}", whole.size);
    }
    // Without EDNS, and in other letters.
    for words in ["A x.sub.service +noedns", "AAAA X.sUb.SerVice +noedns"] {
        let answer = dig(server.dns, &format!("{words} +norec +ignore"));
        assert!(answer.size <= 512 && answer.has_flag("tc"), "{answer:?}");
        assert_eq!(answer.authority.len(), 13, "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_had_elsewhere_give_way_to_glue_without_a_word() {
    let server = serve();
    let answer = dig(server.dns, "A x.far.service +norec +ignore +bufsize=600");
    assert!(!answer.has_flag("tc") && answer.authority.len() == 13, "{answer:?}");
    assert!((1..26).contains(&answer.additional.len()), "{answer:?}");
    let answer = dig(server.dns, "A x.mixed.service +norec +ignore +noedns");
    assert!(!answer.has_flag("tc") && answer.authority.len() == 15, "{answer:?}");
    for glue in ["a.mixed.service. 60 IN A 192.0.2.77", "b.mixed.service. 60 IN AAAA 2001:db8::77"] {
        assert!(answer.additional.iter().any(|record| record == glue), "{answer:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn referrals_are_those_of_nsd_and_knot_and_no_longer() {
    let server = serve();
    for kind in [Kind::Nsd, Kind::Knot] {
        let other = Secondary::with_file(kind, Secondary::port(), &zone());
        let ready = || {
            let output = std::process::Command::new("dig")
                .args(["@127.0.0.1", "-p", &other.address.port().to_string(), "+short", "+tries=1", "+time=1"])
                .args(["SOA", "service."])
                .output();
            output.is_ok_and(|output| !output.stdout.is_empty())
        };
        eventually(kind.name(), async || ready().then_some(())).await;
        for name in ["x.sub.service", "sub.service", "x.far.service", "x.mixed.service"] {
            let words = format!("A {name} +norec +tcp");
            let (ours, theirs) = (dig(server.dns, &words), dig(other.address, &words));
            assert_eq!(sections(&ours), sections(&theirs), "{name}: {}", kind.name());
            assert!(ours.size <= theirs.size + 40, "{name}: {} and {}'s {}", ours.size, kind.name(), theirs.size);
        }
    }
    server.stop().await;
}
