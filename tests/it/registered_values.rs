//! Endpoints as people register them: what no client could use is lost, with a reason, and never costs its neighbours;
//! what can be read of odd data is.

use crate::harness::admin::page;
use crate::harness::app::{Running, scratch};
use crate::harness::dig::{dig, transfer};
use crate::harness::eventually;

const TREE: &str = r#"/services
  /bad
    /providers
      /0.0.0.0:80
      /[::]:80
      /255.255.255.255:80
      /224.0.0.1:80
      /[fe80::1]:80
      /[ff02::1]:80
      /localhost:80
      /db.localhost:80
      /0x0a000001:80
      /*:80
      /*.example.com:80
      /192.0.2.1:80
  /odd
    /providers
      /127.0.0.1:80
      /[::1]:80
      /169.254.1.1:80
      /240.0.0.1:80
      /[::ffff:192.0.2.7]:80
  /twice
    /providers
      /192.0.2.1:80
      /192.0.2.1:080
        weight = 77
      /[2001:db8::1]:80
      /[2001:DB8:0::1]:80
  /case
    /192.0.2.1:80
      weight = 5
    /192.0.2.2:80
  /CASE
    /192.0.2.1:80
      weight = 7
    /192.0.2.3:80
  /python
    /providers
      /192.0.2.1:80
        string_value = '{"weight":5,"load":NaN,"most":1e999,"emoji":"\\ud83d"}'
      /192.0.2.2:80
        string_value = '{"weight":'
  /idn
    /providers
      /bücher.example:80
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_no_client_can_use_is_not_served_and_what_can_be_read_is() {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, TREE).unwrap();
    let zones = "[[zone]]\norigin = \"service.\"\n[[zone]]\norigin = \"2.0.192.in-addr.arpa.\"\n";
    let server = Running::start(&format!("[registry.main]\nmemory = \"{}\"\n{zones}", seed.display()));
    let data = |query: &str| dig(server.dns, query).data();
    eventually("an answer", async || (!data("A bad.service").is_empty()).then_some(())).await;
    assert_eq!(data("A bad.service"), ["192.0.2.1"]);
    assert_eq!(data("AAAA bad.service"), [""; 0]);
    assert_eq!(data("SRV bad.service"), ["0 10 80 192-0-2-1.addr.service."]);
    let malformed = page(server.admin, "/v1/services/bad");
    for reason in ["0.0.0.0/8", "broadcast", "multicast", "link-local", "localhost", "ends in a number", "wildcard"] {
        assert!(malformed.contains(reason), "{reason}: {malformed}");
    }

    assert_eq!(data("A odd.service"), ["127.0.0.1", "169.254.1.1", "192.0.2.7", "240.0.0.1"]);
    assert_eq!(data("AAAA odd.service"), ["::1"]);
    assert!(data("SRV odd.service").contains(&"0 10 80 192-0-2-7.addr.service.".to_owned()));
    assert_eq!(data("-x 192.0.2.7"), ["192-0-2-7.addr.service."]);

    assert_eq!(data("SRV twice.service").len(), 2, "{:?}", data("SRV twice.service"));
    assert_eq!(data("PTR _twice._tcp.service").len(), 2);

    // Two spellings are one service, and one endpoint in both is one record: the younger znode's.
    let [one, two, three] =
        ["0 5 80 192-0-2-1", "0 10 80 192-0-2-2", "0 10 80 192-0-2-3"].map(|data| format!("{data}.addr.service."));
    assert_eq!(data("SRV case.service"), [two, three, one]);
    let told = page(server.admin, "/v1/status");
    assert!(
        told.contains("it is the same endpoint as /services/case/192.0.2.1:80, which is served in its place"),
        "{told}"
    );

    assert_eq!(data("SRV python.service"), ["0 10 80 192-0-2-2.addr.service.", "0 5 80 192-0-2-1.addr.service."]);
    assert_eq!(data("SRV idn.service"), ["0 10 80 xn--bcher-kva.example."]);
    server.stop().await;
}

/// RFC 1035 §2.3.4. The cut names are for ever: clients are configured with them.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_63_bytes_are_whole_and_longer_ones_are_cut_in_every_form() {
    let of = |letter: &str, length: usize| letter.repeat(length);
    let host = format!("{}.{}.example.com", of("h", 40), of("i", 40));
    let tree = format!(
        "/services\n  /{}\n    /10.0.0.1:80\n  /{}\n    /10.0.0.2:80\n  /{}\n    /10.0.0.3:80\n      tags = ['{}', '{}']\n      \
         ports = {{'{}': 81, '{}': 82}}\n    /{host}:80\n",
        of("b", 63),
        of("c", 64),
        of("d", 62),
        of("t", 63),
        of("u", 64),
        of("p", 62),
        of("q", 63),
    );
    let seed = scratch("seed.tree");
    std::fs::write(&seed, tree).unwrap();
    let server = Running::start_with(&format!(
        "[registry.main]\nmemory = \"{}\"\n[[zone]]\norigin = \"service.\"\n[dns]\nlisten = [\"127.0.0.1:0\"]\nallow_transfer = [\"any\"]\n",
        seed.display()
    ));
    let d = of("d", 62);
    eventually("an answer", async || (dig(server.dns, &format!("SRV {d}.service")).answer.len() == 2).then_some(()))
        .await;
    for (name, rtype, data) in [
        (format!("{}.service", of("b", 63)), "A", "10.0.0.1"),
        (format!("_{}-f701cb55079b2ba5._tcp.service", of("b", 45)), "SRV", "0 10 80 10-0-0-1.addr.service."),
        (format!("{}-3d3bb39181dc91e5.service", of("c", 46)), "A", "10.0.0.2"),
        (format!("{}.{d}.service", of("t", 63)), "A", "10.0.0.3"),
        (format!("_{d}._tcp.service"), "SRV", "0 10 80 10-0-0-3.addr.service."),
        (format!("_{}._tcp.{d}.service", of("p", 62)), "SRV", "0 10 81 10-0-0-3.addr.service."),
    ] {
        for transport in ["", " +tcp"] {
            let found = dig(server.dns, &format!("{rtype} {name}{transport}")).data();
            assert!(found.iter().any(|one| one == data), "{name}: {found:?}");
        }
    }
    // Every name that is told can be asked for, and is a name.
    // (The zone is not transferred before its hosts were looked up, for ten seconds at most.)
    let names = eventually("a transfer", async || {
        let names = transfer(server.dns, "service.");
        (!names.is_empty()).then_some(names)
    })
    .await;
    let owners: Vec<&str> = names.iter().filter_map(|line| line.split(' ').next()).collect();
    let has = |start: String, end: &str| owners.iter().any(|name| name.starts_with(&start) && name.ends_with(end));
    assert!(has(format!("{}-", of("u", 46)), &format!(".{d}.service.")), "the tag: {owners:?}");
    assert!(has(format!("_{}-", of("q", 45)), &format!("._tcp.{d}.service.")), "the port: {owners:?}");
    let instances = dig(server.dns, &format!("PTR _{d}._tcp.service")).data();
    assert_eq!(instances.len(), 2, "{instances:?}");
    for instance in instances {
        assert_eq!(dig(server.dns, &format!("SRV {instance}")).answer.len(), 1, "{instance}");
    }
    server.stop().await;
}
