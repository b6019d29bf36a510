use super::*;
use crate::format::conventions::samples;
use serde_json::{Value, json};

const INTERFACE: &str = include_str!("../../../../tests/fixtures/conventions/dubbo-interface.json");
const PYTHON: &str = include_str!("../../../../tests/fixtures/conventions/dubbo-python.json");
const SOFA_NODE: &str = include_str!("../../../../tests/fixtures/conventions/sofa-rpc.json");

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// The states, weights and remarks of the providers of `a.B` that have these URLs, with these znodes beside them.
fn with(providers: &[&str], beside: &[(&str, &str)]) -> Vec<(String, State, Option<u16>, usize)> {
    let one = |one: &Instance| (one.name.to_string(), one.state, one.weight, one.remarks.len());
    read(providers, beside).iter().map(one).collect()
}

/// These providers themselves.
fn read(providers: &[&str], beside: &[(&str, &str)]) -> Vec<Instance> {
    let mut nodes: Vec<Value> = providers
        .iter()
        .map(|url| json!({"path": format!("/dubbo/a.B/providers/{}", encoded(url)), "data": ""}))
        .collect();
    nodes.extend(beside.iter().map(|(path, data)| {
        let path = match path.strip_prefix("override ") {
            Some(url) => format!("/dubbo/a.B/configurators/{}", encoded(url)),
            None => format!("/dubbo/config/dubbo/{path}.configurators"),
        };
        json!({"path": path, "data": data})
    }));
    samples::read(&Dubbo, "/dubbo", &json!({ "nodes": nodes })).remove("a.B").unwrap_or_default()
}

const PROVIDER: &str = "dubbo://10.0.0.1:20880/a.B?application=shop&group=blue&version=1.0.0&weight=50";

fn of(beside: &[(&str, &str)]) -> (State, Option<u16>) {
    let found = with(&[PROVIDER], beside);
    assert_eq!((found.len(), found[0].3), (1, 0), "{found:?}");
    (found[0].1, found[0].2)
}

#[test]
fn what_dubbo_in_java_and_python_and_sofarpc_write_is_read() {
    samples::check(&Dubbo, "/dubbo", INTERFACE);
    samples::check(&Dubbo, "/dubbo", PYTHON);
    samples::check(&Sofa, "/sofa-rpc", SOFA_NODE);
}

#[test]
fn only_providers_are_instances_and_overrides_are_beside_them() {
    let interface = || "a.B".to_owned();
    assert_eq!(Dubbo.placement("a.B/providers"), Placement::Directory(interface()));
    assert_eq!(Dubbo.placement("a.B/providers/x"), Placement::Instance(interface()));
    assert_eq!(Dubbo.placement("a.B/configurators/x"), Placement::Beside(Some(interface())));
    assert_eq!(Dubbo.placement("config/dubbo/a.B.configurators"), Placement::Beside(None));
    for way in ["", "a.B", "a.B/configurators", "config", "config/dubbo"] {
        assert_eq!(Dubbo.placement(way), Placement::Way, "{way}");
    }
    for foreign in [
        "a.B/consumers",
        "a.B/consumers/x",
        "a.B/routers",
        "a.B/providers/x/y",
        "metadata",
        "metadata/a.B/providers/x",
        "mapping/a.B",
        "config/dubbo/dubbo.properties",
        "config/providers/x",
    ] {
        assert_eq!(Dubbo.placement(foreign), Placement::Foreign, "{foreign}");
    }
    assert_eq!(Sofa.placement("a.B/overrides/x"), Placement::Foreign);
}

#[test]
fn disabled_goes_before_enabled_and_a_weight_of_nought_gets_no_traffic() {
    let state = |query: &str| decode(&encoded(&format!("dubbo://10.0.0.1:1/a.B?{query}"))).unwrap();
    for (query, expected) in [
        ("", State::Up),
        ("disabled=TRUE", State::Drain),
        ("enabled=false", State::Drain),
        ("enabled=false&disabled=false", State::Up),
        ("enabled=true&disabled=true", State::Drain),
        ("weight=0", State::Drain),
        ("dynamic=false&weight=7", State::Up),
    ] {
        assert_eq!(state(query).state, expected, "{query}");
    }
    let one = state("weight=heavy&group=a%2Fb");
    assert_eq!((one.weight, one.remarks.len()), (Some(100), 1));
    assert_eq!(state("weight=70000").weight, Some(u16::MAX));
}

