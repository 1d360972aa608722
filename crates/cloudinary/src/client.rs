//! The HTTP client of Cloudinary's upload API, and what it signs and checks.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::multipart::{Form, Part};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::config::web_url;
use crate::signature::{same, upload_answer_signature};
use crate::transport::send;
use crate::{
    Asset, ClientConfig, Delivery, DeliveryType, Destroyed, DirectUpload, Error, ImageFormat, MAX_FILE,
    NOTIFICATION_WINDOW, PublicId, RawAsset, ResourceType, SIGNATURE_LIFETIME, SignatureAlgorithm, UploadOptions,
    notification_signature, sign,
};

/// A client of one Cloudinary account. Clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base_url: Url,
    delivery_url: Url,
    cloud_name: String,
    api_key: String,
    api_secret: SecretString,
    algorithm: SignatureAlgorithm,
}

/// Leaves out the HTTP client, which holds the secret.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.0.base_url.as_str())
            .field("cloud_name", &self.0.cloud_name)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Builds the client; nothing is sent. It follows no redirect, so that the
    /// secret goes to `base_url` only, and uses no proxy.
    ///
    /// # Errors
    /// [`Error::Configuration`] if a URL is no absolute http(s) URL, if cloud name,
    /// key or secret cannot be one, or TLS cannot be set up.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        config.check()?;
        let base_url = web_url(&config.base_url, "base URL")?;
        let delivery_url = web_url(&config.delivery_url, "delivery URL")?;
        let credentials = format!("{}:{}", config.api_key, config.api_secret.expose_secret());
        let mut basic = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials)))
            .map_err(|_| Error::Configuration("the credentials are no header value".into()))?;
        basic.set_sensitive(true);
        let http = reqwest::Client::builder()
            .user_agent(concat!("agape-cloudinary/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, basic)]))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .build()
            .map_err(|error| Error::Configuration(error.to_string()))?;
        Ok(Self(Arc::new(Inner {
            http,
            base_url,
            delivery_url,
            cloud_name: config.cloud_name,
            api_key: config.api_key,
            api_secret: config.api_secret,
            algorithm: config.signature_algorithm,
        })))
    }

    /// Asks whether the API is there and takes the credentials (`GET /ping`).
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Rejected`] with 401 if the credentials are wrong.
    pub async fn ping(&self) -> Result<(), Error> {
        let answer = send(self.0.http.get(self.api_url(&["ping"]))).await?;
        match answer.get("status").and_then(|status| status.as_str()) {
            Some("ok") => Ok(()),
            _ => Err(Error::Decode("`status` is not \"ok\"".to_owned())),
        }
    }

    /// Uploads a picture of at most [`MAX_FILE`] bytes (`POST /image/upload`). Sent
    /// once; a repeat is safe, see [`Error::is_transient`]. `format` is a hint:
    /// Cloudinary judges by the content.
    ///
    /// # Errors
    /// Any [`Error`]; [`Error::Rejected`] with 400 if Cloudinary finds no picture in
    /// the file, or none of an allowed format.
    pub async fn upload(&self, file: Bytes, format: ImageFormat, options: &UploadOptions) -> Result<Asset, Error> {
        let name = (format!("upload.{format}"), format.content_type());
        self.post_file(ResourceType::Image, file, name, options).await
    }

    /// Uploads a file that Cloudinary does not look into, of at most [`MAX_FILE`] bytes
    /// (`POST /raw/upload`). Its public id has the file's extension, if it is to have
    /// one. Sent once; a repeat is safe.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn upload_raw(&self, file: Bytes, options: &UploadOptions) -> Result<RawAsset, Error> {
        let name = ("upload".to_owned(), "application/octet-stream");
        self.post_file(ResourceType::Raw, file, name, options).await
    }

    async fn post_file<T: DeserializeOwned>(
        &self,
        resource: ResourceType,
        file: Bytes,
        (name, content_type): (String, &str),
        options: &UploadOptions,
    ) -> Result<T, Error> {
        if file.len() > MAX_FILE {
            return Err(Error::FileTooLarge { bytes: file.len(), max: MAX_FILE });
        }
        let form = options
            .params()
            .iter()
            .fold(Form::new(), |form, (name, value)| form.text(name.to_owned(), value.to_owned()));
        let length = file.len().try_into().unwrap_or(u64::MAX);
        let part = Part::stream_with_length(file, length)
            .file_name(name)
            .mime_str(content_type)
            .map_err(|error| Error::Configuration(error.to_string()))?;
        let answer = send(self.0.http.post(self.url(resource, "upload")).multipart(form.part("file", part))).await?;
        serde_json::from_value(answer).map_err(|error| Error::Decode(error.to_string()))
    }

    /// Destroys a picture and all that was made of it, or a file
    /// (`POST /{image|raw}/destroy`). `invalidate` makes the caches forget it too, which
    /// takes up to minutes.
    ///
    /// # Errors
    /// Any [`Error`]. That there is none is none.
    pub async fn destroy(
        &self,
        resource: ResourceType,
        public_id: &PublicId,
        delivery_type: DeliveryType,
        invalidate: bool,
    ) -> Result<Destroyed, Error> {
        let body = json!({ "public_id": public_id, "type": delivery_type, "invalidate": invalidate });
        let answer = send(self.0.http.post(self.url(resource, "destroy")).json(&body)).await?;
        match answer.get("result").and_then(|result| result.as_str()) {
            Some("ok") => Ok(Destroyed::Ok),
            Some("not found") => Ok(Destroyed::NotFound),
            _ => Err(Error::Decode("`result` is neither \"ok\" nor \"not found\"".to_owned())),
        }
    }

    /// Signs a form for a browser's own upload; nothing is sent. `now` is in Unix
    /// seconds, and Cloudinary takes the form for an hour from then.
    ///
    /// Without `overwrite`, the form stores at most one picture, however often it is
    /// posted.
    #[must_use]
    pub fn direct_upload(&self, options: &UploadOptions, now: i64) -> DirectUpload {
        let mut params = options.params();
        params.set("timestamp", now);
        let signature = sign(&params, &self.0.api_secret, self.0.algorithm);
        params.set("api_key", &self.0.api_key);
        params.set("signature", signature);
        let fields = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let url = self.url(ResourceType::Image, "upload").into();
        DirectUpload { url, fields, expires_at: now.saturating_add(SIGNATURE_LIFETIME) }
    }

    /// Whether Cloudinary itself said that it stored `public_id` as `version`: the
    /// check of an upload's answer that a browser hands over. It covers these two
    /// only, and takes constant time.
    #[must_use]
    pub fn verify_upload_answer(&self, public_id: &str, version: u64, signature: &str) -> bool {
        let expected = upload_answer_signature(public_id, version, &self.0.api_secret, self.0.algorithm);
        same(&expected, signature)
    }

    /// Whether Cloudinary sent a notification, and sent it within
    /// [`NOTIFICATION_WINDOW`] of `now`, in Unix seconds. `body` must be the bytes as
    /// received, `timestamp` and `signature` the headers
    /// [`NOTIFICATION_TIMESTAMP_HEADER`](crate::NOTIFICATION_TIMESTAMP_HEADER) and
    /// [`NOTIFICATION_SIGNATURE_HEADER`](crate::NOTIFICATION_SIGNATURE_HEADER). The
    /// comparison takes constant time. Within the window a notification may come again.
    #[must_use]
    pub fn verify_notification(&self, body: &[u8], timestamp: &str, signature: &str, now: i64) -> bool {
        let Ok(sent_at) = timestamp.parse::<i64>() else {
            return false;
        };
        let expected = notification_signature(body, sent_at, &self.0.api_secret, self.0.algorithm);
        let recent = now.abs_diff(sent_at) <= NOTIFICATION_WINDOW.unsigned_abs();
        same(&expected, signature) && recent
    }

    /// The address of a picture or a file; nothing is sent.
    #[must_use]
    pub fn delivery_url(&self, delivery: &Delivery<'_>) -> String {
        delivery.url(&self.0.delivery_url, &self.0.cloud_name, &self.0.api_secret, self.0.algorithm)
    }

    fn url(&self, resource: ResourceType, action: &str) -> Url {
        self.api_url(&[resource.as_str(), action])
    }

    fn api_url(&self, path: &[&str]) -> Url {
        let mut url = self.0.base_url.clone();
        // An http(s) URL always has a path to extend.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1_1", &self.0.cloud_name]).extend(path);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(algorithm: SignatureAlgorithm) -> Client {
        let config = ClientConfig::new("demo", "1234", SecretString::from("abcd"));
        Client::new(ClientConfig { signature_algorithm: algorithm, ..config }).unwrap()
    }

    #[test]
    fn only_cloudinarys_own_answer_to_an_upload_is_believed() {
        let client = client(SignatureAlgorithm::Sha1);
        let signature = "82175722f594e2db13155bde1681e02b4d92dda3";
        assert!(client.verify_upload_answer("sample_image", 1_312_461_204, signature));
        assert!(!client.verify_upload_answer("sample_image", 1_312_461_205, signature));
        assert!(!client.verify_upload_answer("sample", 1_312_461_204, signature));
        assert!(!client.verify_upload_answer("sample_image&version=1", 312_461_204, signature));
        for other in ["", "8217", "82175722f594e2db13155bde1681e02b4d92dda4", "é"] {
            assert!(!client.verify_upload_answer("sample_image", 1_312_461_204, other), "{other}");
        }
        assert!(!self::client(SignatureAlgorithm::Sha256).verify_upload_answer(
            "sample_image",
            1_312_461_204,
            signature
        ));
    }

    #[test]
    fn a_notification_counts_if_it_is_signed_whole_and_recent() {
        let client = client(SignatureAlgorithm::Sha1);
        let body = br#"{"notification_type":"upload","public_id":"a"}"#;
        let sent_at = 1_368_881_627;
        let (time, signature) = ("1368881627", "7f2a6e0a132d1b19a03394aef0420bb4d970b72c");
        for now in [sent_at, sent_at + 7200, sent_at - 7200] {
            assert!(client.verify_notification(body, time, signature, now), "{now}");
        }
        for now in [sent_at + 7201, sent_at - 7201, i64::MAX, i64::MIN] {
            assert!(!client.verify_notification(body, time, signature, now), "{now}");
        }
        assert!(!client.verify_notification(b"{}", time, signature, sent_at));
        for other in ["1368881628", "", "now", "1368881627 ", "99999999999999999999"] {
            assert!(!client.verify_notification(body, other, signature, sent_at), "{other}");
        }
        for other in ["", "7f2a6e0a132d1b19a03394aef0420bb4d970b72d"] {
            assert!(!client.verify_notification(body, time, other, sent_at), "{other}");
        }
    }

    #[test]
    fn a_direct_upload_signs_all_its_fields() {
        let client = client(SignatureAlgorithm::Sha1);
        let id = PublicId::new("products/shirt").unwrap();
        let allowed_formats = vec![ImageFormat::Jpg, ImageFormat::Png];
        let form = client.direct_upload(&UploadOptions { allowed_formats, ..UploadOptions::new(id) }, 1_315_060_510);
        assert_eq!(form.url, "https://api.cloudinary.com/v1_1/demo/image/upload");
        assert_eq!(form.expires_at, 1_315_064_110);
        let names: Vec<&str> = form.fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["allowed_formats", "api_key", "overwrite", "public_id", "signature", "timestamp", "type"]);
        let mut signed = crate::Params::new();
        for (name, value) in &form.fields {
            signed.set(name, value);
        }
        let secret = SecretString::from("abcd");
        assert_eq!(form.fields["signature"], sign(&signed, &secret, SignatureAlgorithm::Sha1));
        let signature = &form.fields["signature"];
        assert!(!format!("{form:?}").contains(signature.as_str()));
    }
}
