//! Files that DNS can do without, in every state that disks and deployments leave them in.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::agent::until;
use crate::harness::app::{Binary, free_port, scratch};
use crate::harness::dig::dig;

const ZONE: &str = "$TTL 1h\n@ SOA ns host 1 1h 15m 1w 5s\n@ NS ns\nns A 127.0.0.1\nwww A 192.0.2.1\n";

fn serve(path: &Path) -> Binary {
    Binary::run(&["serve", "--config", &path.to_string_lossy()])
}

fn answers(server: SocketAddr, query: &str) -> Vec<String> {
    if TcpStream::connect(server).is_err() {
        return vec!["not listening".into()];
    }
    let response = dig(server, query);
    if response.status == "NOERROR" { response.data() } else { vec![response.status] }
}

/// A configuration whose state files, zone files and snippets are in this directory.
fn write(directory: &Path, dns: SocketAddr) {
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("a file");
    std::fs::create_dir_all(directory.join("conf.d")).expect("a directory");
    write("seed.tree", "/services\n  /api\n    /providers\n      /10.0.0.1:80\n");
    write(
        "zonekeeper.toml",
        &format!(
            "include = [\"conf.d/*.toml\"]\n[registry.main]\nmemory = \"seed.tree\"\n\
             [[zone]]\norigin = \"service.\"\nfile = \"service.zone\"\n[[zone]]\norigin = \"example.\"\nregistry = \"\"\nfile = \"example.zone\"\n\
             [dns]\nlisten = [\"{dns}\"]\nserial_file = \"serials\"\n[announce]\nstate = \"identity\"\n"
        ),
    );
}

fn directory() -> std::path::PathBuf {
    scratch("any").parent().expect("a directory").to_owned()
}

