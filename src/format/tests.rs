use super::conventions::{auto, nd, zc};
use super::*;
use crate::model::{Defaults, Host, Instance, Protocol, State};
use std::time::{Duration, Instant, SystemTime};

const PID: u32 = 4711;

fn config(providers: &str, convention: &Row) -> Config {
    Config::new(convention, providers)
}

fn decode(data: &[u8]) -> Result<Instance, Error> {
    Config::default().decode_instance("192.168.0.42:8080", data)
}

fn metadata(instance: &Instance) -> Vec<(&str, &str)> {
    instance.metadata.iter().map(|(key, value)| (&**key, &**value)).collect()
}

fn instance<'p>(service: &'p str, name: &'p str) -> NodeKind<'p> {
    NodeKind::Instance { service, name }
}

#[test]
fn a_child_of_a_providers_directory_is_an_instance_whatever_its_name() {
    for convention in [&auto::ROW, &zc::ROW] {
        let config = config("providers", convention);
        assert_eq!(config.place(""), NodeKind::Service { path: "" });
        assert_eq!(config.place("api_x"), NodeKind::Service { path: "api_x" });
        assert_eq!(config.place("api_x/providers"), NodeKind::Directory { service: "api_x" });
        assert_eq!(config.place("api_x/providers/10.0.0.1:80"), instance("api_x", "10.0.0.1:80"));
        assert_eq!(config.place("api_x/providers/junk"), instance("api_x", "junk"));
        assert_eq!(config.place("api_x/providers/junk/x/y"), NodeKind::Inside { service: "api_x" });
        assert_eq!(config.place("a/b/c/providers/h:1"), instance("a/b/c", "h:1"));
        assert_eq!(config.place("providersx/h"), NodeKind::Service { path: "providersx/h" });
    }
}

#[test]
fn a_providers_directory_can_stand_at_the_root_and_can_hold_its_own_name() {
    let config = Config::default();
    assert_eq!(config.place("providers"), NodeKind::Directory { service: "" });
    assert_eq!(config.place("providers/h:1"), instance("", "h:1"));
    assert_eq!(config.place("providers/providers"), instance("", "providers"));
    assert_eq!(config.place("a/providers/providers/h:1"), NodeKind::Inside { service: "a" });
}

#[test]
fn the_shape_of_a_name_makes_an_instance_directly_below_a_service() {
    for config in [Config::default(), config("", &auto::ROW), config("", &zc::ROW), config("x", &nd::ROW)] {
        assert_eq!(config.place("ssh/server1:22"), instance("ssh", "server1:22"));
        assert_eq!(
            config.place("staging/uswest2/memcache/[::1]:11211"),
            instance("staging/uswest2/memcache", "[::1]:11211")
        );
        assert_eq!(config.place("server1:22"), instance("", "server1:22"));
        assert_eq!(config.place("ssh/server1:22/x"), NodeKind::Inside { service: "ssh" });
        assert_eq!(config.place("ssh/server1"), NodeKind::Service { path: "ssh/server1" });
        assert_eq!(
            config.place("ssh/server1:99999"),
            instance("ssh", "server1:99999"),
            "bad, and so shown as malformed"
        );
    }
}

#[test]
fn a_strict_convention_takes_only_its_own_form() {
    assert_eq!(config("providers", &zc::ROW).place("ssh/server1:22"), NodeKind::Service { path: "ssh/server1:22" });
    let nd = config("providers", &nd::ROW);
    assert_eq!(nd.place("api_x/providers"), NodeKind::Service { path: "api_x/providers" });
    assert_eq!(nd.place("api_x/providers/h:1"), instance("api_x/providers", "h:1"));
}

#[test]
fn paths_are_made_as_they_are_read() {
    let zc = Config::default();
    assert_eq!(zc.instance_path("/services", "api_x", "h:1"), "/services/api_x/providers/h:1");
    assert_eq!(zc.instance_path("/", "a/b", "h:1"), "/a/b/providers/h:1");
    assert_eq!(config("", &auto::ROW).instance_path("/services", "a", "h:1"), "/services/a/h:1");
    let nd = config("providers", &nd::ROW);
    assert_eq!(nd.instance_path("/services", "a", "h:1"), "/services/a/h:1");
    for config in [zc, nd, config("p", &zc::ROW), config("", &zc::ROW)] {
        let path = config.instance_path("/r", "a/b", "h:1");
        assert_eq!(config.place(path.strip_prefix("/r/").unwrap()), instance("a/b", "h:1"));
    }
}

