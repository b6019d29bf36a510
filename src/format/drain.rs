//! Drain flags: what takes a service, or one instance of it, out of the answers for a while. They stand in the data of
//! the service's own node, so that every server that watches the registry honours them at once:
//!
//! ```json
//! {"owner": "team x", "drain": [{"instance": "192.0.2.10:8080", "until": "2026-11-21T15:00:00Z", "reason": "disk",
//!                                "by": "alice@web7", "at": "2026-11-21T14:30:00Z"}]}
//! ```
//! `instance` is missing where the whole service is meant, `until` where it does not end by itself, `reason` where
//! there is none; `by` and `at`, the author and the time, are for people. The node belongs to others too: their keys,
//! and other flags, stay byte for byte and in their order, and text that is no JSON becomes zc.zk's `string_value`
//! while there is a flag.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::error::{DATA_LIMIT, Error};
use super::name;
use crate::model::{Drain, Endpoint};

/// The key of the flags.
pub(super) const KEY: &str = "drain";
/// The key under which zc.zk sees text that is no JSON.
const STRING_VALUE: &str = "string_value";
/// The last second of the year 9999, beyond which there is no stamp.
const LAST_SECOND: u64 = 253_402_300_799;

/// The data of a service's node with these flags in it, and the flags in force that they replace. Those that have ended
/// at `now` go.
///
/// # Errors
/// When the data cannot be understood, and so must not be written over, or would become too large.
pub fn drain(data: &[u8], wanted: &[Drain], now: u64) -> Result<(Vec<u8>, Vec<Drain>), Error> {
    let mut replaced = Vec::new();
    let data = edit(data, |flags| {
        flags.retain(|flag| flag.said.holds(now));
        for flag in wanted {
            let before = flags.extract_if(.., |other| is_of(&other.said, flag.instance.as_ref()));
            replaced.extend(before.map(|other| other.said).filter(|other| other != flag));
            flags.push(Flag { said: flag.clone(), text: raw(&write(flag))? });
        }
        Ok(())
    })?;
    if data.len() > DATA_LIMIT { Err(Error::TooLarge(data.len())) } else { Ok((data, replaced)) }
}

/// The data of a service's node without the flags that `is_meant` chooses; and those that were in force at `now` and
/// are not any more.
///
/// # Errors
/// As [`drain`].
pub fn undrain(data: &[u8], is_meant: &dyn Fn(&Drain) -> bool, now: u64) -> Result<(Vec<u8>, Vec<Drain>), Error> {
    let mut ended = Vec::new();
    let data = edit(data, |flags| {
        flags.retain(|flag| flag.said.holds(now));
        ended.extend(flags.extract_if(.., |flag| is_meant(&flag.said)).map(|flag| flag.said));
        Ok(())
    })?;
    Ok((data, ended))
}

/// A moment in seconds since 1970, as people and flags write it: `2026-11-21T15:00:00Z`.
pub fn moment(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND))).to_string()
}

/// Returns whether the flag is that of exactly this instance, or of the whole service.
fn is_of(flag: &Drain, instance: Option<&Endpoint>) -> bool {
    match (&flag.instance, instance) {
        (Some(one), Some(other)) => one.is_same(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// Reads one flag. Keys that are not known are others' business.
pub(super) fn read(flag: &Value) -> Result<Drain, String> {
    let table = flag.as_object().ok_or("it is no table")?;
    let text = |key: &str| match table.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("its `{key}` is no text")),
    };
    let instance = text("instance")?.map(name::endpoint).transpose();
    let instance = instance.map_err(|error| format!("its `instance` is not of the form host:port: {error}"))?;
    let until = text("until")?.map(seconds).transpose();
    let until = until.map_err(|()| "its `until` is no moment such as 2026-11-21T15:00:00Z".to_owned())?;
    // These are for people alone, and cost nobody a drain.
    let reason = match table.get("reason") {
        None | Some(Value::Null) => Box::default(),
        Some(Value::String(reason)) => reason.as_str().into(),
        Some(other) => other.to_string().into(),
    };
    let by = table.get("by").and_then(Value::as_str).unwrap_or_default().into();
    let at = table.get("at").and_then(Value::as_str).and_then(|at| seconds(at).ok());
    Ok(Drain { instance, until, reason, by, at })
}

/// A moment as people and flags write it, in seconds since 1970.
fn seconds(moment: &str) -> Result<u64, ()> {
    let moment = humantime::parse_rfc3339_weak(moment.trim()).map_err(|_| ())?;
    Ok(moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

fn write(flag: &Drain) -> Value {
    let word = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let said = [
        ("instance", flag.instance.as_ref().map(ToString::to_string)),
        ("until", flag.until.map(moment)),
        ("reason", word(&flag.reason)),
        ("by", word(&flag.by)),
        ("at", flag.at.map(moment)),
    ];
    let said = said.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?))));
    Value::Object(said.collect())
}

