//! Hosts registered by a name whose addresses are not known yet: never "there is none" (NODATA), as clients empty their
//! pools on that. The real binary, on a host whose resolver can be told what to know.

use std::net::SocketAddr;

use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::{Response, dig, transfer};
use crate::harness::{eventually, kazoo, zk};

const TREE: &str = "\
/services
  /two
    /providers
      /db.example.com:80
      /db2.example.com:80
      /db3.example.com:80
  /one
    /providers
      /db.example.com:80
        tags = ['blue']
  /mixed
    /providers
      /db.example.com:80
      /192.0.2.9:80
  /drained
    /providers
      /db.example.com:80
        state = 'down'
";

fn has_error(response: &Response, code: u16) -> bool {
    response.edns.iter().any(|line| line.starts_with(&format!("EDE: {code}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_addresses_are_not_known_yet_is_servfail_and_not_an_empty_answer() {
    let (seed, hosts, config) = (scratch("seed.tree"), scratch("hosts"), scratch("zonekeeper.toml"));
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    std::fs::write(&seed, TREE).unwrap();
    std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    let text = |more: &str| {
        format!(
            "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\nttl = \"60s\"\n[[zone]]\norigin = \"alias.\"\n\
             {more}\n[dns]\nlisten = [\"{dns}\"]\nallow_transfer = [\"any\"]\n",
            seed.display()
        )
    };
    std::fs::write(&config, text("unknown_host = \"alias\"")).unwrap();
    let server = Binary::serve_knowing(&config, &hosts);
    eventually("an answer", async || server.log().contains("is in DNS").then_some(())).await;
    for query in ["A two.service", "AAAA two.service", "A one.service", "A blue.one.service", "A two.service +tcp"] {
        let response = dig(dns, query);
        assert_eq!(response.status, "SERVFAIL", "{query}: {response:?}");
        assert!(
            has_error(&response, 22) && response.answer.is_empty() && response.authority.is_empty(),
            "{response:?}"
        );
    }
    let response = dig(dns, "A two.service");
    assert!(response.edns.iter().any(|line| line.contains("db.example.com and 2 more")), "{:?}", response.edns);
    assert_eq!(dig(dns, "SRV one.service").data(), ["0 10 80 db.example.com."]);
    assert_eq!(dig(dns, "TXT one.service").status, "NOERROR");
    // Addresses of one family are known, and there are none of the other.
    assert_eq!(dig(dns, "A mixed.service").data(), ["192.0.2.9"]);
    assert_eq!(dig(dns, "AAAA mixed.service").status, "NOERROR");
    assert_eq!(dig(dns, "A drained.service").status, "NOERROR", "nobody is in the answer");

    // As an alias it is alone, and in transfers, too.
    let alone = ["one.alias. 5 IN CNAME db.example.com."];
    for query in ["A one.alias", "SRV one.alias", "TXT one.alias", "CNAME one.alias"] {
        assert_eq!(dig(dns, query).answer, alone, "{query}");
    }
    assert_eq!(dig(dns, "SRV _one._tcp.alias").data(), ["0 10 80 db.example.com."]);
    assert_eq!(dig(dns, "A two.alias").status, "SERVFAIL", "one name cannot be an alias of three");
    // Once the first look-ups have failed.
    let transferred =
        eventually("a transfer", async || Some(transfer(dns, "alias.")).filter(|all| !all.is_empty())).await;
    let of_one: Vec<_> = transferred.iter().filter(|line| line.starts_with("one.alias.")).collect();
    assert!(matches!(of_one[..], [line] if line.contains("CNAME")), "{transferred:?}");

    // Without a restart.
    std::fs::write(&config, text("unknown_host = \"servfail\"")).unwrap();
    server.signal("HUP");
    eventually("no alias", async || (dig(dns, "A one.alias").status == "SERVFAIL").then_some(())).await;
    assert_eq!(dig(dns, "SRV one.alias").data(), ["0 10 80 db.example.com."]);

    std::fs::write(&hosts, "127.0.0.1 localhost\n192.0.2.7 db.example.com.\n").unwrap();
    eventually("the address", async || (dig(dns, "A one.service").data() == ["192.0.2.7"]).then_some(())).await;
    let response = dig(dns, "AAAA two.service");
    assert_eq!((&*response.status, response.answer.len()), ("NOERROR", 0), "an address of the other family is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_zookeeper_and_resolver_has_the_addresses_of_hosts_and_what_was_deleted() {
    let mut server = zk::Server::start();
    let mut kazoo = kazoo::Kazoo::connect(&server.address());
    kazoo.create("/services/one/providers/db.example.com:80", b"", false);
    kazoo.create("/services/gone/providers/192.0.2.1:80", b"", false);
    let (hosts, config, cache) = (scratch("hosts"), scratch("zonekeeper.toml"), scratch("main"));
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    std::fs::write(&hosts, "192.0.2.7 db.example.com.\n").unwrap();
    let text = format!(
        "[registry.main]\nzookeeper = \"{}\"\nsession_timeout = \"4s\"\ncache_file = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"{dns}\"]\n",
        server.address(),
        cache.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut before = Binary::serve_knowing(&config, &hosts);
    eventually("DNS", async || before.log().contains("DNS, UDP and TCP").then_some(())).await;
    eventually("the address", async || (dig(dns, "A one.service").data() == ["192.0.2.7"]).then_some(())).await;
    for path in ["/services/gone/providers/192.0.2.1:80", "/services/gone/providers", "/services/gone"] {
        kazoo.delete(path);
    }
    eventually("NODATA", async || {
        let response = dig(dns, "A gone.service");
        (response.status == "NOERROR" && response.answer.is_empty()).then_some(())
    })
    .await;
    // What the end saves has both.
    before.signal("TERM");
    before.wait();
    server.stop();
    std::fs::write(&hosts, "").unwrap();
    let after = Binary::serve_knowing(&config, &hosts);
    eventually("DNS", async || after.log().contains("DNS, UDP and TCP").then_some(())).await;
    eventually("an answer from the cache file", async || {
        let response = dig(dns, "A one.service");
        (response.data() == ["192.0.2.7"] && has_error(&response, 3)).then_some(())
    })
    .await;
    let response = dig(dns, "A gone.service");
    assert_eq!((&*response.status, response.answer.len()), ("NOERROR", 0));
    assert_eq!(dig(dns, "A never.service").status, "NXDOMAIN");
}
