//! How to reach Cloudinary.

use std::time::Duration;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::{Error, SignatureAlgorithm};

/// Cloudinary's API; accounts in Europe and Asia may use `api-eu` and `api-ap`.
pub const DEFAULT_BASE_URL: &str = "https://api.cloudinary.com";
/// Where pictures are delivered from.
pub const DEFAULT_DELIVERY_URL: &str = "https://res.cloudinary.com";

/// How to reach Cloudinary, and as whom.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Absolute http or https URL that the API's paths are appended to.
    pub base_url: String,
    /// Absolute http or https URL that the paths of pictures are appended to.
    pub delivery_url: String,
    /// The account ("product environment").
    pub cloud_name: String,
    /// The public half of the credentials; a browser that uploads sees it.
    pub api_key: String,
    /// The secret half.
    pub api_secret: SecretString,
    /// The hash that the account's settings ask for.
    pub signature_algorithm: SignatureAlgorithm,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time of a call in all, from connecting to the last byte of the answer.
    pub timeout: Duration,
}

impl ClientConfig {
    /// Cloudinary's own servers with 5 s to connect and 60 s in all.
    #[must_use]
    pub fn new(cloud_name: impl Into<String>, api_key: impl Into<String>, api_secret: SecretString) -> Self {
        Self {
            base_url: DEFAULT_BASE_URL.to_owned(),
            delivery_url: DEFAULT_DELIVERY_URL.to_owned(),
            cloud_name: cloud_name.into(),
            api_key: api_key.into(),
            api_secret,
            signature_algorithm: SignatureAlgorithm::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(60),
        }
    }

    /// Reads `cloudinary://API_KEY:API_SECRET@CLOUD_NAME`, which Cloudinary's console
    /// shows as `CLOUDINARY_URL`.
    ///
    /// # Errors
    /// [`Error::Configuration`] that names the part at fault, without its text.
    pub fn from_url(url: &SecretString) -> Result<Self, Error> {
        let rest = url.expose_secret().trim().strip_prefix("cloudinary://");
        let rest = rest.ok_or_else(|| fault("the address does not start with cloudinary://"))?;
        let (credentials, cloud_name) = rest.rsplit_once('@').ok_or_else(|| fault("the address has no @"))?;
        let (api_key, api_secret) =
            credentials.split_once(':').ok_or_else(|| fault("the address has no colon between API key and secret"))?;
        let config = Self::new(cloud_name, api_key, SecretString::from(api_secret));
        config.check()?;
        Ok(config)
    }

    /// Checks what a call would otherwise fail on. No text of the settings is in
    /// the error, as they may have been swapped.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if !word(&self.cloud_name) {
            return Err(fault("the cloud name is not made of letters, digits, '-' and '_'"));
        }
        if !word(&self.api_key) {
            return Err(fault("the API key is not made of letters, digits, '-' and '_'"));
        }
        let secret = self.api_secret.expose_secret();
        if secret.is_empty() {
            return Err(fault("the API secret is empty"));
        }
        if !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(fault("the API secret has a blank or another character that no secret has"));
        }
        Ok(())
    }
}

/// An http(s) URL that paths can be appended to.
pub(crate) fn web_url(text: &str, name: &str) -> Result<Url, Error> {
    let web = |url: &Url| {
        let plain = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && plain && url.query().is_none() && url.fragment().is_none()
    };
    let url = Url::parse(text).ok().filter(web);
    url.ok_or_else(|| fault(&format!("the {name} is no absolute http(s) URL without user, query and fragment")))
}

fn fault(text: &str) -> Error {
    Error::Configuration(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_console_is_read() {
        let url = SecretString::from(" cloudinary://1234:s3cr-et_@my-cloud\n");
        let config = ClientConfig::from_url(&url).unwrap();
        assert_eq!((config.cloud_name.as_str(), config.api_key.as_str()), ("my-cloud", "1234"));
        assert_eq!(config.api_secret.expose_secret(), "s3cr-et_");
        assert_eq!(config.base_url, "https://api.cloudinary.com");
        assert!(!format!("{config:?}").contains("s3cr-et_"));
    }

    #[test]
    fn a_wrong_address_is_told_without_its_text() {
        for (url, part) in [
            ("", "start with"),
            ("https://1234:hush@my-cloud", "start with"),
            ("cloudinary://1234:hush", "no @"),
            ("cloudinary://hush@my-cloud", "no colon"),
            ("cloudinary://:hush@my-cloud", "API key"),
            ("cloudinary://<hush>:hush@my-cloud", "API key"),
            ("cloudinary://1234:@my-cloud", "secret is empty"),
            ("cloudinary://1234:hu sh@my-cloud", "secret has a blank"),
            ("cloudinary://1234:hush@", "cloud name"),
            ("cloudinary://1234:hush@my-cloud/hush", "cloud name"),
            ("cloudinary://1234:hush@my-cloud?secure=hush", "cloud name"),
        ] {
            let error = ClientConfig::from_url(&SecretString::from(url)).unwrap_err();
            assert!(matches!(error, Error::Configuration(_)), "{url}: {error:?}");
            assert!(error.to_string().contains(part), "{url}: {error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