#[test]
fn zc_zk_nodes_are_read_as_that_library_reads_them() {
    let fixture = include_bytes!("../../tests/fixtures/zc/plain.json");
    assert_eq!(metadata(&decode(fixture).unwrap()), [("pid", "9922")]);

    let mut expected = Instance::new(
        "192.168.0.42:8080",
        Config::default().decode_instance("192.168.0.42:8080", b"").unwrap().endpoint,
    );
    expected.weight = Some(20);
    expected.tags = vec!["canary".into(), "v2".into()];
    expected.metadata = [("features", "{\"tls\":true}"), ("pid", "9922"), ("version", "1.0"), ("ö", "ü")]
        .map(|(key, value)| (key.into(), value.into()))
        .to_vec();
    assert_eq!(decode(include_bytes!("../../tests/fixtures/zc/properties.json")).unwrap(), expected);

    let text = decode(include_bytes!("../../tests/fixtures/zc/string_value")).unwrap();
    assert_eq!(metadata(&text), [("string_value", " 10.0.0.1 is the old address\n")]);
    assert_eq!(metadata(&decode(b"{}").unwrap()), []);
    assert_eq!(metadata(&decode(b" \n ").unwrap()), []);
    assert_eq!(metadata(&decode(b"[1, 2]").unwrap()), [("string_value", "[1, 2]")], "only objects are JSON to zc.zk");
}

#[test]
fn nd_service_registry_nodes_are_read_as_that_library_reads_them() {
    let nd = config("", &nd::ROW);
    let name = "ec2-123-123-123-123.us-west-2.compute.amazonaws.com:11211";
    let read = nd.decode_instance(name, include_bytes!("../../tests/fixtures/nd/string.json")).unwrap();
    assert_eq!(read.endpoint.host, Host::Name(name.strip_suffix(":11211").unwrap().into()));
    let expected = [("created", "2012-12-14 21:17:50"), ("pid", "8364"), ("string_value", "my data")];
    assert_eq!(metadata(&read), expected);
    let read = nd.decode_instance("server1:22", include_bytes!("../../tests/fixtures/nd/plain.json")).unwrap();
    assert_eq!(metadata(&read), [("created", "2012-12-15 00:59:32"), ("pid", "18262")]);
    assert_eq!(nd.decode_instance("server1:22", b"").unwrap(), Instance::new("server1:22", read.endpoint));
}