/// A flag, and how it is written in the node.
#[derive(Debug, Clone)]
struct Flag {
    said: Drain,
    text: Box<RawValue>,
}

impl Flag {
    fn read(text: Box<RawValue>) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text.get()).map_err(|error| error.to_string())?;
        Ok(Self { said: read(&value)?, text })
    }
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, Error> {
    to_raw_value(value).map_err(|error| Error::BadJson(error.to_string()))
}

/// Changes the flags in a node's data, and nothing else of it.
fn edit(data: &[u8], change: impl FnOnce(&mut Vec<Flag>) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let mut entries = FlagEntries::read(data)?;
    let before = entries.0.iter().position(|(key, _)| key == KEY);
    let mut flags: Vec<Flag> = match before {
        None => Vec::new(),
        Some(at) => {
            let said = serde_json::from_str::<Option<Vec<Box<RawValue>>>>(entries.0[at].1.get());
            let said = said.map_err(|_| Error::BadDrain("it is no list".to_owned()))?.unwrap_or_default();
            said.into_iter().map(Flag::read).collect::<Result<_, _>>().map_err(Error::BadDrain)?
        }
    };
    let said: Vec<Drain> = flags.iter().map(|flag| flag.said.clone()).collect();
    change(&mut flags)?;
    if flags.iter().map(|flag| &flag.said).eq(&said) {
        return Ok(data.to_owned());
    }
    let written = raw(&flags.iter().map(|flag| &flag.text).collect::<Vec<_>>())?;
    match before {
        Some(at) if flags.is_empty() => drop(entries.0.remove(at)),
        Some(at) => entries.0[at].1 = written,
        None => entries.0.push((KEY.to_owned(), written)),
    }
    Ok(entries.write())
}

/// The entries of a JSON object: keys in their order, values byte for byte.
struct FlagEntries(Vec<(String, Box<RawValue>)>);

impl FlagEntries {
    /// Reads a node's data as zc.zk does.
    fn read(data: &[u8]) -> Result<Self, Error> {
        let bad = |error: serde_json::Error| Error::BadJson(error.to_string());
        if data.len() > DATA_LIMIT {
            return Err(Error::TooLarge(data.len()));
        }
        let text = std::str::from_utf8(data).map_err(|_| Error::NotText)?;
        match text.trim() {
            "" => Ok(Self(Vec::new())),
            object if object.starts_with('{') => serde_json::from_str(object).map_err(bad),
            _ => Ok(Self(vec![(STRING_VALUE.to_owned(), to_raw_value(text).map_err(bad)?)])),
        }
    }

    /// Writes them as zc.zk does: nothing as nothing, and a text alone as itself.
    fn write(&self) -> Vec<u8> {
        match &*self.0 {
            [] => return Vec::new(),
            [(key, value)] if key == STRING_VALUE => {
                // Other values than text stay in their object, as does text that would not come back as text.
                let text = serde_json::from_str::<String>(value.get());
                if let Ok(text) = text
                    && !text.trim().is_empty()
                    && !text.trim().starts_with('{')
                {
                    return text.into_bytes();
                }
            }
            _ => {}
        }
        let mut json = String::from("{");
        for (i, (key, value)) in self.0.iter().enumerate() {
            json.push_str(if i > 0 { "," } else { "" });
            json.push_str(&Value::from(key.as_str()).to_string());
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
        json.into_bytes()
    }
}

impl<'de> Deserialize<'de> for FlagEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = FlagEntries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FlagEntries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(FlagEntries(entries))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Config;

