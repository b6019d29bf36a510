//! The commands that look: ls, get, walk, tree, graph.

use serde_json::Value;

use super::{RELEASES, complaint, ensemble, printed, run};
use crate::harness::app::scratch;
use crate::harness::kazoo::Kazoo;
use crate::harness::release::Release;

/// A registry with everything in it: properties, links, a property link, instances, data of other kinds.
async fn site(release: Release) -> (String, Kazoo) {
    let servers = ensemble(release).await;
    let mut kazoo = Kazoo::connect(&servers);
    for (path, data, ephemeral) in [
        ("/services/api_x", &br#"{"owner":"team \u00fc","type":"api","ttl":5,"limit =>":"/defaults most"}"#[..], false),
        ("/services/api_x/providers", b"", false),
        ("/services/api_x/providers/10.0.0.1:80", br#"{"pid":7}"#, true),
        ("/services/api_x/providers/10.0.0.2:80", b"\xff\xfe", true),
        ("/services/api_x-old", b"raw \x1b[31mtext", false),
        ("/services/front", br#"{"backend ->":"/services/api_x","self ->":"self","lost ->":"../nowhere"}"#, false),
        ("/defaults", br#"{"most":100}"#, false),
    ] {
        kazoo.create(path, data, ephemeral);
    }
    (servers, kazoo)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_listed_walked_and_shown_as_a_tree() {
    for release in RELEASES {
        let (servers, _kazoo) = site(release).await;
        let shown = |arguments: &[&str]| printed(&servers, arguments);
        assert_eq!(shown(&["ls"]), "defaults\nservices\n");
        assert_eq!(shown(&["ls", "/services/"]), "api_x\napi_x-old\nfront\n");
        let long = shown(&["ls", "--long", "/services/front"]);
        assert!(long.contains("backend -> /services/api_x\n") && long.contains("lost -> ../nowhere\n"), "{long}");
        let long = shown(&["ls", "-l", "/services/api_x/providers"]);
        assert!(long.starts_with("ephemeral") && long.lines().count() == 2, "{long}");
        // A link on the way, and one at its end.
        assert_eq!(shown(&["ls", "services/front/backend"]), "providers\n");
        assert_eq!(shown(&["ls", "services/front/backend/providers"]), "10.0.0.1:80\n10.0.0.2:80\n");
        let json: Value = serde_json::from_str(&shown(&["ls", "--json", "services/front"])).expect("JSON");
        assert_eq!(json["backend"]["link"], "/services/api_x", "{json}");

        let walked = "/services\n/services/api_x\n/services/api_x/providers\n/services/api_x-old\n/services/front\n";
        assert_eq!(shown(&["walk", "services"]), walked);
        assert_eq!(shown(&["walk", "--child", "providers"]), "/services/api_x\n");
        let all = shown(&["walk", "--ephemeral", "--children", "/services/api_x"]);
        let expected = "/services/api_x\tproviders\n/services/api_x/providers\t10.0.0.1:80 10.0.0.2:80\n\
                        /services/api_x/providers/10.0.0.1:80\t\n/services/api_x/providers/10.0.0.2:80\t\n";
        assert_eq!(all, expected);

        let tree = shown(&["tree", "services"]);
        for line in [
            "/services\n  /api_x : api\n    owner = 'team ü'\n    ttl = 5\n    limit => /defaults most\n    /providers\n",
            "\n      /10.0.0.1:80  (0x",
            "\n      /10.0.0.2:80  (0x",
            "\n        (2 bytes: its data is no text)\n",
            // What would steer the terminal is shown and not sent.
            "\n  /api_x-old\n    string_value = 'raw \\x1b[31mtext'\n  /front\n    backend -> /services/api_x\n",
        ] {
            assert!(tree.contains(line), "{line}\nin\n{tree}");
        }
        assert_eq!(
            shown(&["tree", "--brief", "--depth", "1", "/services"]),
            "/services\n  /api_x : api\n  /api_x-old\n  /front\n"
        );
        let coloured = shown(&["tree", "--brief", "--depth", "0", "--color", "always", "/services"]);
        assert_eq!(coloured, "\u{1b}[1m/services\u{1b}[0m\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_znode_is_shown_with_its_properties_and_where_its_links_lead() {
    for release in RELEASES {
        let (servers, _kazoo) = site(release).await;
        let shown = |arguments: &[&str]| printed(&servers, arguments);
        let text = shown(&["get", "/services/front"]);
        for line in [
            "\n  backend -> /services/api_x  (leads to /services/api_x)\n",
            "\n  lost -> ../nowhere  (broken: does not exist (/services/nowhere))\n",
            "\n  self -> self  (broken: is a loop of links, by /services/front/self)\n",
        ] {
            assert!(text.contains(line), "{line}\nin\n{text}");
        }
        let through = shown(&["get", "services/front/backend"]);
        assert!(through.contains("\n  real path  /services/api_x\n"), "{through}");
        assert!(through.contains("\n  limit => /defaults most  (is 100, of /defaults)\n"), "{through}");
        assert_eq!(shown(&["get", "services/front/backend", "--property", "owner"]), "team ü\n");
        assert_eq!(shown(&["get", "/services/api_x", "--property", "limit"]), "100\n");
        let json: Value = serde_json::from_str(&shown(&["get", "services/api_x", "--json"])).expect("JSON");
        assert_eq!((&json["properties"]["ttl"], &json["stat"]["num_children"]), (&5.into(), &1.into()), "{json}");
        assert_eq!(
            (&json["links"]["limit =>"]["value"], &json["stat"]["ephemeral_owner"]),
            (&100.into(), &Value::Null)
        );
        let instance = "/services/api_x/providers/10.0.0.2:80";
        let json: Value = serde_json::from_str(&shown(&["get", instance, "--json"])).expect("JSON");
        assert_eq!((&json["data_base64"], &json["properties"]), (&"//4=".into(), &Value::Null), "{json}");
        assert!(json["stat"]["ephemeral_owner"].as_str().is_some_and(|owner| owner.starts_with("0x")), "{json}");
        assert_eq!(run(&servers, &["get", instance, "--raw"]).stdout, b"\xff\xfe");

        let nothing = complaint(&servers, &["get", "/services/api_x", "--property", "colour"]);
        assert!(
            nothing.contains("/services/api_x: has no property `colour`, but owner, type, ttl, limit =>"),
            "{nothing}"
        );
        let root = &servers[servers.find('/').expect("a chroot")..];
        let nowhere = complaint(&servers, &["get", "/services/api_x/a/b"]);
        assert!(nowhere.ends_with(&format!("zonekeeper: {root}/services/api_x/a/b does not exist\n")), "{nowhere}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_has_services_links_and_instances() {
    for release in RELEASES {
        let (servers, _kazoo) = site(release).await;
        let graph = printed(&servers, &["graph", "services"]);
        for line in [
            "digraph registry {\n",
            "\n  \"/services/api_x\" [label=\"/services/api_x\"];\n",
            "[shape=ellipse, label=\"10.0.0.1:80\"];\n",
            "\n  \"/services/front\" -> \"/services/api_x\" [label=\"backend\"];\n",
            "\n  \"/services/api_x\" -> \"/defaults\" [label=\"limit\", style=dashed];\n",
        ] {
            assert!(graph.contains(line), "{line}\nin\n{graph}");
        }
        let brief = printed(&servers, &["graph", "services", "--brief"]);
        assert!(brief.contains("[label=\"/services/api_x\\n2 instances\"];") && !brief.contains("ellipse"), "{brief}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_told_and_the_rest_is_shown() {
    for release in RELEASES {
        let (servers, mut kazoo) = site(release).await;
        kazoo.lock("/services/api_x", "team:secret");
        let output = run(&servers, &["walk", "/services"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!((output.status.code(), text.contains("/services/front\n")), (Some(1), true), "{output:?}");
        assert!(!text.contains("api_x\n"), "{text}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("/services/api_x: the znode's ACL does not allow it"), "{said}");
        // With credentials it is there.
        let file = scratch("auth");
        std::fs::write(&file, "digest:team:secret\n").expect("a file");
        let file = file.to_string_lossy();
        assert!(printed(&servers, &["walk", "/services", "--auth-file", &file]).contains("/services/api_x\n"));
        kazoo.unlock("/services/api_x");
    }
}

#[test]
fn a_registry_in_a_file_is_shown_and_not_written() {
    let (tree, config) = (scratch("dev.tree"), scratch("zonekeeper.toml"));
    std::fs::write(&tree, "/services\n  /api : x\n    /providers\n      /10.0.0.1:80\n").expect("a file");
    std::fs::write(
        &config,
        format!("[registry.main]\nmemory = \"{}\"\n[admin]\nlisten = \"127.0.0.1:1\"\n", tree.display()),
    )
    .expect("a file");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_zonekeeper"));
        command.arg("registry").args(arguments).arg("--config").arg(&config).output().expect("the binary")
    };
    assert_eq!(
        run(&["walk"]).stdout,
        b"/services\n/services/api\n/services/api/providers\n/services/api/providers/10.0.0.1:80\n"
    );
    assert_eq!(run(&["get", "api", "--property", "type"]).stdout, b"x\n");
    let refused = run(&["set", "api", "a=b"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("is not in ZooKeeper but in the file") && said.contains("dev.tree: edit it"), "{said}");
}

#[test]
fn an_ensemble_that_is_not_there_is_told_with_its_servers() {
    let said = complaint("127.0.0.1:1", &["ls"]);
    assert!(
        said.contains("cannot connect to 127.0.0.1:1: no session with any server: 127.0.0.1:1: connection refused"),
        "{said}"
    );
    let wrong = run("zk:port", &["ls"]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
}
