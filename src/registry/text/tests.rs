//! The tree text as a whole: what it says, what is wrong with it, and back again.

use super::*;

fn data(text: &str) -> Vec<(String, String)> {
    let nodes = parse(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    nodes.iter().map(|node| (node.path.to_string(), String::from_utf8(node.data()).unwrap())).collect()
}

fn problems(text: &str) -> Vec<String> {
    parse(text).expect_err(text).iter().map(ToString::to_string).collect()
}

const REGISTRY: &str = "\u{feff}# the registry
/services
  /api_x : api
    owner = 'team'
    backup -> /services/api_y
    timeout => /defaults   http_timeout
    retries => ../api_y

    /providers
      /192.168.0.42:8080
        weight = 10
        tags = ['canary', u'v2'] # both
      /[2001:db8::1]:8080
      /host1:80:  spare one
        string_value = 'raw'
    # behind the children, still of api_x
    contact='a=b -> c'
  /api_y
    string_value = u'host:8080'
/defaults
\tx=1"; // replaced below: one kind of indentation

#[test]
fn a_text_says_znodes_properties_types_and_links() {
    let text = REGISTRY.replace('\t', "  ");
    let expected = [
        ("/services", "{}"),
        (
            "/services/api_x",
            r#"{"type":"api","owner":"team","backup ->":"/services/api_y","timeout =>":"/defaults http_timeout","retries =>":"../api_y","contact":"a=b -> c"}"#,
        ),
        ("/services/api_x/providers", "{}"),
        ("/services/api_x/providers/192.168.0.42:8080", r#"{"weight":10,"tags":["canary","v2"]}"#),
        ("/services/api_x/providers/[2001:db8::1]:8080", "{}"),
        ("/services/api_x/providers/host1:80", r#"{"type":"spare one","string_value":"raw"}"#),
        ("/services/api_y", "host:8080"),
        ("/defaults", r#"{"x":1}"#),
    ];
    assert_eq!(data(&text), expected.map(|(path, data)| (path.to_owned(), data.to_owned())));
}

#[test]
fn tabs_indent_as_well_as_spaces_but_not_beside_them() {
    assert_eq!(data("/a\n\tx = 1\n\t/b\r\n\t\ty = 2\n").len(), 2);
    assert_eq!(problems(REGISTRY).len(), 1);
    assert_eq!(problems("/a\n  x = 1\n \ty = 2\n\u{a0}\u{a0}z = 3").len(), 2);
}

#[test]
fn all_problems_are_told_with_line_and_column() {
    let text = "x = 1
/a
  y = foo
  y = 2
  y = 3
    z = 4
  /b c
  /b/c
  /.
  /b
 /c
/a
  l ->
  l -> a b
  p => a b c
  what is this
  = 5
/ü
  ö = [1, 2
  /
  /x :";
    let expected = [
        "1:1: `x` belongs to no znode",
        "3:7: `foo` is not known",
        "5:3: /a has a property `y` already",
        "6:5: nothing can be indented below a property",
        "7:3: a znode's name has no spaces",
        "8:3: `b/c` is more than one name",
        "9:3: `/.` is not a znode path",
        "11:2: the indentation is not that of any line above",
        "12:1: /a is there already",
        "13:5: a path is missing",
        "14:5: a link has one path",
        "15:5: a property link has a path",
        "16:3: neither `/znode`",
        "17:3: a name is missing",
        "19:12: `,` or `]` is missing",
        "20:3: the znode's name is missing",
        "21:3: the type is missing",
    ];
    let found = problems(text);
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} instead of {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn depth_has_a_limit_and_no_text_panics() {
    let nested = |depth: usize| (0..depth).map(|level| " ".repeat(level) + "/n\n").collect::<String>();
    assert_eq!(data(&nested(DEPTH)).len(), DEPTH);
    assert_eq!(problems(&nested(DEPTH + 1)).len(), 1);
    let pieces =
        ["/", "a", " ", "\t", "\n", "=", "->", "=>", ":", "'", "\\", "u", "[", "{", "}", "1", ".", "ü", "#", "e"];
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let length = random.usize(..24);
        let text: String = (0..length).map(|_| pieces[random.usize(..pieces.len())]).collect();
        let _ = parse(&text);
    }
}

#[test]
fn what_is_exported_is_read_back() {
    let text = REGISTRY.replace('\t', "  ");
    let znodes: Vec<(Path, Vec<u8>)> =
        parse(&text).unwrap().into_iter().map(|node| (node.path.clone(), node.data())).collect();
    let exported = export(znodes.iter().map(|(path, data)| (path, data.as_slice())));
    assert_eq!(exported.left_out, []);
    let mut again: Vec<_> =
        parse(&exported.text).unwrap().iter().map(|node| (node.path.clone(), node.data())).collect();
    let mut before = znodes;
    before.sort();
    again.sort();
    assert_eq!(again, before, "{}", exported.text);
    assert!(
        exported.text.contains("/api_x : api\n    owner = 'team'\n    backup -> /services/api_y\n"),
        "{}",
        exported.text
    );
}

#[test]
fn an_export_tells_what_it_leaves_out() {
    let znodes: [(&str, &[u8]); 9] = [
        ("/", b"root"),
        ("/a-b", b""),
        ("/a/b", b"{ \"x\": 1 }"),
        ("/a/bad name", b""),
        ("/a/bad name/below", b""),
        ("/a/binary", b"\xff"),
        ("/a/key", br#"{"a key":1}"#),
        ("/a/link", br#"{"l ->":"a b"}"#),
        ("/a/text", b"{not json}"),
    ];
    let znodes = znodes.map(|(path, data)| (Path::new(path).unwrap(), data));
    let exported = export(znodes.iter().map(|(path, data)| (path, *data)));
    assert_eq!(exported.text, "/a\n  /b\n    x = 1\n  /text\n    string_value = '{not json}'\n/a-b\n");
    let left_out: Vec<_> = exported.left_out.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(left_out, ["/a/bad name", "/a/binary", "/a/key", "/a/link"]);
}
