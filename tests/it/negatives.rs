//! Negative answers of every kind, as RFC 1034, 2308, 4592, 6604, 6840 and 8020 have them: whatever leads to "no", it
//! is the right "no", with the apex's SOA and nothing else.

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;

const ZONE: &str = "\
$TTL 60
@ NS ns.example.net.
a.b.c A 192.0.2.1
gone CNAME nobody
bare CNAME a.b.c
*.w TXT \"any\"
host.w A 192.0.2.2
deep.ent.w A 192.0.2.3
";

/// The section, dig's question, the code, and how many records lead there.
const CASES: [(&str, &str, &str, usize); 13] = [
    ("RFC 2308 §2.1: no such name", "A nobody.service", "NXDOMAIN", 0),
    ("RFC 2308 §2.1.1: an alias of no name", "A gone.service", "NXDOMAIN", 1),
    ("RFC 6604 §3: the code is the last name's", "AAAA gone.service", "NXDOMAIN", 1),
    ("RFC 2308 §2.2: no such data", "AAAA a.b.c.service", "NOERROR", 0),
    ("RFC 2308 §2.2: no such data behind an alias", "AAAA bare.service", "NOERROR", 1),
    ("RFC 1034 §4.3.2: nothing below a name", "A x.a.b.c.service", "NXDOMAIN", 0),
    ("RFC 8020 §2: an empty non-terminal exists", "A b.c.service", "NOERROR", 0),
    ("RFC 8020 §2: and the one above it", "A c.service", "NOERROR", 0),
    ("RFC 4592 §3.3.1: the wildcard has no such type", "A x.w.service", "NOERROR", 0),
    ("RFC 4592 §2.2.1: a name that exists is no wildcard's", "TXT host.w.service", "NOERROR", 0),
    ("RFC 4592 §2.2.1: nor is one below it", "TXT x.host.w.service", "NXDOMAIN", 0),
    ("RFC 4592 §2.2.2: nor an empty non-terminal", "TXT ent.w.service", "NOERROR", 0),
    ("RFC 4592 §2.2.3: the name above a wildcard", "TXT w.service", "NOERROR", 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_no_is_the_right_one_with_the_soa_and_nothing_else() {
    // With a delegation nothing is for the hot path.
    for cut in ["", "sub NS ns.example.net.\n"] {
        let file = scratch("service.zone");
        std::fs::write(&file, format!("{ZONE}{cut}")).unwrap();
        let server = Running::start(&format!("[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n", file.display()));
        for (why, words, status, led) in CASES {
            for how in ["+noedns", "+tcp", "+dnssec +adflag +cdflag"] {
                let answer = dig(server.dns, &format!("{words} {how}"));
                let seen = (&*answer.status, answer.answer.len(), answer.authority.len(), answer.additional.len());
                assert_eq!(seen, (status, led, 1, 0), "{why}: {answer:?}");
                // RFC 2308 §3 and §5: owned by the apex, for the lesser of its own time and its minimum.
                assert!(answer.authority[0].starts_with("service. 5 IN SOA "), "{why}: {answer:?}");
                assert!(answer.has_flag("aa") && !answer.has_flag("tc"), "{why}: {answer:?}");
                // RFC 6840 §5.6 to §5.8: an unsigned zone has no proofs; DO and CD come back, and AD is nobody's to
                // set.
                assert!(!answer.has_flag("ad"), "{why}: {answer:?}");
                assert_eq!(answer.has_flag("cd"), how.contains("+cdflag"), "{why}: {answer:?}");
                let is_ok = answer.edns.iter().any(|line| line.contains("flags: do;"));
                assert_eq!(is_ok, how.contains("+dnssec"), "{why}: {answer:?}");
            }
        }
        server.stop().await;
    }
}