#[test]
fn dns_comes_up_beside_empty_cut_and_garbled_files_and_takes_them_once_they_are_mended() {
    let (directory, dns) = (directory(), SocketAddr::from(([127, 0, 0, 1], free_port())));
    write(&directory, dns);
    let put = |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("a file");
    let snippet = "[[zone]]\norigin = \"more.\"\nregistry = \"main\"\n";
    for (state, broken) in [("empty", ""), ("cut", "$TTL 1h\n@ SOA ns ho"), ("garbage", "\u{1}\u{2} = ((\n")] {
        for file in ["identity", "serials", "service.zone", "example.zone", "conf.d/more.toml"] {
            put(file, broken);
        }
        let mut server = serve(&directory.join("zonekeeper.toml"));
        until(state, || (answers(dns, "A api.service") == ["10.0.0.1"]).then_some(()));
        assert_eq!(answers(dns, "A www.service"), ["SERVFAIL"], "{}", server.log());
        assert_eq!(answers(dns, "A www.example"), ["SERVFAIL"], "what is not known is not said: {}", server.log());
        let told = server.log();
        assert!(told.contains("example.zone"), "{state}: {told}");
        put("service.zone", ZONE);
        put("example.zone", ZONE);
        until("the mended zone files", || {
            let names = ["A www.service", "A www.example"];
            names.iter().all(|name| answers(dns, name) == ["192.0.2.1"]).then_some(())
        });
        put("conf.d/more.toml", snippet);
        until("the mended snippet", || server.log().contains("[[zone]] more. is not what it was").then_some(()));
        server.signal("TERM");
        assert!(server.wait().success());
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
}

#[test]
fn dns_comes_up_where_nothing_can_be_written_and_where_files_are_fifos() {
    let (directory, dns) = (directory(), SocketAddr::from(([127, 0, 0, 1], free_port())));
    write(&directory, dns);
    for name in ["service.zone", "example.zone"] {
        std::fs::write(directory.join(name), ZONE).expect("a file");
    }
    for name in ["identity", "serials", "conf.d/fifo.toml"] {
        assert!(Command::new("mkfifo").arg(directory.join(name)).status().expect("`mkfifo`").success());
    }
    let config = std::fs::read_to_string(directory.join("zonekeeper.toml")).expect("a file");
    // The second time neither file can be written: its directory is a file.
    for config in
        [config.clone(), config.replace("\"identity\"", "\"seed.tree/i\"").replace("\"serials\"", "\"seed.tree/s\"")]
    {
        std::fs::write(directory.join("zonekeeper.toml"), config).expect("a file");
        let mut server = serve(&directory.join("zonekeeper.toml"));
        until("an answer", || (answers(dns, "A api.service") == ["10.0.0.1"]).then_some(()));
        assert!(server.log().contains("the identity file is left out"), "{}", server.log());
        server.signal("TERM");
        assert!(server.wait().success());
    }
}

#[test]
fn a_start_that_fails_does_not_panic() {
    let (directory, taken) = (directory(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    write(&directory, SocketAddr::from(([127, 0, 0, 1], free_port())));
    let path = directory.join("zonekeeper.toml");
    let config = std::fs::read_to_string(&path).expect("a file")
        + "forward = [\"127.0.0.1:1\"]\ncookie_secret_file = \"absent\"\n";
    let config = config.replace("[announce]\nstate = \"identity\"\n", "");
    std::fs::write(&path, config).expect("a file");
    for _ in 0..5 {
        let mut server = serve(&path);
        assert!(!server.wait().success());
        assert!(!server.log().contains("panicked") && !server.log().contains("being shutdown"), "{}", server.log());
    }
    drop(taken);
}

#[test]
fn an_edit_that_keeps_size_and_time_is_noticed() {
    let (directory, dns) = (directory(), SocketAddr::from(([127, 0, 0, 1], free_port())));
    write(&directory, dns);
    for name in ["service.zone", "example.zone"] {
        std::fs::write(directory.join(name), ZONE).expect("a file");
    }
    let server = serve(&directory.join("zonekeeper.toml"));
    let file = directory.join("example.zone");
    until("an answer", || (answers(dns, "A www.example") == ["192.0.2.1"]).then_some(()));
    for last in [2, 3, 4] {
        let before = std::fs::metadata(&file).expect("a file").modified().expect("a time");
        std::fs::write(&file, ZONE.replace("192.0.2.1", &format!("192.0.2.{last}"))).expect("a file");
        std::fs::File::options().append(true).open(&file).expect("a file").set_modified(before).expect("a time");
        until("the edit", || (answers(dns, "A www.example") == [format!("192.0.2.{last}")]).then_some(()));
    }
    drop(server);
}

#[test]
fn an_edit_during_a_load_is_noticed() {
    let (directory, dns) = (directory(), SocketAddr::from(([127, 0, 0, 1], free_port())));
    write(&directory, dns);
    for name in ["service.zone", "example.zone"] {
        std::fs::write(directory.join(name), ZONE).expect("a file");
    }
    // It takes a while to read.
    let records = "h# A 192.0.2.9\n";
    let records = (0..30_000).map(|number| records.replace('#', &number.to_string())).collect::<String>();
    std::fs::write(directory.join("big.zone"), ZONE.to_owned() + &records).expect("a file");
    let (path, snippet) = (directory.join("zonekeeper.toml"), directory.join("conf.d/web.toml"));
    let text = std::fs::read_to_string(&path).expect("a file")
        + "[[zone]]\norigin = \"big.\"\nregistry = \"\"\nfile = \"big.zone\"\n";
    std::fs::write(&path, text).expect("a file");
    let with = |port: u16| {
        let service = format!("[[service]]\nname = \"web\"\naddress = \"192.0.2.10\"\nport = {port}\n");
        std::fs::write(&snippet, service).expect("a snippet");
    };
    let is_there = |port: u16| {
        let expected = format!("0 10 {port} ");
        until(&format!("port {port}"), || {
            answers(dns, "SRV web.service").iter().any(|data| data.contains(&expected)).then_some(())
        });
    };
    for (round, millis) in [20, 60, 120, 250, 500, 900].into_iter().enumerate() {
        let first = 1000 + 10 * u16::try_from(round).expect("few");
        with(first);
        let mut server = serve(&path);
        std::thread::sleep(Duration::from_millis(millis));
        with(first + 1);
        is_there(first + 1);
        // And as long after a signal to read it again.
        with(first + 2);
        server.signal("HUP");
        std::thread::sleep(Duration::from_millis(millis));
        with(first + 3);
        is_there(first + 3);
        server.signal("TERM");
        assert!(server.wait().success());
    }
}
