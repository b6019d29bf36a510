//! Instances registered by host name: looked up in the background, flattened, and never through ourselves.

use crate::harness::app::{Running, scratch};
use crate::harness::dig::dig;
use crate::harness::eventually;

const TREE: &str = "\
/services
  /nowhere
    /providers
      /nowhere.invalid:80
  /ours
    /providers
      /target.service:80
  /target
    /providers
      /192.0.2.1:80
";

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_flattened_and_never_beside_an_alias() {
    let seed = scratch("seed.tree");
    std::fs::write(&seed, TREE).unwrap();
    let zone = "[[zone]]\norigin = \"service.\"\nttl = \"60s\"\n";
    let server = Running::start(&format!("[registry.main]\nmemory = \"{}\"\n{zone}", seed.display()));
    let answer = |query: &str| dig(server.dns, query).answer;
    eventually("an answer", async || (answer("A target.service").len() == 1).then_some(())).await;
    let of_nowhere = dig(server.dns, "SRV nowhere.service").data();
    assert_eq!(of_nowhere, ["0 10 80 nowhere.invalid."]);
    assert_eq!(answer("CNAME nowhere.service"), [""; 0]);

    // A name of ours is not looked up elsewhere: its addresses are those that the zone has.
    eventually("the addresses of a service", async || {
        (answer("A ours.service") == ["ours.service. 60 IN A 192.0.2.1"]).then_some(())
    })
    .await;
    assert_eq!(answer("SRV ours.service"), ["ours.service. 60 IN SRV 0 10 80 target.service."]);
    server.stop().await;
}
