use super::*;
use serde_json::json;

fn value(kind: DataKind, data: &[u8]) -> Result<Json, String> {
    match kind.read(data) {
        Ok(ReadData::Value(value)) => Ok(value),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn json_is_read_as_writers_write_it() {
    let read = |data: &[u8]| value(DataKind::Json, data);
    assert_eq!(
        read(br#"{"type":"a","type":"b","n":null}"#),
        Ok(json!({"type": "b", "n": null})),
        "the last one counts"
    );
    assert_eq!(read(b"\xef\xbb\xbf [1] \n"), Ok(json!([1])));
    assert_eq!(read(b""), Ok(Json::Null));
    assert_eq!(read(br#"{"load": NaN, "port": 1}"#), Ok(json!({"load": null, "port": 1})));
    let expected = "its data are not JSON: expected value at line 1 column 1";
    assert_eq!(
        read(b"10.0.0.1:80x y"),
        Err("its data are not JSON: trailing characters at line 1 column 5".to_owned())
    );
    assert_eq!(read(b"x"), Err(expected.to_owned()));
    assert_eq!(read(b"\xac\xed"), Err("its data is not UTF-8 text".to_owned()));
    assert!(read(&vec![b'['; 100_000]).is_err(), "deeper than anybody nests, and too large");
    assert!(read(&vec![b'['; 10_000]).is_err());
}

#[test]
fn texts_pairs_and_queries_are_read() {
    assert_eq!(value(DataKind::Text, b" 10.0.0.1:80\n"), Ok(json!("10.0.0.1:80")));
    let lines = b"host: ch1\nport: 19009\r\nempty:\nurl: a=b\nnothing\n";
    assert_eq!(value(DataKind::Pairs, lines), Ok(json!({"host": "ch1", "port": "19009", "empty": "", "url": "a=b"})));
    assert_eq!(value(DataKind::Pairs, b"a=1;b=x:y;;a=2"), Ok(json!({"a": "2", "b": "x:y"})));
    let query = b"group=test&weight=7&calls=12.00&t=a%20b+c%FF";
    let expected = json!({"group": "test", "weight": "7", "calls": "12.00", "t": "a b c\u{fffd}"});
    assert_eq!(value(DataKind::Query, query), Ok(expected));
    assert_eq!(value(DataKind::None, &vec![0xff; 100_000]), Ok(Json::Null), "nobody looks at them");
    assert!(value(DataKind::Text, &vec![b'x'; 100_000]).unwrap_err().contains("100000 bytes"));
}

#[test]
fn protobuf_is_read_by_the_numbers_of_its_fields() {
    let data = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let at = |data: &[u8], pointer: &str| {
        let tokens: Vec<Box<str>> = pointer.split('/').map(Into::into).collect();
        DataKind::Protobuf.read(data).unwrap().at(&tokens).map(Cow::into_owned)
    };
    // HBase's master, and a Drillbit.
    let master = data(
        "ff000000146d61737465723a31363030300001020304050607504255460a1b0a0f686d312e6578616d706c652e636f6d10807d1880d0eab6b7331000188a7d",
    );
    assert_eq!(at(&master, "1/1"), Some(json!("hm1.example.com")));
    assert_eq!(at(&master, "1/2"), Some(json!(16000)));
    assert_eq!(at(&master, "3"), Some(json!(16010)));
    for absent in ["4", "1/9", "1/1/1", "2/1", "1/2/1"] {
        assert_eq!(at(&master, absent), None, "{absent}");
    }
    // The first of several, -1 in ten bytes, and fixed widths.
    let odd = data("0801080210ffffffffffffffffff011d0700000021080000000000000012026869");
    assert_eq!(at(&odd, "1"), Some(json!(1)));
    assert_eq!(at(&odd, "2"), Some(json!(-1)));
    assert_eq!(at(&odd, "3"), Some(json!(7)));
    assert_eq!(at(&odd, "4"), Some(json!(8)));
    assert_eq!(at(&[], "1"), None);
    let reason = |hex: &str| DataKind::Protobuf.read(&data(hex)).unwrap_err().to_string();
    assert_eq!(reason("0a05"), "its data are not a protobuf message: its field 1 is cut off");
    assert_eq!(reason("0f"), "its data are not a protobuf message: its field 1 has the wire type 7");
    assert_eq!(reason("00"), "its data are not a protobuf message: it has a field of the number 0");
    assert_eq!(reason("80"), "its data are not a protobuf message: it ends within the number of a field");
    assert_eq!(reason("08ffffffffffffffffff02"), "its data are not a protobuf message: its field 1 is cut off");
    assert_eq!(reason("0affffffffffffffffff01"), "its data are not a protobuf message: its field 1 is cut off");
}

#[test]
fn the_first_string_of_serialized_java_is_read() {
    let read = |hex: &str| value(DataKind::Java, &data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap());
    assert_eq!(read("aced0005740003613a31"), Ok(json!("a:1")));
    assert_eq!(read("aced00057705000361 3a31".replace(' ', "").as_str()), Ok(json!("a:1")));
    assert_eq!(read("aced00057a000000050003613a31"), Ok(json!("a:1")));
    assert_eq!(read("aced00057c0000000000000003613a31"), Ok(json!("a:1")));
    assert_eq!(read("aced000570"), Ok(Json::Null));
    assert_eq!(read(""), Ok(Json::Null));
    let is_cut = Err("its data are not serialized Java: their first string is cut off".to_owned());
    for cut in ["aced0005740004613a31", "aced000577", "aced00057c7fffffffffffffff61", "aced00057702"] {
        assert_eq!(read(cut), is_cut, "{cut}");
    }
    let foreign = Err("its data are not serialized Java: they do not begin with a string".to_owned());
    assert_eq!(read("aced00057372"), foreign);
    assert!(read("7b7d").unwrap_err().ends_with("they do not begin with AC ED 00 05"));
    assert!(read("aced0005740001ff").unwrap_err().ends_with("their first string is not UTF-8 text"));
}