#[test]
fn an_override_is_about_a_provider_or_all_and_may_be_switched_off() {
    let (up, drain) = (State::Up, State::Drain);
    for (url, expected) in [
        ("override://10.0.0.1:20880/a.B?disabled=true", (drain, 50)),
        ("override://10.0.0.1:20880/a.B?disabled=true&enabled=false", (up, 50)),
        ("override://10.0.0.2:20880/a.B?disabled=true", (up, 50)),
        ("override://10.0.0.1:20881/a.B?disabled=true", (up, 50)),
        ("override://10.0.0.1/a.B?disabled=true", (up, 50)),
        ("override://0.0.0.0/a.B?weight=7", (up, 7)),
        ("override://0.0.0.0:20880/a.B?weight=0", (drain, 0)),
        ("override://0.0.0.0/a.B?weight=7&application=shop&group=blue&version=*", (up, 7)),
        ("override://0.0.0.0/a.B?weight=7&application=other", (up, 50)),
        ("override://0.0.0.0/a.B?weight=7&~release=3", (up, 50)),
        ("absent://0.0.0.0/a.B?weight=7&disabled=true", (drain, 50)),
        ("mock://0.0.0.0/a.B?weight=7", (up, 50)),
    ] {
        assert_eq!(of(&[(&format!("override {url}"), "")]), (expected.0, Some(expected.1)), "{url}");
    }
    // Of two, the one about this host has the last word.
    let both = ["override override://10.0.0.1:20880/a.B?weight=9", "override override://0.0.0.0/a.B?weight=7"];
    assert_eq!(of(&both.map(|path| (path, ""))), (up, Some(9)));
    let disabled = PROVIDER.to_owned() + "&disabled=true";
    let found = with(&[&disabled], &[("override override://0.0.0.0/a.B?disabled=false", "")]);
    assert_eq!(found[0].1, up);
}

#[test]
fn yaml_is_followed_where_it_is_about_providers_or_all_consumers() {
    let (up, drain) = (State::Up, State::Drain);
    let item = |more: &str| format!("configs:\n- parameters: {{weight: 7, disabled: true}}\n{more}");
    let application = |more: &str| format!("scope: application\nkey: shop\n{}", item(more));
    for (key, yaml, is_followed) in [
        ("a.B", item("  side: provider\n"), true),
        ("a.B", item("  side: provider\n  addresses: [\"10.0.0.1:20880\"]\n"), true),
        ("a.B", item("  side: provider\n  addresses: [10.0.0.2]\n"), false),
        ("a.B", item("  side: provider\n  addresses: [\"?\"]\n"), false),
        ("a.B", item("  addresses: [\"10.0.0.1:20880\"]\n"), false),
        ("a.B", item("  side: consumer\n"), true),
        ("a.B", item("  side: consumer\n  addresses: [10.0.0.1]\n"), false),
        ("a.B", item("  side: consumer\n  providerAddresses: [\"0.0.0.0:20880\"]\n"), true),
        ("a.B", item("  side: provider\n  match: {param: []}\n"), false),
        ("a.B", item("  side: provider\n  applications: [x, shop]\n"), true),
        ("a.B", item("  side: provider\n  applications: [x]\n"), false),
        ("a.B", "enabled: false\n".to_owned() + &item("  side: provider\n"), false),
        ("a.B:1.0.0:blue", item("  side: provider\n"), true),
        ("blue*a.B:1.0.0", item("  side: provider\n"), true),
        ("a.B:2.0.0", item("  side: provider\n"), false),
        ("shop", application("  side: provider\n"), true),
        ("shop", application("  side: provider\n  services: [\"blue/a.B:1.0.0\", c]\n"), true),
        ("shop", application("  side: provider\n  services: [a.C]\n"), false),
        ("shop", application("  side: consumer\n"), false),
        ("other", application("  side: provider\n"), false),
    ] {
        let expected = if is_followed { (drain, Some(7)) } else { (up, Some(50)) };
        assert_eq!(of(&[(key, &yaml)]), expected, "{key}\n{yaml}");
    }
    let found = with(&[PROVIDER], &[("a.B", "configs: ["), ("override x", "")]);
    assert_eq!((found[0].1, found[0].3), (up, 2), "both are told");
}

