//! Tests of whole master files: entries, directives, includes, rules, and no panic whatever the bytes.

use std::fmt::Write as _;

use super::*;

const HEAD: &str = "$TTL 5m\n@ SOA ns hostmaster 1 1h 15m 1w 5s\n  NS ns\nns A 127.0.0.1\n";

fn service() -> Name {
    Name::parse("service.").unwrap()
}

fn parse_alone(text: &str) -> Result<Parsed, Vec<Problem>> {
    parse(text, &service(), &mut |name| Err(format!("no {name} here")))
}

/// The records as `owner ttl type`.
fn records(parsed: &Parsed) -> Vec<String> {
    parsed.records.iter().map(|record| format!("{} {} {}", record.owner, record.ttl, record.rtype)).collect()
}

fn assert_records(text: &str, expected: &[&str]) {
    match parse_alone(text) {
        Ok(parsed) => assert_eq!(records(&parsed), expected, "{text}"),
        Err(problems) => panic!("{text}: {}", lines(&problems)),
    }
}

/// The problems as `line:column:width message`, a line each.
fn lines(problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        let (Location { path, line, column, width }, message) = (&problem.at, &problem.message);
        writeln!(out, "{}{line}:{column}:{width} {message}", path.display()).unwrap();
    }
    out
}

