//! The address of a picture (Cloudinary, "Transformation URL structure").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use secrecy::SecretString;

use crate::{DeliveryType, ImageFormat, PublicId, ResourceType, SignatureAlgorithm, Transformation};

/// Which picture, and as what. `Client::delivery_url` makes the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Its name.
    pub public_id: &'a PublicId,
    /// Its version, without which a cache may answer with a picture since replaced.
    pub version: Option<u64>,
    /// Into what it is converted; `None` for the format it is kept in, or for the
    /// choice of the transformation.
    pub format: Option<ImageFormat>,
    /// What is made of it.
    pub transformation: Transformation,
    /// As what it was uploaded.
    pub delivery_type: DeliveryType,
    /// As what it is kept. A raw file has neither a format nor transformations.
    pub resource: ResourceType,
    /// Whether and how the URL is signed.
    pub signature: Option<UrlSignature>,
}

/// The signature in a URL. It covers the transformation, the name and the format; it
/// covers no version and never expires. Pictures that are not for everybody want
/// one, as do all transformations of an account with "strict transformations".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlSignature {
    /// 8 characters of the account's hash.
    Short,
    /// 32 characters of SHA-256, for accounts that ask for long signatures.
    Long,
}

impl<'a> Delivery<'a> {
    /// The picture as it was uploaded, for everybody.
    #[must_use]
    pub fn new(public_id: &'a PublicId, version: u64) -> Self {
        Self {
            public_id,
            version: Some(version),
            format: None,
            transformation: Transformation::new(),
            delivery_type: DeliveryType::Upload,
            resource: ResourceType::Image,
            signature: None,
        }
    }

    /// The URL below `base`, an http(s) URL.
    pub(crate) fn url(
        &self,
        base: &Url,
        cloud_name: &str,
        secret: &SecretString,
        algorithm: SignatureAlgorithm,
    ) -> String {
        let mut url = base.clone();
        let file = match self.format {
            Some(format) => format!("{}.{format}", self.public_id),
            None => self.public_id.to_string(),
        };
        // An http(s) URL always has a path to extend.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([cloud_name, self.resource.as_str(), self.delivery_type.as_str()]);
            if let Some(signature) = self.signature {
                path.push(&url_signature(&self.transformation.to_string(), &file, signature, secret, algorithm));
            }
            path.extend(self.transformation.components());
            // Without a version, `v1` keeps a folder from being read as something
            // else, as in Cloudinary's libraries.
            path.push(&format!("v{}", self.version.unwrap_or(1)));
            path.extend(file.split('/'));
        }
        url.into()
    }
}

/// `s--…--` of a transformation and a file, both as before percent-encoding.
pub(crate) fn url_signature(
    transformation: &str,
    file: &str,
    signature: UrlSignature,
    secret: &SecretString,
    algorithm: SignatureAlgorithm,
) -> String {
    let (algorithm, length) = match signature {
        UrlSignature::Short => (algorithm, 8),
        UrlSignature::Long => (SignatureAlgorithm::Sha256, 32),
    };
    let slash = if transformation.is_empty() { "" } else { "/" };
    let digest = algorithm.digest(&[transformation.as_bytes(), slash.as_bytes(), file.as_bytes()], secret);
    let mut text = URL_SAFE_NO_PAD.encode(digest);
    text.truncate(length);
    format!("s--{text}--")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::{DEFAULT_DELIVERY_URL, Gravity};

    fn url(delivery: &Delivery<'_>, algorithm: SignatureAlgorithm) -> String {
        let base = Url::parse(DEFAULT_DELIVERY_URL).unwrap();
        let url = delivery.url(&base, "demo", &SecretString::from("abcd"), algorithm);
        url.strip_prefix("https://res.cloudinary.com/demo/image/").unwrap().to_owned()
    }

    #[test]
    fn urls_are_those_of_cloudinarys_libraries() {
        use SignatureAlgorithm::{Sha1, Sha256};
        let id = PublicId::new("products/shirt").unwrap();
        let px = NonZeroU16::new(400).unwrap();
        let plain = Delivery {
            format: Some(ImageFormat::Jpg),
            transformation: Transformation::new().fill(px, px, Gravity::Auto).auto_format().auto_quality(),
            ..Delivery::new(&id, 1_312_461_204)
        };
        let rest = "c_fill,g_auto,h_400,w_400/f_auto,q_auto/v1312461204/products/shirt.jpg";
        assert_eq!(url(&plain, Sha1), format!("upload/{rest}"));
        let signed = |signature| Delivery { signature: Some(signature), ..plain.clone() };
        let (short, long) = (signed(UrlSignature::Short), signed(UrlSignature::Long));
        assert_eq!(url(&short, Sha1), format!("upload/s--h4yr5-D4--/{rest}"));
        assert_eq!(url(&short, Sha256), format!("upload/s--gZzOfXro--/{rest}"));
        for algorithm in [Sha1, Sha256] {
            assert_eq!(url(&long, algorithm), format!("upload/s--gZzOfXroQ-9zRWLm40-_AK8wScJpoIht--/{rest}"));
        }
        let authenticated = Delivery {
            version: None,
            transformation: Transformation::new(),
            delivery_type: DeliveryType::Authenticated,
            ..short
        };
        assert_eq!(url(&authenticated, Sha1), "authenticated/s--e6w2RH1y--/v1/products/shirt.jpg");
    }

    #[test]
    fn what_a_path_cannot_hold_is_encoded() {
        let id = PublicId::new("Käse/c_fill/w_1").unwrap();
        let delivery = Delivery::new(&id, 7);
        let sha1 = SignatureAlgorithm::Sha1;
        assert_eq!(url(&delivery, sha1), "upload/v7/K%C3%A4se/c_fill/w_1");
        // A base with a path keeps it, with and without a slash at its end.
        for base in ["http://shop.example/fake", "http://shop.example/fake/"] {
            let base = Url::parse(base).unwrap();
            let url = delivery.url(&base, "demo", &SecretString::from("abcd"), sha1);
            assert!(url.starts_with("http://shop.example/fake/demo/image/upload/v7/K"), "{url}");
        }
    }
}