#[test]
fn znodes_of_one_host_and_port_are_one_instance_of_which_those_that_are_up_count() {
    let urls = |first: &str| {
        let more = ["tri://10.0.0.1:20880/a.B?version=2.0.0&weight=9", "dubbo://10.0.0.1:20880/a.B?group=red"];
        with(&[&(PROVIDER.to_owned() + first), more[0], more[1]], &[])
    };
    assert_eq!(urls(""), [("10.0.0.1:20880".to_owned(), State::Up, Some(100), 0)]);
    assert_eq!(urls("&disabled=true")[0].1, State::Up);
    let nodes = json!({"nodes": [
        {"path": format!("/dubbo/a.B/providers/{}", encoded(&(PROVIDER.to_owned() + "&disabled=true"))), "data": ""},
        {"path": format!("/dubbo/a.B/providers/{}", encoded("tri://10.0.0.1:20880/a.B?version=2.0.0")), "data": ""},
        {"path": format!("/dubbo/a.B/providers/{}", encoded("rest://10.0.0.1:20880/a.B?group=red")), "data": ""},
    ]});
    let one = &samples::read(&Dubbo, "/dubbo", &nodes)["a.B"][0];
    let ports: Vec<&str> = one.ports.iter().map(|(name, _)| &**name).collect();
    let mut tags: Vec<&str> = one.tags.iter().map(|tag| &**tag).collect();
    tags.sort_unstable();
    assert_eq!((ports, tags), (vec!["rest", "tri"], vec!["2-0-0", "red"]));
}

#[test]
fn a_provider_of_sofarpc_is_offline_by_its_data_and_needs_no_port() {
    let read = |url: &str, data: &[u8]| Sofa.decode(&Node::alone(&encoded(url), data)).map(|mut all| all.remove(0));
    let url = "bolt://10.0.0.1:12200?uniqueId=v2&weight=200";
    for (data, expected) in [(&b"\x01"[..], State::Up), (b"\0", State::Drain), (b"0", State::Drain), (b"", State::Up)] {
        assert_eq!(read(url, data).unwrap().state, expected, "{data:?}");
    }
    assert_eq!(&*read(url, b"").unwrap().tags, ["v2".into()]);
    assert_eq!(&*read("rest://host.example", b"").unwrap().name, "host.example:80");
    assert!(read("rest://", b"").is_err());
}

#[test]
fn seeded_garbage_never_panics() {
    let provider = format!("a.B/providers/{}", encoded(PROVIDER));
    let paths =
        [&*provider, "a.B/configurators/override%3A%2F%2F0.0.0.0%2Fa.B%3Fweight%3D7", "config/dubbo/s.configurators"];
    let data = ["configs:\n- {side: provider, addresses: [0.0.0.0], parameters: {weight: 7}}\n", "", "\0"];
    samples::throw_garbage(&Dubbo, &paths, &data);
    samples::throw_garbage(&Sofa, &paths, &data);
    let mut rng = fastrand::Rng::with_seed(3);
    let pieces = ["a", ":", " ", "\n", "- ", "[", "]", "{", "}", "\"", "&x", "*x", "|", ">", "!", "#", "%", "?", "\t"];
    for _ in 0..20_000 {
        let text: String = (0..rng.usize(..24)).map(|_| pieces[rng.usize(..pieces.len())]).collect();
        let _ = yaml::Yaml::read(text.as_bytes());
    }
}

#[test]
fn the_cause_of_a_state_and_the_origin_of_a_weight_are_told() {
    let told = |provider: &str, rule: &str| {
        let znodes = [(rule, "")];
        let found = read(&[provider], if rule.is_empty() { &[] } else { &znodes });
        let one = found.into_iter().next().unwrap();
        (one.state_cause.unwrap_or_default().into_string(), one.weight_origin.unwrap_or_default().into_string())
    };
    let none = String::new;
    let by = "an override in a.B/configurators".to_owned();
    assert_eq!(told(PROVIDER, ""), (none(), none()));
    assert_eq!(told(&(PROVIDER.to_owned() + "&disabled=true"), ""), ("its URL disables it".to_owned(), none()));
    let disabled = "override override://10.0.0.1:20880/a.B?disabled=true";
    assert_eq!(told(PROVIDER, disabled), (format!("{by} disables it"), none()));
    assert_eq!(told(PROVIDER, "override override://0.0.0.0/a.B?weight=7"), (none(), by.clone()));
    let nought = told(PROVIDER, "override override://0.0.0.0/a.B?weight=0");
    assert_eq!(nought, (format!("{by} gives it the weight 0, which is no traffic"), by));
    let again = told(&(PROVIDER.to_owned() + "&disabled=true"), "override override://0.0.0.0/a.B?disabled=false");
    assert_eq!(again.0, "", "what is enabled again has no cause");
}
