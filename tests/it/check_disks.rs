//! Checks that need files of a disk that does not answer, or is away: they have no result, and delay no other.

#![allow(clippy::disallowed_methods)] // these run on threads that may block

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::thread::sleep;
use std::time::Duration;

use crate::agent::until;
use crate::harness::app::{free_port, scratch};
use crate::harness::authority::Authority;
use crate::harness::house::House;
use crate::shortage::{base, counted, registered, service, status, withdrawn};

#[test]
fn a_check_whose_program_certificate_or_heartbeat_is_on_a_silent_disk_has_no_result_and_delays_no_other() {
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let authority = Authority::new();
    authority.issue("server");
    let (mut web, port) = authority.web_server("server");
    let far = scratch("far");
    std::fs::create_dir_all(&far).expect("a directory");
    let (script, ca, beat, flag) = (far.join("check"), far.join("ca.pem"), far.join("beat"), scratch("flag"));
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").expect("a script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    std::fs::copy(authority.file("ca.pem"), &ca).expect("a certificate");
    for file in [&beat, &flag] {
        std::fs::write(file, "").expect("a file");
    }
    let every = "interval = \"200ms\", timeout = \"500ms\", rise = 1, fall = 2";
    let text = base(admin.port())
        + &service("program", &format!("{{ exec = {{ command = [\"{}\"], {every} }} }}", script.display()))
        + &service(
            "tls",
            &format!("{{ http = {{ url = \"https://127.0.0.1:{port}/\", ca = \"{}\", {every} }} }}", ca.display()),
        )
        + &service(
            "beat",
            &format!("{{ ttl = {{ file = \"{}\", ttl = \"4s\", interval = \"200ms\" }} }}", beat.display()),
        )
        + &service("job", &format!("{{ exec = {{ command = [\"test\", \"-e\", \"{}\"], {every} }} }}", flag.display()));
    let path = scratch("zonekeeper.toml");
    std::fs::write(&path, text).expect("a configuration");
    let house = House::with_disk(64);
    let mut ours = house.run(&[], &["serve", "--config", &path.to_string_lossy()]);
    for name in ["program", "tls", "beat", "job"] {
        registered(admin, name);
    }
    let silence = house.silence(&far);
    until("no result of the program", || {
        (counted(admin, "check_no_results_total", &["service=\"program\"", "disk"]) >= 3.0).then_some(())
    });
    std::fs::remove_file(&flag).expect("a file");
    let took = withdrawn(admin, "job");
    assert!(took < Duration::from_secs(2), "{took:?}: {}", ours.log());
    std::fs::write(&flag, "").expect("a file");
    registered(admin, "job");
    // Longer than heartbeats last: nobody can touch the file meanwhile.
    sleep(Duration::from_secs(5));
    drop(silence);
    sleep(Duration::from_secs(1));
    for name in ["program", "tls", "beat", "job"] {
        registered(admin, name);
    }
    let log = ours.log();
    assert_eq!(log.matches("unhealthy").count(), 1, "that of the job: {log}");
    let threads = std::fs::read_dir(format!("/proc/{}/task", ours.id())).expect("threads").count();
    assert!(threads < 40, "{threads} threads");
    // Nobody touches it any more.
    withdrawn(admin, "beat");
    // What was trusted before the disk was away is what is trusted now.
    web.kill().expect("the end of openssl");
    web.wait().expect("the end of openssl");
    withdrawn(admin, "tls");
    std::fs::remove_file(&script).expect("a file");
    withdrawn(admin, "program");
    assert!(status(admin).contains("No such file"), "{}", status(admin));
    let (ended, took) = ours.stop();
    assert!(ended.success() && took < Duration::from_secs(10), "{ended} after {took:?}");
    let silence = house.silence(&far);
    // A start does not wait for them either. (It is assigned, to be dropped after the silence: it cannot end before
    // that.)
    ours = house.run(&[], &["serve", "--config", &path.to_string_lossy()]);
    registered(admin, "job");
    let log = ours.log();
    assert!(log.contains("certificates are left out until their disk answers"), "{log}");
    until("no result", || {
        (counted(admin, "check_no_results_total", &["service=\"program\"", "disk"]) >= 1.0).then_some(())
    });
    drop(silence);
    withdrawn(admin, "program");
}
