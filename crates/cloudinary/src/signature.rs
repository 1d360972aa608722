//! Cloudinary's signatures. All are a plain hash of a text with the API secret at
//! its end, not an HMAC (Cloudinary, "Generating authentication signatures").

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use secrecy::{ExposeSecret, SecretString};

/// The request header of a notification that carries its signature.
pub const NOTIFICATION_SIGNATURE_HEADER: &str = "x-cld-signature";
/// The request header of a notification that says when it was signed, in Unix seconds.
pub const NOTIFICATION_TIMESTAMP_HEADER: &str = "x-cld-timestamp";
/// How far a notification's time may be from now, in seconds, as in Cloudinary's libraries.
pub const NOTIFICATION_WINDOW: i64 = 7200;

/// Parameters that are sent but not signed.
const UNSIGNED: [&str; 5] = ["file", "cloud_name", "resource_type", "api_key", "signature"];

/// The hash of an account's signatures, chosen in Cloudinary's settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// SHA-1, of accounts that chose nothing.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
}

impl SignatureAlgorithm {
    /// The hash of `parts`, one after the other, and then of the secret.
    pub(crate) fn digest(self, parts: &[&[u8]], secret: &SecretString) -> digest::Digest {
        let mut context = digest::Context::new(match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
        });
        for part in parts {
            context.update(part);
        }
        context.update(secret.expose_secret().as_bytes());
        context.finish()
    }

    fn hex(self, parts: &[&[u8]], secret: &SecretString) -> String {
        hex::encode(self.digest(parts, secret))
    }
}

/// The parameters of a call, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// No parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one, and replaces what it was. An empty value counts as absent.
    pub fn set(&mut self, name: impl Into<String>, value: impl ToString) {
        self.0.insert(name.into(), value.to_string());
    }

    /// Sets one to a list, which is sent and signed with commas in between.
    pub fn set_list<I>(&mut self, name: impl Into<String>, values: I)
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut list = String::new();
        for (i, value) in values.into_iter().enumerate() {
            list.extend((i > 0).then_some(','));
            list.push_str(value.as_ref());
        }
        self.set(name, list);
    }

    /// The value of one, unless it is absent or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All that are not empty, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The text that is signed, still without the secret.
    pub(crate) fn string_to_sign(&self) -> String {
        let pair = |(name, value)| format!("{name}={value}").replace('&', "%26");
        let signed = self.iter().filter(|(name, _)| !UNSIGNED.contains(name));
        signed.map(pair).collect::<Vec<_>>().join("&")
    }
}

/// Signs the parameters of a call, signature version 2: `name=value` pairs sorted by
/// name and joined by `&`, where an `&` within a pair becomes `%26`, so that no
/// value can pass for another parameter. What is never signed (`file`,
/// `cloud_name`, `resource_type`, `api_key`, `signature`) and what is empty is
/// left out. The answer is lower-case hex.
#[must_use]
pub fn sign(params: &Params, secret: &SecretString, algorithm: SignatureAlgorithm) -> String {
    algorithm.hex(&[params.string_to_sign().as_bytes()], secret)
}

/// What Cloudinary puts into the answer to an upload as its `signature`: signature
/// version 1 of `public_id` and `version`. That the version is a number keeps the
/// text unambiguous.
pub(crate) fn upload_answer_signature(
    public_id: &str,
    version: u64,
    secret: &SecretString,
    algorithm: SignatureAlgorithm,
) -> String {
    algorithm.hex(&[format!("public_id={public_id}&version={version}").as_bytes()], secret)
}

/// Signs a notification as Cloudinary does: the hash of its raw body, its
/// timestamp and the secret, as lower-case hex.
#[must_use]
pub fn notification_signature(
    body: &[u8],
    timestamp: i64,
    secret: &SecretString,
    algorithm: SignatureAlgorithm,
) -> String {
    algorithm.hex(&[body, timestamp.to_string().as_bytes()], secret)
}

/// Whether two signatures in hex are the same, in constant time; the digits count
/// in either case.
pub(crate) fn same(expected: &str, given: &str) -> bool {
    let given = given.to_ascii_lowercase();
    verify_slices_are_equal(expected.as_bytes(), given.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SecretString {
        SecretString::from("abcd")
    }

    fn params(pairs: &[(&str, &str)]) -> Params {
        let mut params = Params::new();
        for (name, value) in pairs {
            params.set(*name, value);
        }
        params
    }

    fn both(params: &Params) -> [String; 2] {
        [SignatureAlgorithm::Sha1, SignatureAlgorithm::Sha256].map(|algorithm| sign(params, &secret(), algorithm))
    }

    #[test]
    fn calls_are_signed_as_by_cloudinarys_libraries() {
        let plain = params(&[("timestamp", "1315060510"), ("public_id", "sample_image")]);
        assert_eq!(plain.string_to_sign(), "public_id=sample_image&timestamp=1315060510");
        assert_eq!(
            both(&plain),
            [
                "b4ad47fb4e25c7bf5f92a20089f9db59bc302313",
                "e3c44b54e67a3ecc918f5d7236ca5faa36250ea8a8cd6cbabfd2d6bb2453acac"
            ]
        );
        let mut eager = plain;
        eager.set("eager", "w_400,h_300,c_pad|w_260,h_200,c_crop");
        assert_eq!(
            both(&eager),
            [
                "bfd09f95f331f558cbd1320e67aa8d488770583e",
                "cc927e1290f9e3ae4c1a741eda21a4630b4ce80f9ce0bc0296337d25cf40f91e"
            ]
        );
    }

    #[test]
    fn an_ampersand_in_a_value_is_not_a_separator() {
        let params = params(&[("timestamp", "1315060510"), ("context", "alt=A&B")]);
        assert_eq!(params.string_to_sign(), "context=alt=A%26B&timestamp=1315060510");
        assert_eq!(both(&params)[0], "a78dbd2b051b001c255a8e6258f895ad40a8cb4d");
        // What version 1 would have made of it.
        assert_ne!(both(&params)[0], "3f8fd3be228402f1b0f03dc8ef7c3a04676c1b03");
    }

    #[test]
    fn lists_are_joined_and_what_is_empty_or_never_signed_is_left_out() {
        let mut list = params(&[("timestamp", "1315060510"), ("folder", "")]);
        list.set_list("tags", ["a", "b"]);
        assert_eq!(both(&list)[0], "65164dbf37d1fee0fd0a62608ca9a4f200ea87dd");
        assert_eq!((list.get("tags"), list.get("folder"), list.get("none")), (Some("a,b"), None, None));
        let signed = both(&list);
        for name in UNSIGNED {
            list.set(name, "x");
        }
        list.set_list("eager", [""; 0]);
        assert_eq!(both(&list), signed);
    }

    #[test]
    fn notifications_are_signed_as_documented() {
        let body = br#"{"notification_type":"upload","public_id":"a"}"#;
        let signature = notification_signature(body, 1_368_881_627, &secret(), SignatureAlgorithm::Sha1);
        assert_eq!(signature, "7f2a6e0a132d1b19a03394aef0420bb4d970b72c");
        assert!(same(&signature, &signature.to_uppercase()));
        for other in ["", "7f2a", "7f2a6e0a132d1b19a03394aef0420bb4d970b72d"] {
            assert!(!same(&signature, other), "{other}");
        }
    }

    #[test]
    fn the_answer_to_an_upload_is_signed_with_version_1() {
        let signature = upload_answer_signature("sample_image", 1_312_461_204, &secret(), SignatureAlgorithm::Sha1);
        assert_eq!(signature, "82175722f594e2db13155bde1681e02b4d92dda3");
    }
}
