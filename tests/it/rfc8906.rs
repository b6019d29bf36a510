//! RFC 8906, "A Common Operational Problem in DNS Servers: Failure to Communicate", section 8: each of its tests, asked
//! with dig as it says, with what it expects. Each once where all is for the hot path, and once where nothing is.

use crate::harness::app::{Running, scratch};
use crate::harness::dig::{Response, dig};

/// A zone with a delegation, so that nothing is for the hot path, or one that all is for.
fn serve(has_cut: bool) -> Running {
    let file = scratch("service.zone");
    let cut = if has_cut { "sub NS ns.example.net.\n" } else { "" };
    let large = (0..60).fold(String::new(), |text, i| text + &format!("large A 192.0.2.{i}\n"));
    std::fs::write(&file, format!("$TTL 60\n@ NS ns.example.net.\nwww A 192.0.2.1\n{large}{cut}")).unwrap();
    Running::start(&format!("[[zone]]\norigin = \"service.\"\nfile = \"{}\"\n", file.display()))
}

/// A test for each section: what dig is asked, and what is to be seen.
macro_rules! sections {
    ($($name:ident: $words:literal, $check:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            for has_cut in [false, true] {
                let server = serve(has_cut);
                let response = dig(server.dns, $words);
                let check: fn(&Response) = $check;
                check(&response);
                // Of all of them.
                for flag in ["ad", "ra"] {
                    assert!(!response.has_flag(flag), "{response:?}");
                }
                assert!(!response.edns.iter().any(|line| line.contains("MBZ")), "{response:?}");
                server.stop().await;
            }
        }
    )*};
}

sections! {
    section_8_1_1_is_the_server_configured_for_the_zone: "SOA service +noedns +noad +norec", |response| {
        has_soa(response);
        assert!(response.edns.is_empty(), "{response:?}");
    };
    section_8_1_2_unknown_types: "TYPE1000 service +noedns +noad +norec", is_nodata;
    section_8_1_2_unknown_types_of_names_that_do_not_exist: "TYPE1000 nobody.service +noedns +noad +norec", |response| {
        assert_eq!((&*response.status, response.authority.len()), ("NXDOMAIN", 1), "{response:?}");
    };
    section_8_1_3_1_cd: "SOA service +noedns +noad +norec +cd", has_soa;
    section_8_1_3_2_ad: "SOA service +noedns +norec +ad", has_soa;
    section_8_1_3_3_the_reserved_bit: "SOA service +noedns +noad +norec +zflag", has_soa;
    section_8_1_3_4_recursive_queries: "SOA service +noedns +noad +rec", |response| {
        assert!(response.has_flag("rd"), "{response:?}");
        has_soa(response);
    };
    section_8_1_4_unknown_opcodes: "+noedns +noad +opcode=15 +norec +header-only", is_not_implemented;
    section_8_1_4_unknown_opcodes_with_a_question: "SOA service +noedns +noad +opcode=13 +norec", is_not_implemented;
    section_8_1_5_tcp: "SOA service +noedns +noad +norec +tcp", |response| {
        assert!(response.tcp);
        has_soa(response);
    };
    section_8_2_1_minimal_edns: "SOA service +edns=0 +noad +norec", |response| {
        has_soa(response);
        has_edns(response);
    };
    section_8_2_2_edns_version_negotiation: "SOA service +edns=1 +noednsnegotiation +noad +norec", is_bad_version;
    section_8_2_3_unknown_edns_options: "SOA service +edns=0 +noad +norec +ednsopt=100", |response| {
        has_soa(response);
        has_edns(response);
        assert!(!response.edns.iter().any(|line| line.contains("OPT=100")), "{response:?}");
    };
    section_8_2_4_unknown_edns_flags: "SOA service +edns=0 +noad +norec +ednsflags=0x40", |response| {
        has_soa(response);
        has_edns(response);
    };
    section_8_2_5_edns_version_negotiation_with_unknown_flags:
        "SOA service +edns=1 +noednsnegotiation +noad +norec +ednsflags=0x40", is_bad_version;
    section_8_2_6_edns_version_negotiation_with_unknown_options:
        "SOA service +edns=1 +noednsnegotiation +noad +norec +ednsopt=100", |response| {
        is_bad_version(response);
        assert!(!response.edns.iter().any(|line| line.contains("OPT=100")), "{response:?}");
    };
    section_8_2_7_truncated_responses: "A large.service +norec +dnssec +bufsize=512 +ignore", |response| {
        assert!(response.status == "NOERROR" && response.has_flag("tc") && response.has_flag("aa"), "{response:?}");
        assert!(response.size <= 512, "{response:?}");
        has_edns(response);
    };
    section_8_2_8_do: "SOA service +edns=0 +noad +norec +dnssec", |response| {
        has_soa(response);
        has_edns(response);
        // RFC 3225 §3: DO comes back as it was.
        assert!(response.edns[0].contains("flags: do;"), "{response:?}");
    };
    section_8_2_9_edns_version_negotiation_with_do:
        "SOA service +edns=1 +noednsnegotiation +noad +norec +dnssec", is_bad_version;
    section_8_2_10_several_defined_edns_options:
        "SOA service +edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0", |response| {
        has_soa(response);
        has_edns(response);
        // RFC 7871 §7.2.1: a server that does not do client subnets says nothing of them.
        assert!(!response.edns.iter().any(|line| line.contains("SUBNET")), "{response:?}");
    };
}

fn has_soa(response: &Response) {
    assert_eq!(response.status, "NOERROR", "{response:?}");
    assert!(response.has_flag("aa"), "{response:?}");
    assert!(response.answer.len() == 1 && response.answer[0].contains(" SOA "), "{response:?}");
}

fn is_nodata(response: &Response) {
    assert_eq!((&*response.status, response.answer.len()), ("NOERROR", 0), "{response:?}");
    assert!(response.has_flag("aa"), "{response:?}");
    assert!(response.authority.len() == 1 && response.authority[0].contains(" SOA "), "{response:?}");
}

fn is_not_implemented(response: &Response) {
    assert_eq!((&*response.status, response.answer.len()), ("NOTIMP", 0), "{response:?}");
    assert!(!response.has_flag("aa") && !response.has_flag("rd") && response.edns.is_empty(), "{response:?}");
}

fn has_edns(response: &Response) {
    assert!(response.edns.iter().any(|line| line.contains("EDNS: version: 0")), "{response:?}");
}

/// RFC 6891 §6.1.3: the code, the version that we speak, and nothing of the answer.
fn is_bad_version(response: &Response) {
    assert_eq!((&*response.status, response.answer.len()), ("BADVERS", 0), "{response:?}");
    assert!(!response.has_flag("aa"), "{response:?}");
    has_edns(response);
}