    const NOW: u64 = 1_700_000_000;

    fn flag(instance: &str, until: Option<u64>, reason: &str) -> Drain {
        let instance = (!instance.is_empty()).then(|| name::endpoint(instance).unwrap());
        Drain { instance, until, reason: reason.into(), ..Drain::default() }
    }

    fn drained(data: &str, flag: &Drain) -> String {
        String::from_utf8(drain(data.as_bytes(), std::slice::from_ref(flag), NOW).unwrap().0).unwrap()
    }

    fn all(_: &Drain) -> bool {
        true
    }

    #[test]
    fn others_properties_stay_byte_for_byte_and_in_their_order() {
        let theirs = r#"{"z":1.10,"a ->":"/b","huge":123456789012345678901234567890,"x":{"k" : [1,  2]}}"#;
        let data = drained(theirs, &flag("10.0.0.1:80", Some(NOW + 60), "disk \"a\""));
        let expected = r#"{"z":1.10,"a ->":"/b","huge":123456789012345678901234567890,"x":{"k" : [1,  2]},"#.to_owned()
            + r#""drain":[{"instance":"10.0.0.1:80","reason":"disk \"a\"","until":"2023-11-14T22:14:20Z"}]}"#;
        assert_eq!(data, expected);
        let (after, ended) = undrain(data.as_bytes(), &all, NOW).unwrap();
        assert_eq!(ended, [flag("10.0.0.1:80", Some(NOW + 60), "disk \"a\"")]);
        assert_eq!(String::from_utf8(after).unwrap(), theirs);
    }

    #[test]
    fn the_author_and_the_time_of_a_drain_are_kept_and_so_is_what_others_wrote_into_theirs() {
        let theirs = r#"{"drain":[{"by": 7,"instance":"a:1","ticket":1.10,"at":"soon"}]}"#;
        let ours = Drain { by: "alice@web7".into(), at: Some(NOW), ..flag("b:1", None, "") };
        let data = drained(theirs, &ours);
        let expected = r#"{"drain":[{"by": 7,"instance":"a:1","ticket":1.10,"at":"soon"},"#.to_owned()
            + r#"{"at":"2023-11-14T22:13:20Z","by":"alice@web7","instance":"b:1"}]}"#;
        assert_eq!(data, expected);
        let flags = Config::default().decode_service(data.as_bytes()).0.drains;
        assert_eq!(flags, [flag("a:1", None, ""), ours.clone()]);
        let until = Drain { until: Some(NOW + 9), ..ours.clone() };
        let (_, replaced) = drain(data.as_bytes(), &[until], NOW).unwrap();
        assert_eq!(replaced, [ours]);
    }