fn assert_problems(text: &str, expected: &[&str]) {
    let problems = parse_alone(text).map(|parsed| records(&parsed)).expect_err(text);
    assert_eq!(lines(&problems).lines().collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn a_small_zone_is_read_whole() {
    let parsed = parse_alone(HEAD).unwrap();
    assert_eq!(records(&parsed), ["service. 300 6", "service. 300 2", "ns.service. 300 1"]);
    assert_eq!(parsed.remarks, []);
    assert_eq!(*parsed.records[1].rdata, *b"\x02ns\x07service\0");
}

#[test]
fn ttl_and_class_come_in_either_order_or_not_at_all() {
    for front in ["1h IN", "in 1h", "3600 CLASS1", "60m", "0h59m60s IN"] {
        assert_records(&format!("a {front} A 10.0.0.1"), &["a.service. 3600 1"]);
    }
    assert_records("$TTL 7\na IN A 10.0.0.1\nb A 10.0.0.1", &["a.service. 7 1", "b.service. 7 1"]);
}

#[test]
fn a_record_without_a_ttl_takes_the_directive_else_the_last_one() {
    let text = "a 1 A 10.0.0.1\nb A 10.0.0.1\n$TTL 9\nc A 10.0.0.1\nd 3 A 10.0.0.1\ne A 10.0.0.1";
    assert_records(text, &["a.service. 1 1", "b.service. 1 1", "c.service. 9 1", "d.service. 3 1", "e.service. 9 1"]);
    let parsed = parse_alone("@ SOA ns. a. 1 2 3 4 77\na A 10.0.0.1").unwrap();
    assert_eq!(records(&parsed), ["service. 77 6", "a.service. 77 1"]);
    assert_eq!(lines(&parsed.remarks), "1:1:5 there is no TTL, so the SOA's negative TTL is taken: 77 seconds\n");
    assert_problems(
        "a A 10.0.0.1\nb A 10.0.0.1",
        &["1:1:3 there is no TTL: give the record one, or put `$TTL 1h` at the top"],
    );
}

#[test]
fn names_are_relative_to_the_origin_and_any_bytes_go() {
    let text = r"$TTL 1
@ A 10.0.0.1
api_x A 10.0.0.1
API_Y.Service. A 10.0.0.1
$ORIGIN sub
a A 10.0.0.1
  AAAA ::1
$ORIGIN deep.@ident.service.
@ A 10.0.0.1
a\.b\032\255\\ A 10.0.0.1
* A 10.0.0.1
dot\. A 10.0.0.1
";
    let expected = [
        "service. 1 1",
        "api_x.service. 1 1",
        "api_y.service. 1 1",
        "a.sub.service. 1 1",
        "a.sub.service. 1 28",
        "deep.\\@ident.service. 1 1",
        "a\\.b\\032\\255\\\\.deep.\\@ident.service. 1 1",
        "*.deep.\\@ident.service. 1 1",
        "dot\\..deep.\\@ident.service. 1 1",
    ];
    assert_records(text, &expected);
}

#[test]
fn every_problem_is_reported_where_it_stands() {
    let text = "$TTL x\n$GENERATE 1-2 a A 10.0.0.$\n$FOO\n$ORIGIN\n$TTL 1 2\n\
        a 1 CH A 10.0.0.1\n\tq 1 A\nb 1 2 A 10.0.0.1\nc IN IN A 10.0.0.1\nd 1\ne 1 \"A\" 10.0.0.1\n\
        host.example. 1 A 10.0.0.300\nf 1 RRSIG x\ng 1 ANY x\nh 3000000000 A 10.0.0.1\nA 10.0.0.1\n\"i\" 1 A 10.0.0.1\né 1 A é";
    assert_problems(
        text,
        &[
            "1:6:1 a TTL must be 0 to 2147483647 seconds or a time such as `1h30m`, not `x`",
            "2:1:9 `$GENERATE` is not understood: write the records out",
            "3:1:4 `$FOO` is no directive",
            "4:1:7 `$ORIGIN` must be followed by a value",
            "5:8:1 `2` is too much: `$TTL` ends before it",
            "6:5:2 `CH` is a class that is not served: only IN is",
            "7:2:1 `q` is no TTL, no class and no record type",
            "8:5:1 `2` is a second TTL",
            "9:6:2 `IN` is a second class",
            "10:3:1 the record's type is missing after this",
            "11:5:3 `A` stands where the record's type should",
            "12:1:13 host.example. is not in the zone service.",
            "12:19:10 `10.0.0.300` is no IPv4 address",
            "13:5:5 `RRSIG` belongs to a signed zone, and signed zones are not served",
            "14:5:3 `ANY` is a type of questions and messages, not of data",
            "15:3:10 a TTL must be 0 to 2147483647 seconds or a time such as `1h30m`, not `3000000000`",
            "16:3:8 `10.0.0.1` is no TTL, no class and no record type",
            "17:1:3 a name is written without quotes",
            "18:7:1 `é` is no IPv4 address",
        ],
    );
    assert_problems("  1 A 10.0.0.1", &["1:3:3 there is no owner before this record: begin its line with one"]);
    assert_problems("a 1 A (\n 10.0.0.1\n b", &["1:7:1 `(` is never closed"]);
}

#[test]
fn a_lost_owner_is_reported_once() {
    assert_problems(
        "a 1 CNAME b\nb..c 1 A 10.0.0.1\n  1 A 10.0.0.2\n  1 A x",
        &["2:1:4 `b..c` is no name: a label is empty", "4:7:1 `x` is no IPv4 address"],
    );
}

#[test]
fn a_zone_has_one_soa_and_it_is_at_the_apex() {
    assert_records("a 1 A 10.0.0.1", &["a.service. 1 1"]);
    let soa = "SOA ns. a. 1 2 3 4 5";
    assert_problems(
        &format!("@ 1 {soa}\n@ 1 {soa}\na 1 {soa}\n"),
        &[
            "3:1:7 the SOA belongs at service., not at a.service.",
            "2:1:7 service. has another SOA at line 1: there can be one only",
        ],
    );
}

#[test]
fn a_cname_stands_alone() {
    assert_problems(
        "$TTL 1\na CNAME b\na CNAME c\nd CNAME e\nD A 10.0.0.1\n  TXT x\nf CNAME g\nf CNAME g",
        &[
            "3:1:7 a.service. has another CNAME at line 2: there can be one only",
            "4:1:7 d.service. has a CNAME and so can have no other data (RFC 1034 §3.6.2), but line 5 gives it a record of type A",
        ],
    );
}

#[test]
fn nothing_lies_below_a_dname() {
    assert_problems(
        "$TTL 1\na DNAME b.\na DNAME c.\nx.y.a A 10.0.0.1\na TXT fine\nxa TXT fine",
        &[
            "3:1:7 a.service. has another DNAME at line 2: there can be one only",
            "4:1:7 x.y.a.service. lies below the DNAME of a.service. (RFC 6672 §2.4)",
        ],
    );
}

#[test]
fn a_dname_beside_a_delegation_is_remarked() {
    let parsed = parse_alone("$TTL 1\nsub NS ns.example.\nsub DNAME b.\n@ NS ns.example.\n@ TXT x\n").unwrap();
    assert_eq!(
        lines(&parsed.remarks),
        "3:1:9 sub.service. is delegated at line 2, so its DNAME is not used (RFC 6672 §2.3): remove one of them\n"
    );
    let apex = parse_alone("$TTL 1\n@ NS ns.example.\n@ DNAME b.\n").unwrap();
    assert_eq!(apex.remarks, [], "both may be at the apex");
}

#[test]
fn a_name_server_in_the_zone_without_an_address_is_remarked() {
    let remarks = |text: &str| lines(&parse_alone(&format!("$TTL 1\n{text}\n")).unwrap().remarks);
    let needs = "which has no address in this file: add an A or AAAA record for it (RFC 1034 §4.2.1)";
    assert_eq!(remarks("sub NS ns.sub"), format!("2:1:6 sub.service. is delegated to ns.sub.service., {needs}\n"));
    assert_eq!(remarks("sub NS ns.other"), format!("2:1:6 sub.service. is delegated to ns.other.service., {needs}\n"));
    assert_eq!(remarks("@ NS dns1"), format!("2:1:4 service. has the name server dns1.service., {needs}\n"));
    for fine in [
        "sub NS NS.sub\nns.sub AAAA ::1",
        "sub NS ns.hosts\n*.hosts A 192.0.2.1",
        "sub NS ns.example.",
        "@ NS ns", // its address is made up
        "@ NS dns1\ndns1 A 192.0.2.1",
    ] {
        assert_eq!(remarks(fine), "", "{fine}");
    }
}

#[test]
fn differing_ttls_and_repeated_records_are_settled_and_remarked() {
    let parsed = parse_alone("a 5 A 10.0.0.1\nb 1 A 10.0.0.1\nA 7 A 10.0.0.2\na 5 A 10.0.0.1\na 6 TXT x").unwrap();
    assert_eq!(records(&parsed), ["a.service. 5 1", "b.service. 1 1", "a.service. 5 1", "a.service. 6 16"]);
    assert_eq!(
        lines(&parsed.remarks).lines().collect::<Vec<_>>(),
        [
            "4:1:5 this record is there already and counts once",
            "3:1:5 its TTL 7 is taken as 5, that of the first A record of a.service. at line 1 (RFC 2181 §5.2)",
        ]
    );
}

#[test]
fn an_include_has_its_origin_and_gives_back_the_old_one() {
    let text = "$TTL 1\na A 10.0.0.1\n$INCLUDE ./x/sub.zone sub ; comment\n  TXT back\nb A 10.0.0.2";
    let mut asked = Vec::new();
    let parsed = parse(text, &service(), &mut |name| {
        asked.push(name.to_owned());
        Ok("  AAAA ::1\nc A 10.0.0.3\n$ORIGIN deep\nd A 10.0.0.4\n".into())
    })
    .unwrap();
    assert_eq!(
        records(&parsed),
        [
            "a.service. 1 1",
            "a.service. 1 28",
            "c.sub.service. 1 1",
            "d.deep.sub.service. 1 1",
            "a.service. 1 16",
            "b.service. 1 1"
        ]
    );
    assert_eq!(asked, ["x/sub.zone"]);
    assert_eq!(parsed.includes, [PathBuf::from("x/sub.zone")]);
}

#[test]
fn problems_of_an_include_carry_its_name() {
    let problems = parse("$INCLUDE a.zone\nb 1 A x", &service(), &mut |_| Ok("\na 1 A y".into())).unwrap_err();
    assert_eq!(lines(&problems), "a.zone2:7:1 `y` is no IPv4 address\n2:7:1 `x` is no IPv4 address\n");
    assert_eq!(problems[0].to_string(), "a.zone:2:7: `y` is no IPv4 address");
    assert_problems(
        "$INCLUDE gone\n$INCLUDE ../up\n$INCLUDE /etc/passwd\n$INCLUDE \"\"\n$INCLUDE a b c",
        &[
            "1:10:4 `gone` cannot be included: no gone here",
            "2:10:5 an included file must lie in the zone file's directory",
            "3:10:11 an included file must lie in the zone file's directory",
            "4:10:2 an included file must lie in the zone file's directory",
            "5:14:1 `c` is too much: `$INCLUDE` ends before it",
        ],
    );
}

#[test]
fn includes_are_bounded() {
    let cycle =
        parse("$INCLUDE a", &service(), &mut |name| Ok(format!("$INCLUDE {}", if name == "a" { "./b" } else { "a" })));
    assert_eq!(lines(&cycle.unwrap_err()), "b1:10:1 `a` includes itself\n");
    let deeper = parse("$INCLUDE x", &service(), &mut |name| Ok(format!("$INCLUDE x{name}")));
    assert_eq!(lines(&deeper.unwrap_err()), "xxxxxxxx1:10:9 `$INCLUDE` is nested deeper than 8 files\n");
    let many = parse("$INCLUDE x", &service(), &mut |name| {
        Ok(if name.len() < 4 { format!("$INCLUDE {name}0\n").repeat(20) } else { String::new() })
    });
    let problems = many.unwrap_err();
    assert!(
        problems.iter().any(|problem| problem.message == "more than 1000 files are included"),
        "{}",
        lines(&problems)
    );
    let mut large = 0;
    let large = parse(&"$INCLUDE x\n".repeat(40), &service(), &mut |_| {
        large += 1;
        Ok(if large < 40 { " ".repeat(8 << 20) } else { String::new() })
    });
    assert!(large.unwrap_err()[0].message.contains("larger than 256 MiB"));
}

#[test]
fn problems_without_end_are_cut() {
    let problems = parse_alone(&"a 1 A x\n".repeat(5000)).unwrap_err();
    assert_eq!(problems.len(), 1001);
    assert_eq!(problems[1000].message, "there are 1000 messages or more: the rest is left out");
}

#[test]
fn files_are_read_from_their_directory_and_nowhere_else() {
    let directory = std::env::temp_dir().join(format!("zonekeeper-zone-file-{}", std::process::id()));
    let zones = directory.join("zones");
    std::fs::create_dir_all(zones.join("part")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(zones.join(name), bytes).unwrap();
    write("a.zone", b"$TTL 1\n$INCLUDE part/b.zone\n");
    write("part/b.zone", b"b A 10.0.0.1\n$INCLUDE part/c.zone\n");
    write("part/c.zone", b"c A 10.0.0.1\n");
    let parsed = read(&zones.join("a.zone"), &service()).unwrap();
    assert_eq!(records(&parsed), ["b.service. 1 1", "c.service. 1 1"]);
    assert_eq!(parsed.includes, [zones.join("part/b.zone"), zones.join("part/c.zone")]);

    std::fs::write(directory.join("secret"), "d A 10.0.0.1\n").unwrap();
    std::os::unix::fs::symlink("../secret", zones.join("link")).unwrap();
    write("bad.zone", b"$INCLUDE link\n$INCLUDE part\n$INCLUDE gone\n$INCLUDE raw\n");
    write("raw", b"; fine\n; \xe9 caf\xe9\n");
    let problems = read(&zones.join("bad.zone"), &service()).unwrap_err();
    let text = lines(&problems);
    assert_eq!(problems.len(), 4, "{text}");
    assert!(problems.iter().all(|problem| problem.at.path == zones.join("bad.zone")), "{text}");
    for (problem, part) in
        problems.iter().zip(["lies outside", "is not a regular file", "No such file", "raw:2:3: the byte 0xe9"])
    {
        assert!(problem.message.contains(part), "{part}: {text}");
    }

    let problems = read(&zones.join("raw"), &service()).unwrap_err();
    assert_eq!((problems[0].at.line, problems[0].at.column, problems[0].at.width), (2, 3, 1));
    assert_eq!(problems[0].message, "the byte 0xe9 is no UTF-8: write it as `\\233`");
    let problems = read(&zones.join("none"), &service()).unwrap_err();
    assert_eq!((problems.len(), problems[0].at.line), (1, 0));
    assert!(problems[0].to_string().ends_with("none: No such file or directory (os error 2)"), "{}", problems[0]);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_sample_zone_is_sound() {
    let text = include_str!("../../../zones/service.zone");
    let parsed = parse_alone(text).unwrap_or_else(|problems| panic!("{}", lines(&problems)));
    assert_eq!(parsed.remarks, []);
    assert_eq!(parsed.records.iter().filter(|record| record.rtype == crate::zone::record::rtype::SOA).count(), 1);
}

/// Pieces that are likely to meet trouble with each other.
const PIECES: &[&str] = &[
    "$ORIGIN ",
    "$TTL ",
    "$INCLUDE ",
    "@",
    " ",
    "\n",
    "\t",
    "(",
    ")",
    "\"",
    "\\",
    ";",
    ".",
    "a",
    "é",
    "\u{feff}",
    "\0",
    "\r",
    "255",
    "256",
    "4294967296",
    "1h",
    "IN ",
    "A ",
    "TXT ",
    "SVCB 1 . ",
    "alpn=",
    "mandatory=",
    "\\# ",
    "TYPE64 ",
    "00",
    "CSYNC ",
    "CAA 0 ",
    "\\999",
    "\\032",
    "x.y.",
    "CNAME ",
    "SOA ",
    "DNSKEY 1 1 1 ",
    "AA==",
    "=",
    ",",
    "::1",
    "10.0.0.1",
];

#[test]
fn no_text_makes_it_panic() {
    let seed = 20_240_601;
    let mut random = fastrand::Rng::with_seed(seed);
    let base = format!(
        "{HEAD}a CAA 0 issue \"x\"\n  SVCB 1 . alpn=\"h2,h3\" port=1\n  TYPE64 \\# 3 000100\n$INCLUDE x sub\nb NAPTR 1 1 s \"\" \"\" .\n"
    );
    let mut sound: u32 = 0;
    for _ in 0..100_000 {
        // Some of its lines, so that there is less to read and more to miss.
        let mut text: String = base.split_inclusive('\n').filter(|_| random.u8(..3) == 0).collect();
        for _ in 0..random.usize(1..6) {
            let mut at = random.usize(..=text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            match random.u8(..3) {
                0 if at > text.len() / 2 => text.truncate(at),
                1 if at < text.len() => drop(text.remove(at)),
                _ => text.insert_str(at, PIECES[random.usize(..PIECES.len())]),
            }
        }
        let result = parse(&text, &service(), &mut |name| {
            if name == "x" { Ok("c 1 A 10.0.0.1\n$INCLUDE y".into()) } else { Ok(name.to_owned()) }
        });
        match result {
            Ok(_) => sound += 1,
            Err(problems) => {
                assert!(!problems.is_empty());
                for problem in problems.iter().filter(|problem| problem.at.path == Path::new("")) {
                    let whole = text.strip_prefix('\u{feff}').unwrap_or(&text);
                    let line = whole.split('\n').nth(problem.at.line - 1).expect("the line is there");
                    let end = problem.at.column + problem.at.width - 1;
                    assert!(end <= line.chars().count().max(1), "{problem:?} in {text:?} (seed {seed})");
                }
            }
        }
    }
    assert!(
        (1000..99_000).contains(&sound),
        "{sound} of the mutated files were sound: too few or too many to prove a thing"
    );
}