#[test]
fn what_we_write_is_what_those_libraries_write_and_reads_back() {
    let properties = [
        ("weight".to_owned(), Property::Integer(20)),
        ("tags".to_owned(), Property::List(vec![Property::Text("canary".into())])),
    ];
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(1_355_519_870);
    let endpoint = name::endpoint("192.168.0.42:8080").unwrap();
    let origin = Origin::default();
    let registration = Registration {
        service: "shop/web",
        endpoint: &endpoint,
        is_drained: false,
        properties: &properties,
        instance_id: "00c0ffee",
        origin: &origin,
        pid: PID,
        created,
    };
    let zc = Config::default().encode(&registration).unwrap();
    assert_eq!(zc, br#"{"weight":20,"tags":["canary"],"instance_id":"00c0ffee","pid":4711}"#);
    let nd = config("", &nd::ROW).encode(&registration).unwrap();
    let expected =
        br#"{"weight":20,"tags":["canary"],"instance_id":"00c0ffee","pid":4711,"created":"2012-12-14 21:17:50"}"#;
    assert_eq!(nd, expected);
    for data in [zc, nd] {
        assert_eq!(author(&data), Some(("00c0ffee".into(), Origin::default())));
        let read = decode(&data).unwrap();
        assert_eq!((read.weight, read.tags.len(), read.remarks.len()), (Some(20), 1, 0));
    }
    let origin = Origin { boot_id: Some("b".into()), addresses: vec!["10.0.0.1".parse().unwrap()] };
    let data = Config::default().encode(&Registration { properties: &[], origin: &origin, ..registration }).unwrap();
    let expected = br#"{"instance_id":"00c0ffee","boot_id":"b","host_addresses":["10.0.0.1"],"pid":4711}"#;
    assert_eq!(data, expected);
    assert_eq!(author(&data), Some(("00c0ffee".into(), origin)));
    assert_eq!(author(b"00c0ffee"), None);
}

#[test]
fn known_properties_are_read_in_every_form_they_come_in() {
    let read = decode(
        br#"{"weight":"10","priority":0,"ttl":"1m","state":"DRAIN","protocol":"udp","tags":"canary",
            "ports":{"http":8081,"admin":"8082","db":"db1:5432","v6":"[::1]:1"},"n":null}"#,
    )
    .unwrap();
    assert_eq!((read.weight, read.priority, read.ttl), (Some(10), Some(0), Some(60)));
    assert_eq!((read.state, read.protocol), (State::Drain, Protocol::Udp));
    assert_eq!(read.tags, ["canary".into()]);
    let ports: Vec<_> = read.ports.iter().map(|(name, endpoint)| format!("{name}={endpoint}")).collect();
    assert_eq!(ports, ["admin=192.168.0.42:8082", "db=db1:5432", "http=192.168.0.42:8081", "v6=[::1]:1"]);
    assert_eq!(metadata(&read), [("n", "null")]);
    assert_eq!(read.remarks, [""; 0]);
    assert_eq!(decode(br#"{"ttl":"1500ms","weight":null}"#).unwrap().ttl, Some(2));
}

#[test]
fn a_property_out_of_range_costs_its_default_and_a_sentence() {
    let read = decode(
        br#"{"weight":70000,"priority":-1,"ttl":4294967295,"state":"maybe","protocol":6,"tags":[1,"ok",""],
            "ports":{"http":0,"x":[1]}}"#,
    )
    .unwrap();
    let expected = Instance {
        tags: vec!["ok".into()],
        remarks: read.remarks.clone(),
        ..Instance::new(&read.name, read.endpoint.clone())
    };
    assert_eq!(read, expected);
    assert_eq!(read.remarks[0], "`weight` is 70000, not a whole number from 0 to 65535; the default is used");
    assert_eq!(read.remarks.len(), 9, "{:#?}", read.remarks);
    assert_eq!(read.remarks[8], "and 1 more of this kind");
    let endless = decode(br#"{"ttl":"18446744073709551615s 999ms","ports":{"":1}}"#).unwrap();
    assert_eq!((endless.ttl, endless.remarks.len(), endless.ports.len()), (None, 2, 0));
    let long = format!(r#"{{"state":"{}"}}"#, "ü".repeat(5000));
    assert!(decode(long.as_bytes()).unwrap().remarks[0].len() < 200);
}

#[test]
fn a_service_says_defaults_and_a_broken_one_says_nothing() {
    let config = Config::default();
    let (defaults, remarks) =
        config.decode_service(br#"{"ttl":30,"weight":5,"state":"down","owner":"team-a","priority":"x"}"#);
    assert_eq!((defaults.ttl, defaults.weight, defaults.priority), (Some(30), Some(5), None));
    assert_eq!((defaults.state, defaults.metadata), (State::Down, vec![("owner".into(), "team-a".into())]));
    assert_eq!(remarks, ["`priority` is \"x\", not a whole number from 0 to 65535; the default is used"]);
    let (defaults, remarks) = config.decode_service(b"{broken");
    assert_eq!(defaults, Defaults::default());
    assert!(remarks[0].starts_with("its data begins like a JSON object and is none: "), "{remarks:?}");
}

#[test]
fn data_that_cannot_be_read_costs_no_instance_and_are_told() {
    let remark = |data: &[u8]| {
        let read = decode(data).unwrap();
        assert_eq!(Instance { remarks: Vec::new(), ..read.clone() }, Instance::new(&read.name, read.endpoint.clone()));
        read.remarks.join("; ")
    };
    assert!(remark(b"{\"weight\":").contains("begins like a JSON object"));
    assert!(remark(b"{hello").ends_with("it is served with defaults"));
    assert_eq!(remark(&[0xff, 0xfe, 0x00]), "its data is not UTF-8 text; it is served with defaults");
    assert!(remark(&vec![b'x'; 900_000]).starts_with("its data has 900000 bytes; more than 65536 are not read"));
    let deep = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).into_bytes();
    let started = Instant::now();
    assert!(remark(&deep(200_000)).contains("more than 65536"));
    assert!(remark(&deep(9_000)).contains("recursion limit exceeded"));
    assert!(started.elapsed() < Duration::from_secs(1));
    let unclosed = "{\"a\":[".repeat(10_000);
    assert!(remark(unclosed.as_bytes()).contains("recursion limit exceeded"));
}

#[test]
fn what_python_writes_costs_that_value_alone() {
    let read = decode(
        br#"{"weight":5,"load":NaN,"most":Infinity,"least":-Infinity,"big":1e999,"emoji":"\ud83d","state":"down"}"#,
    )
    .unwrap();
    assert_eq!((read.weight, read.state), (Some(5), State::Down));
    assert_eq!(metadata(&read).last(), Some(&("most", "null")));
    assert_eq!(read.remarks.len(), 1, "{:?}", read.remarks);
    assert!(read.remarks[0].starts_with("5 of its values"), "{:?}", read.remarks);
    assert_eq!(decode(br#"{"weight":NaN}"#).unwrap().weight, None);
}

#[test]
fn a_byte_order_mark_hides_nothing_and_five_point_nought_is_five() {
    let read = decode("\u{feff}{\"weight\":5.0,\"priority\":\"2.0\",\"ttl\":30.0,\"ports\":{\"http\":8080.0},\"state\":\"OUT_OF_SERVICE\"}".as_bytes()).unwrap();
    assert_eq!((read.weight, read.priority, read.ttl, read.state), (Some(5), Some(2), Some(30), State::Down));
    assert_eq!((read.ports[0].1.port, read.remarks.len()), (8080, 0), "{:?}", read.remarks);
    let read = decode(br#"{"weight":5.5,"priority":1e300,"ports":{"http":0.0}}"#).unwrap();
    assert_eq!((read.weight, read.priority, read.ports.len(), read.remarks.len()), (None, None, 0, 3));
}

#[test]
fn seeded_garbage_in_data_never_panics_and_never_costs_the_instance() {
    let good = br#"{"weight":5.0,"tags":["a",NaN],"ports":{"http":"[::ffff:1.2.3.4]:80"},"x":"\ud83d","ttl":"1s"}"#;
    let mut rng = fastrand::Rng::with_seed(9);
    for _ in 0..20_000 {
        let mut data = good.to_vec();
        for _ in 0..rng.usize(..6) {
            let at = rng.usize(..data.len());
            match rng.u8(..3) {
                0 => data[at] = rng.u8(..),
                1 => data.truncate(at + 1),
                _ => data.insert(at, rng.u8(..)),
            }
        }
        let read = decode(&data).unwrap();
        assert_eq!(read.endpoint.port, 8080);
        Config::default().decode_service(&data);
    }
}

mod settings {
    use super::*;
    use crate::diagnostic::{Problems, Span};
    use crate::settings::{Kind, Section, Table, Value};

    fn read(entries: &[(&str, Kind)]) -> (Config, Vec<String>) {
        let span = Span::default();
        let entries =
            entries.iter().map(|(key, kind)| ((*key).to_owned(), span, Value { span, kind: kind.clone() })).collect();
        let (table, problems) = (Table { span, entries }, Problems::default());
        let config = Config::read(&mut Section::new(&table, "registry.main", &problems), &Formats::default());
        (config, problems.into_vec().into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn absent_keys_are_the_defaults_and_present_ones_are_taken() {
        assert_eq!(read(&[]), (Config::default(), vec![]));
        let given = read(&[("providers", Kind::String(String::new())), ("format", Kind::String("nd".into()))]);
        assert_eq!(given, (config("", &nd::ROW), vec![]));
    }

    #[test]
    fn the_template_and_the_page_on_names_list_the_conventions_that_there_are() {
        let template = include_str!("../../deploy/zonekeeper.toml");
        let listed: Vec<&str> = template.lines().filter(|line| line.starts_with("#   \"")).collect();
        for row in CONVENTIONS {
            let word = format!("\"{}\"", row.name);
            let line = format!("#   {word} {}", row.doc);
            let is_it = |listed: &&str| listed.split_whitespace().eq(line.split_whitespace());
            assert!(listed.iter().any(is_it), "{line}");
            assert!(include_str!("../../deploy/docs/names.md").contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn a_path_and_an_unknown_format_are_problems() {
        let (config, problems) =
            read(&[("providers", Kind::String("a/b".into())), ("format", Kind::String("zk".into()))]);
        assert_eq!(config, Config::default());
        assert_eq!(problems, ["`providers` must be the name of one znode", "there is no znode format \"zk\""]);
    }
}