    #[test]
    fn nothing_and_text_come_back_as_they_were() {
        for before in ["", "some words", "[1]", "12"] {
            let data = drained(before, &flag("", None, ""));
            let (defaults, remarks) = Config::default().decode_service(data.as_bytes());
            assert_eq!((defaults.drains, remarks), (vec![flag("", None, "")], vec![]), "{data}");
            assert_eq!(undrain(data.as_bytes(), &all, NOW).unwrap().0, before.as_bytes());
        }
        assert_eq!(drained("", &flag("", None, "")), r#"{"drain":[{}]}"#);
    }

    #[test]
    fn a_new_flag_replaces_the_old_one_and_those_that_have_ended_go() {
        let mut data = drained("", &flag("a:1", Some(NOW - 1), "ended"));
        data = drained(&data, &flag("b:1", Some(NOW + 9), "first"));
        data = drained(&data, &flag("", None, "all"));
        data = drained(&data, &flag("B:1", Some(NOW + 99), "second"));
        let flags = Config::default().decode_service(data.as_bytes()).0.drains;
        assert_eq!(flags, [flag("", None, "all"), flag("B:1", Some(NOW + 99), "second")]);
        let is_second = |flag: &Drain| is_of(flag, flags[1].instance.as_ref());
        let (rest, ended) = undrain(data.as_bytes(), &is_second, NOW).unwrap();
        assert_eq!(ended, flags[1..]);
        let (none, ended) = undrain(&rest, &is_second, NOW).unwrap();
        assert_eq!((none, ended), (rest, vec![]), "what is not there changes nothing");
    }

    #[test]
    fn what_is_not_understood_is_not_written_over() {
        for data in
            [r#"{"drain": true}"#, r#"{"drain": [1]}"#, r#"{"drain": [{"until": "soon"}]}"#, "{", "\u{7f}{\"a\""]
        {
            let result = drain(data.as_bytes(), &[flag("", None, "")], NOW);
            assert_eq!(result.is_err(), !data.starts_with('\u{7f}'), "{data}: {result:?}");
        }
        assert!(drain(&[0xff], &[flag("", None, "")], NOW).is_err());
        assert!(drain(b"", &[flag("", None, &"x".repeat(70_000))], NOW).is_err());
        let (defaults, remarks) = Config::default()
            .decode_service(br#"{"drain": [{"instance": "nonsense"}, {"instance": "a:1", "by": "x"}], "weight": 1}"#);
        assert_eq!(defaults.drains, [Drain { by: "x".into(), ..flag("a:1", None, "") }]);
        assert!(remarks.len() == 1 && remarks[0].contains("which drains nothing"), "{remarks:?}");
    }

    /// zc.zk and kazoo are Python, whose `json` writes NaN, 1e999 and halves of characters.
    #[test]
    fn a_drain_whose_end_or_instance_cannot_be_read_drains_nothing_and_is_told() {
        let read = |flag: &str| Config::default().decode_service(format!(r#"{{"drain":[{flag}]}}"#).as_bytes());
        for bad in [
            r#"{"until":NaN}"#,
            r#"{"until":Infinity}"#,
            r#"{"until":-Infinity}"#,
            r#"{"until":1e999}"#,
            r#"{"until":-1}"#,
            r#"{"until":1764500000}"#,
            r#"{"until":"NaN"}"#,
            r#"{"until":""}"#,
            r#"{"until":"2026-11-21"}"#,
            r#"{"until":"2026-11-21T15:00:00\ud83d"}"#,
            r#"{"instance":NaN}"#,
            r#"{"instance":"a\ud83d:1"}"#,
            r#"{"instance":""}"#,
            "NaN",
        ] {
            let (defaults, remarks) = read(bad);
            assert_eq!(defaults.drains, [], "{bad}");
            assert!(remarks.iter().any(|remark| remark.contains("drains nothing")), "{bad}: {remarks:?}");
        }
        for (good, reason) in [
            (r#"{"until":null,"reason":NaN,"at":NaN,"by":NaN}"#, "\u{fffd}"),
            (r#"{"reason":"disk \ud83d"}"#, "disk \u{fffd}"),
            (r#"{"reason":7}"#, "7"),
            (r#"{"reason":["a"]}"#, "[\"a\"]"),
        ] {
            let (defaults, _) = read(good);
            assert_eq!(
                defaults.drains,
                [Drain { by: defaults.drains[0].by.clone(), ..flag("", None, reason) }],
                "{good}"
            );
        }
        let (defaults, remarks) = Config::default().decode_service(br#"{"drain":NaN,"weight":1}"#);
        assert_eq!((defaults.drains.len(), defaults.weight), (0, Some(1)));
        assert!(remarks.len() == 2 && remarks[1].contains("`drain`"), "{remarks:?}");
    }

    #[test]
    fn a_flag_ends_when_it_says_and_covers_what_it_names() {
        let one = flag("Host:80", Some(NOW), "");
        assert!(one.holds(NOW - 1) && !one.holds(NOW) && flag("", None, "").holds(u64::MAX));
        let instance = |name: &str| crate::model::Instance::new(name, name::endpoint(name).unwrap());
        assert!(one.covers(&instance("hOST:80")) && !one.covers(&instance("host:81")));
        assert!(flag("", None, "").covers(&instance("host:81")));
        assert!(flag("[2001:db8::1]:1", None, "").covers(&instance("[2001:DB8:0::1]:1")));
        assert_eq!(moment(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
