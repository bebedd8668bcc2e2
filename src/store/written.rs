//! How the octets in rows are written as JSON, in dumps and journals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;

/// Octets that mean nothing to people: in base64.
pub(super) mod binary {
    use super::*;

    pub(in super::super) fn serialize<T: AsRef<[u8]>, S: Serializer>(octets: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(octets))
    }

    pub(in super::super) fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = Cow::<'_, str>::deserialize(from)?;
        let octets = STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        octets.try_into().map_err(|_| D::Error::custom("so many octets do not belong there"))
    }

    pub(in super::super) mod option {
        use super::*;

        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct Octets(#[serde(with = "super")] Vec<u8>);

        pub(in super::super::super) fn serialize<S: Serializer>(
            octets: &Option<Vec<u8>>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            octets.clone().map(Octets).serialize(to)
        }

        pub(in super::super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Vec<u8>>, D::Error> {
            Ok(Option::<Octets>::deserialize(from)?.map(|octets| octets.0))
        }
    }
}

/// Octets that are a text most often: as that, and in base64, in an object, where they are none.
pub(super) mod text {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written<'a> {
        Text(Cow<'a, str>),
        Octets {
            #[serde(with = "binary")]
            b64: Vec<u8>,
        },
    }

    pub(in super::super) fn serialize<T: AsRef<[u8]>, S: Serializer>(octets: &T, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(octets.as_ref()) {
            Ok(text) => to.serialize_str(text),
            Err(_) => Written::Octets { b64: octets.as_ref().to_vec() }.serialize(to),
        }
    }

    pub(in super::super) fn deserialize<'de, T: From<Vec<u8>>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Text(text) => text.into_owned().into_bytes().into(),
            Written::Octets { b64 } => b64.into(),
        })
    }

    pub(in super::super) mod option {
        use super::*;

        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        struct Octets(#[serde(with = "super")] Vec<u8>);

        pub(in super::super::super) fn serialize<S: Serializer>(
            octets: &Option<Vec<u8>>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            octets.clone().map(Octets).serialize(to)
        }

        pub(in super::super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<Vec<u8>>, D::Error> {
            Ok(Option::<Octets>::deserialize(from)?.map(|octets| octets.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        #[serde(with = "text")]
        content: Vec<u8>,
        #[serde(with = "binary")]
        print: [u8; 2],
        #[serde(with = "binary::option")]
        nonce: Option<Vec<u8>>,
        #[serde(with = "text::option")]
        devinf: Option<Vec<u8>>,
    }

    #[test]
    fn octets_come_back() {
        for (row, written) in [
            (
                Row {
                    content: b"N:\xc3\x84\0\r\n".to_vec(),
                    print: [0, 255],
                    nonce: None,
                    devinf: Some(b"<a/>".to_vec()),
                },
                r#"{"content":"N:Ä\u0000\r\n","print":"AP8=","nonce":null,"devinf":"<a/>"}"#,
            ),
            (
                Row { content: vec![0xff], print: [1, 2], nonce: Some(vec![9]), devinf: None },
                r#"{"content":{"b64":"/w=="},"print":"AQI=","nonce":"CQ==","devinf":null}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&row).unwrap(), written);
            assert_eq!(serde_json::from_str::<Row>(written).unwrap(), row);
        }
        assert!(serde_json::from_str::<Row>(r#"{"content":"","print":"AA==","nonce":null,"devinf":null}"#).is_err());
    }
}
